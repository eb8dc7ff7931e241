"""What a page of people hides and one of synthetic data does not."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.statistics import suppress
from proband.report.disclosure import Disclosure
from proband.report.sections.performance.utility import decision_points, decision_rows, utility_table

PEOPLE, OPEN = Disclosure(), Disclosure(synthetic=True)
NUM_SUBJECTS, NUM_CASES = 1000, 100
THRESHOLDS = [0.05, 0.1, 0.2, 0.4]


def tables(flagged):
    """A model's decision curve that flags so many cases and nine times as many others at each threshold."""
    rows = [(t, 0.5 - t, 10 * cases, cases) for t, cases in zip(THRESHOLDS, flagged, strict=True)]
    names = ["threshold", "standardised_net_benefit", "num_flagged", "num_flagged_cases"]
    decision = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        low=pl.lit(0.1234), high=pl.lit(None, pl.Float64), model=pl.lit("m")
    )
    roc = pl.DataFrame({"model": ["m"], "num_flagged": [NUM_SUBJECTS], "num_flagged_cases": [NUM_CASES]})
    utility = pl.DataFrame(
        {"model": "m", "reference": "none", "threshold": THRESHOLDS, "difference": [0.4321] * 4}
    ).with_columns(low=pl.lit(0.1234), high=pl.lit(0.5678))
    return {"decision": decision, "roc": roc, "utility": utility}


def test_points_of_a_decision_curve_lie_more_than_twenty_apart():
    here = tables([90, 70, 45, 22])
    kept = decision_points("m", here, PEOPLE)
    assert kept["threshold"].to_list() == [0.4, 0.2, 0.1]  # 10 cases are left above the lowest
    assert decision_points("m", here, OPEN).height == 4
    assert kept["low"].unique().to_list() == [0.12]  # a share of 100 cases, in hundredths
    assert kept["high"].null_count() == 3
    assert decision_points("m", here, PEOPLE, [(45, 410)])["threshold"].to_list() == [0.4, 0.1]


def test_net_benefit_is_shown_where_enough_are_flagged_and_rounded():
    table = shown([90, 70, 45, 10], PEOPLE)
    assert table.header[1:] == ["at 5%", "at 10%", "at 20%", "at 40%"]
    [row] = table.rows
    assert row[1] == "–"  # 10 cases are not flagged
    assert row[4] == "–"  # 10 cases are flagged
    assert row[2] == row[3] == "+0.430 (+0.120 to +0.570)"
    assert shown([15, 12, 10, 5], PEOPLE) is None
    assert shown([15, 12, 10, 5], OPEN).rows[0][1] == "+0.432 (+0.123 to +0.568)"
    near = shown([70, 60, 45, 22], PEOPLE)  # 15 cases at most lie between 10% and its neighbours
    assert [cell == "–" for cell in near.rows[0][1:]] == [False, True, False, False]


def shown(flagged, rules):
    here = tables(flagged)
    return utility_table({"m": decision_rows("m", here, rules)}, here, rules)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_no_small_difference_follows_from_nested_counts(steps):
    numbers = [sum(steps[place:]) + 100 for place in range(len(steps))]
    shown = PEOPLE.steps(numbers)
    kept = [number for number, text in zip(numbers, shown, strict=True) if text != suppress.WITHHELD]
    assert kept[0] == numbers[0]
    assert all(suppress.may_show(a - b) for a, b in pairwise(kept))
    assert OPEN.steps(numbers) == [f"{number:,}" for number in numbers]


@pytest.mark.parametrize("number", [0, 1, 20, 21, 1234, None])
def test_counts_of_people_are_those_of_the_rules(number):
    assert PEOPLE.count(number) == suppress.count(number)
    assert OPEN.count(number) == ("–" if number is None else f"{number:,}")
