"""The first screen: which pair of models is compared, controls, and what few cases leave unsaid."""

import polars as pl
import pytest

from proband.evaluate.tables import GAINS, MODELS
from proband.report.disclosure import Disclosure
from proband.report.sections.answers import answers, auroc_forest, gain_forest
from proband.report.sections.found import Found, read_results

HORIZON = 5.0


@pytest.fixture
def found(results):
    """The results as if the second model read a genome."""
    read = read_results(results)
    rows = [("<b>ehr", "given", False), ("ehr & pgs", "given", True), ("age_sex", "baseline", False)]
    rows.append(("pgs_logistic", "baseline", True))
    return with_tables(read, models=pl.DataFrame(rows, schema=dict(MODELS.columns), orient="row"))


def with_tables(found, **tables):
    return Found(dict(found.tables) | tables, found.manifest, Disclosure())


def renamed(found, old, new):
    """The results with a model renamed."""
    changed = {}
    for name, table in found.tables.items():
        columns = [column for column in ("model", "model_a", "model_b") if column in table.columns]
        changed[name] = table.with_columns(pl.col(columns).replace(old, new)) if columns else table
    return with_tables(found, **changed)


def gain(low, high):
    row = (HORIZON, "ehr & pgs", "<b>ehr", "auroc", (low + high) / 2, low, high, 3, 30)
    return pl.DataFrame([row], schema=dict(GAINS.columns), orient="row")


@pytest.mark.parametrize(
    ("low", "high", "verdict", "said"),
    [
        (0.01, 0.03, "yes", "added 0.020"),
        (-0.03, -0.01, "no", "took 0.020"),
        (-0.01, 0.03, "open", "nothing"),
    ],
)
def test_the_genome_is_judged_by_its_interval(found, low, high, verdict, said):
    first = answers(with_tables(found, gains=gain(low, high)))[0]
    assert first.verdict == verdict
    assert said in first.answer
    assert "(95% interval" in first.answer


@pytest.mark.parametrize("gains", [gain(0.01, 0.03), GAINS.empty()])
@pytest.mark.parametrize(("own", "unknown"), [(12, 0), (0, 5), (0, 0), (None, None)])
def test_the_answer_warns_of_sample_overlap_of_the_model_itself(found, own, unknown, gains):
    counts = {"num_scores": 78, "num_scores_own_cohort": own, "num_scores_cohort_unknown": unknown}
    overlap = {} if own is None else {"own_cohort": ["UKB"]} | counts
    inflated = counts | {"own_cohort": ["UKB"], "num_scores_own_cohort": 70, "num_scores_cohort_unknown": 0}
    notes = dict(found.manifest["notes"]) | {"sample_overlap": {"ehr & pgs": overlap, "baselines": inflated}}
    manifest = dict(found.manifest) | {"notes": notes}
    detail = answers(Found(dict(found.tables) | {"gains": gains}, manifest, Disclosure()))[0].detail
    assert ("inflated by sample overlap" in detail) is bool(own)
    assert (f"Scores developed in UKB: {own} of 78" in detail) is bool(own or unknown)
    assert "70 of 78" not in detail


def test_without_an_interval_the_outcomes_are_counted(found):
    first = answers(with_tables(found, gains=GAINS.empty()))[0]
    assert first.verdict == "open"
    assert "above 0 in 1 and below 0 in 0 of 1 outcomes" in first.answer


def test_the_forest_of_gains_is_turned_the_way_it_is_named(found):
    [row] = gain_forest(with_tables(found, gains=GAINS.empty())).rows
    pair = {"model_a": "<b>ehr", "model_b": "ehr & pgs", "metric": "auroc", "horizon_years": HORIZON}
    difference = found.tables["differences"].filter(outcome="type_2_diabetes", **pair)["difference"][0]
    assert row.value == f"{-difference:+.3f}"
    assert "ehr &amp; pgs − &lt;b&gt;ehr +" in row.svg


def test_a_control_is_drawn_open_and_is_not_the_headline(found):
    control = renamed(found, "ehr & pgs", "ehr & pgs (permuted)")
    [row] = gain_forest(with_tables(control, gains=GAINS.empty())).rows
    assert "mark open" in row.svg
    assert "(permuted) − &lt;b&gt;ehr (control)" in row.svg
    assert answers(control)[0].verdict == "open"
    assert "No two models" in answers(control)[0].answer
    assert "mark open" not in gain_forest(with_tables(found, gains=GAINS.empty())).rows[0].svg


def test_no_baseline_of_age_and_sex_is_said(found):
    without = renamed(found, "age_sex", "other")
    assert answers(without)[1].answer == "Not known: the baseline of age and sex was not fitted."


def test_calibration_counts_the_checks_that_hold(found):
    metrics = found.tables["metrics"]
    exact = pl.col("metric").is_in(["observed_expected", "calibration_slope"])
    right = metrics.with_columns(
        pl.when(exact).then(low).otherwise(pl.col(name)).alias(name)
        for name, low in (("low", 0.9), ("high", 1.1))
    )
    third = answers(with_tables(found, metrics=right))[2]
    assert third.verdict == "yes"
    assert third.answer.startswith("4 of 4 checks agree")
    wrong = right.with_columns(pl.when(exact).then(1.05).otherwise("low").alias("low"))
    third = answers(with_tables(found, metrics=wrong))[2]
    assert third.answer.startswith("0 of 4 checks agree")
    assert "More miss than chance would have it: " in third.answer  # 2 of 2 of each model
    assert third.verdict == "no"
    one = right.with_columns(
        pl.when(metric="calibration_slope", model=found.own[0]).then(1.05).otherwise("low").alias("low")
    )
    assert answers(with_tables(found, metrics=one))[2].verdict == "open"


def test_a_model_above_age_and_sex_by_chance_is_no_clear_yes(found):
    """Point estimates above in all outcomes; whether they are beyond chance is said, and decides."""
    own = pl.col("model").is_in(found.own) & (pl.col("metric") == "auroc")
    metrics = found.tables["metrics"].with_columns(pl.when(own).then(0.9).otherwise("value").alias("value"))
    rows = found.tables["differences"]
    for low, verdict, said in ((0.1, "yes", "in 2 of the 2"), (-0.1, "open", "in 0 of the 2")):
        is_first = pl.col("model_a").is_in(found.own) & (pl.col("model_b") == "age_sex")
        is_second = pl.col("model_b").is_in(found.own) & (pl.col("model_a") == "age_sex")
        differences = rows.with_columns(
            low=pl.when(is_first).then(low).when(is_second).then(-0.3).otherwise("low"),
            high=pl.when(is_first).then(0.3).when(is_second).then(-low).otherwise("high"),
        )
        second = answers(with_tables(found, metrics=metrics, differences=differences))[1]
        assert second.answer.startswith("Yes, in AUROC" if verdict == "yes" else "Above in AUROC")
        assert (second.verdict, said in second.detail) == (verdict, True)


def test_what_else_a_model_reads_is_not_credited_to_the_genome(found):
    """Records beside records, components and scores: no pair, and the page says which model is missing."""
    rows = [("<b>ehr", "given", False, ""), ("ehr & pgs", "given", True, "pcs")]
    models = pl.DataFrame(rows, schema=dict(MODELS.columns) | dict(MODELS.optional), orient="row")
    first = answers(with_tables(found, models=models, gains=gain(0.01, 0.03)))[0]
    assert first.verdict == "open"
    assert "cannot tell" in first.answer
    assert first.detail == (
        "ehr & pgs reads pcs, too: give a model that reads record and pcs without a genome."
    )
    rows = [("<b>ehr", "given", False, "pcs"), ("ehr & pgs", "given", True, "")]
    models = pl.DataFrame(rows, schema=dict(MODELS.columns) | dict(MODELS.optional), orient="row")
    first = answers(with_tables(found, models=models))[0]
    assert first.detail == "ehr & pgs reads record and genome alone: give a model of the record alone."


def test_outcomes_without_an_interval_stand_apart(found):
    metrics = found.tables["metrics"]
    none = metrics.with_columns(pl.when(metric="auroc").then(None).otherwise("low").alias("low"))
    plot = auroc_forest(with_tables(found, metrics=none))
    assert (len(plot.rows), len(plot.without_interval)) == (0, 1)
    assert plot.missing == "Too few cases to judge or to show: Stroke."
    whole = auroc_forest(found)
    assert (len(whole.rows), len(whole.without_interval)) == (1, 0)


def without_resamples(found, **tables):
    """The results as they are of ``--bootstrap 0``: no interval anywhere."""
    none = [pl.lit(None, pl.Float64).alias(name) for name in ("low", "high")]
    bare = {
        name: table.with_columns(none) if "low" in table.columns and name != "risk_histogram" else table
        for name, table in (dict(found.tables) | tables).items()
    }
    config = dict(found.manifest["config"]) | {"bootstrap": 0}
    return Found(bare, dict(found.manifest) | {"config": config}, Disclosure())


def test_without_resamples_few_cases_are_not_blamed(found):
    own = pl.col("model").is_in(found.own) & (pl.col("metric") == "auroc")
    metrics = found.tables["metrics"].with_columns(pl.when(own).then(0.4).otherwise("value").alias("value"))
    bare = without_resamples(found, metrics=metrics)
    genome, above, calibrated = answers(bare)
    said = "the results were evaluated without resamples"
    assert said in genome.answer
    assert calibrated.answer == f"Not known: {said}."
    assert above.verdict == "no"
    assert above.detail.startswith("<b>ehr: ")  # not: below in 0 of the 0 comparisons
    for plot in (auroc_forest(bare), gain_forest(bare)):
        assert (len(plot.rows), len(plot.without_interval)) == (1, 0)


def test_without_resamples_models_above_age_and_sex_are_not_said_to_be_so_beyond_chance(found):
    own = pl.col("model").is_in(found.own) & (pl.col("metric") == "auroc")
    metrics = found.tables["metrics"].with_columns(pl.when(own).then(0.9).otherwise("value").alias("value"))
    second = answers(without_resamples(found, metrics=metrics))[1]
    assert (second.verdict, second.detail) == ("open", "")
    assert "whether beyond chance is not known: the results were evaluated" in second.answer


def test_an_outcome_of_few_known_controls_is_not_shown_however_many_are_censored(found):
    flow = found.tables["flow"]
    few = pl.when(step="control").then(20).otherwise("num_subjects").alias("num_subjects")
    assert with_tables(found, flow=flow).main
    assert with_tables(found, flow=flow.with_columns(few)).main == {}


def test_an_outcome_that_baselines_alone_predict_is_placed_by_the_best_of_them(found):
    own = pl.col("model").is_in(found.own)
    outcome = next(iter(found.main))
    metrics = found.tables["metrics"].filter(~(own & (pl.col("outcome") == outcome)))
    best = metrics.filter(outcome=outcome, metric="auroc", horizon_years=found.main[outcome])["value"].max()
    plot = auroc_forest(with_tables(found, metrics=metrics))
    assert [row.value for row in plot.rows if row.order == best] == [f"{best:.3f}"]
