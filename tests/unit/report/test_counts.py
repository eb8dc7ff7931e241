"""A count that is withheld in one place of the page is so in all of them."""

import polars as pl
import pytest

from proband.report.disclosure import Disclosure
from proband.report.sections.answers import auroc_forest
from proband.report.sections.cohort import cohort_table, flow_table
from proband.report.sections.counts import shown_counts
from proband.report.sections.found import Found, read_results
from proband.report.sections.performance.outcomes import outcome_sections

OUTCOME, TITLE = "type_2_diabetes", "Type 2 diabetes"


def with_flow(results, synthetic=False, **numbers):
    """The results with other counts of the steps of the flow at 5 years."""
    found = read_results(results)
    number = pl.col("num_subjects")
    here = pl.col("horizon_years") == 5.0
    for step, one in numbers.items():
        name = step.replace("_", " ")
        number = pl.when(here & (pl.col("step") == name)).then(one).otherwise(number)
    flow = found.tables["flow"].with_columns(number.alias("num_subjects"))
    return Found(dict(found.tables) | {"flow": flow}, found.manifest, Disclosure(synthetic))


def places(found):
    """The row of the flow table, the summary of the outcome, and what stands below its name in the forest."""
    [row] = [row for row in flow_table(found).rows if row[0] == TITLE]
    [section] = [one for one in outcome_sections(found) if one.title == TITLE]
    [line] = [one for one in auroc_forest(found).rows if one.title == TITLE]
    return row[2:], section.main.summary, line.detail


@pytest.mark.parametrize(("censored", "shown"), [(7, ["80", "withheld", "≤20"]), (300, ["80", "60", "300"])])
def test_cases_are_printed_in_three_places_so_that_controls_are_withheld(results, censored, shown):
    steps = {"labelled": 900, "predicted": 900, "early_enough": 900}
    found = with_flow(results, **steps, case=80, control=57, censored=censored)
    row, summary, detail = places(found)
    assert row[3:] == shown
    assert summary.startswith("900 subjects at risk, 80 onsets seen; ")
    assert detail == "80 onsets"


@pytest.mark.parametrize(("labelled", "at_risk"), [(909, None), (921, "900"), (900, "900")])
def test_subjects_at_risk_are_withheld_wherever_they_are_near_to_the_step_before(results, labelled, at_risk):
    found = with_flow(results, labelled=labelled, predicted=labelled, early_enough=900, case=80, control=100)
    row, summary, _ = places(found)
    assert row[2] == (at_risk or "withheld")
    assert summary.startswith(f"{at_risk} subjects at risk" if at_risk else "Subjects at risk withheld, 80 ")


def test_subjects_at_risk_by_one_horizon_and_the_next_tell_no_few(results):
    found = with_flow(results, labelled=950, predicted=950, early_enough=900, case=80, control=100)
    flow = found.tables["flow"].filter(step="early enough", outcome=OUTCOME)
    assert flow.filter(horizon_years=1.0)["num_subjects"][0] == 900
    assert found.shown[OUTCOME] == [1.0, 5.0]
    near = with_flow(results, labelled=950, predicted=950, early_enough=893, case=80, control=100)
    counts = {horizon: one["early enough"] for horizon, one in shown_counts(near, OUTCOME).items()}
    assert counts == {1.0: "900", 5.0: "withheld"}


def test_of_synthetic_data_all_counts_are_printed(results):
    found = with_flow(
        results, synthetic=True, labelled=909, early_enough=900, case=81, control=57, censored=7
    )
    row, summary, detail = places(found)
    assert row == ["909", "900", "900", "81", "57", "7"]
    assert (summary[:22], detail) == ("900 subjects at risk, ", "81 onsets")


@pytest.mark.parametrize(
    ("events", "synthetic", "shown"),
    [(80, False, "80"), (92, False, "withheld"), (104, False, "110"), (92, True, "92")],
)
def test_onsets_of_all_follow_up_beside_the_cases_of_a_horizon_tell_no_few(results, events, synthetic, shown):
    found = with_flow(results, synthetic, case=80, control=100)
    number = pl.when(outcome=OUTCOME, split="held_out").then(events).otherwise("num_events")
    cohort = found.tables["cohort"].with_columns(number.alias("num_events"))
    found = Found(dict(found.tables) | {"cohort": cohort}, found.manifest, found.rules)
    table = cohort_table(found)
    place = table.header.index("Onsets")
    assert [row[place] for row in table.rows if row[:2] == [TITLE, "held out"]] == [shown]
