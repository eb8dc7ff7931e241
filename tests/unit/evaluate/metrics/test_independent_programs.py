"""Numbers of independent programs on the same people, frozen by tests/reference/make/evaluate_metrics.py."""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.evaluate.metrics import utility
from proband.evaluate.metrics.censoring import CASE, censoring_weights
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.panel.multiplicity import Panel
from resampled import bootstrapped

FROZEN = Path(__file__).parents[3] / "reference" / "evaluate_metrics"
HORIZONS = (2, 5, 8)
QUARTER = 0.25

on_all_data = pytest.mark.parametrize(
    ("times", "risks"),
    [("distinct", "distinct"), ("distinct", "tied"), ("whole", "distinct"), ("whole", "tied")],
)


def people():
    return pl.read_csv(FROZEN / "people.tsv", separator="\t")


@cache
def numbers():
    return pl.read_csv(FROZEN / "numbers.tsv", separator="\t")


def theirs(metric, outcome, times, risks, program=""):
    """Horizon, threshold (None without) -> number. At equal times events come before censorings."""
    asked = numbers().filter(
        pl.col("program").str.contains(program),
        metric=metric,
        outcome=outcome,
        times="whole_events_first" if times == "whole" else times,
        risks=risks,
    )
    found = {(horizon, threshold): value for horizon, threshold, value in asked.select(
        "horizon", "threshold", "value").iter_rows()}  # fmt: skip
    assert len(found) == len(asked) > 0
    return found


def as_they_are(metric, program):
    """Horizon -> number for whole years that the program was told as they are."""
    asked = numbers().filter(
        pl.col("program").str.contains(program), metric=metric, outcome="onset", times="whole", risks="tied"
    )
    found = dict(asked.select("horizon", "value").iter_rows())
    assert set(found) == set(HORIZONS)
    return found


@cache
def risk_set(outcome, times, risks, horizon, censored_earlier=0.0):
    table = people()
    event = table["event"].to_numpy().astype(np.int8)
    time = table["time" if times == "distinct" else "time_whole"].to_numpy() - censored_earlier * (event == 0)
    risk = {"model": table[f"{risks}_{horizon}"].to_numpy()}
    told = np.minimum(event, 1) if outcome == "any" else event
    whole = RiskSet(outcome, float(horizon), table["subject_id"].to_numpy(), time, told, risk)
    if outcome != "complete":
        return whole
    known = np.zeros(len(time), dtype=bool)
    known[whole.known] = True
    return whole.part(known)


@cache
def ours(*told):
    return {metric: found[0] for (_, metric), found in bootstrapped(risk_set(*told), 0).values.items()}


def assert_equal(metric, outcome, times, risks, program="", tolerance=1e-9, name=None):
    expected = theirs(metric, outcome, times, risks, program)
    assert {horizon for horizon, _ in expected} == set(HORIZONS)
    for (horizon, _), value in expected.items():
        found = ours(outcome, times, risks, horizon)[name or metric]
        assert found == pytest.approx(value, rel=0, abs=tolerance)


@on_all_data
def test_without_competing_death_auroc_brier_and_incidence_equal_scikit_survival(times, risks):
    for metric in ("auroc", "brier", "cumulative_incidence"):
        assert_equal(metric, "any", times, risks, "scikit-survival")


@on_all_data
def test_auroc_with_death_as_control_equals_scikit_survival_where_nobody_is_censored(times, risks):
    assert_equal("auroc", "complete", times, risks, "scikit-survival")
    assert_equal("auroc", "complete", times, risks, "scikit-survival", name="auroc_complete_case")


@on_all_data
def test_weighted_auroc_and_average_precision_equal_scikit_learn_with_weights_of_scikit_survival(
    times, risks
):
    assert_equal("auroc", "onset", times, risks)
    assert_equal("auprc", "onset", times, risks)
    assert_equal("auprc", "complete", times, risks)


@on_all_data
def test_brier_score_with_competing_death_equals_hazardous(times, risks):
    assert_equal("brier", "onset", times, risks, "hazardous")


@on_all_data
def test_scaled_brier_score_is_beside_that_of_the_incidence_told_to_everybody(times, risks):
    score, of_incidence = (theirs(name, "onset", times, risks) for name in ("brier", "brier_of_incidence"))
    for horizon in HORIZONS:
        found = ours("onset", times, risks, horizon)["brier_scaled"]
        expected = 1 - score[horizon, None] / of_incidence[horizon, None]
        assert found == pytest.approx(expected, abs=1e-9)


def integrated(outcome, times, risks):
    panel = Panel()
    for horizon in HORIZONS:
        one = risk_set(outcome, times, risks, horizon)
        panel.add(one, bootstrapped(one, 0).values)
    return panel.integrated_brier()["value"][0]


@on_all_data
def test_integrated_brier_score_equals_hazardous_from_time_0(times, risks):
    expected = theirs("brier_integrated", "onset", times, risks)[HORIZONS[-1], None]
    assert integrated("onset", times, risks) == pytest.approx(expected, abs=1e-9)


@on_all_data
def test_integrated_brier_score_is_that_of_scikit_survival_and_a_triangle_before_the_first_horizon(
    times, risks
):
    """Theirs is the mean from the first horizon on, ours from time 0, where the score is 0."""
    later = theirs("brier_integrated_from_first", "any", times, risks)[HORIZONS[-1], None]
    first = theirs("brier", "any", times, risks)[HORIZONS[0], None]
    expected = (HORIZONS[0] * first / 2 + (HORIZONS[-1] - HORIZONS[0]) * later) / HORIZONS[-1]
    assert integrated("any", times, risks) == pytest.approx(expected, abs=1e-9)


@on_all_data
@pytest.mark.parametrize("program", ["scikit-survival", "lifelines"])
def test_aalen_johansen_equals_two_programs(times, risks, program):
    """lifelines moves tied events at random; among events alone that changes nothing."""
    assert_equal("cumulative_incidence", "onset", times, risks, program)


@on_all_data
def test_calibration_slope_and_intercept_equal_statsmodels(times, risks):
    assert_equal("calibration_slope", "onset", times, risks)
    assert_equal("calibration_intercept", "onset", times, risks)


@on_all_data
def test_smooth_calibration_errors_equal_splines_of_patsy_fitted_by_statsmodels(times, risks):
    for metric in ("ici", "e50", "e90"):
        assert_equal(metric, "onset", times, risks, tolerance=1e-9)


@on_all_data
def test_observed_over_expected_is_the_incidence_of_scikit_survival_over_the_mean_risk(times, risks):
    for (horizon, _), value in theirs("cumulative_incidence", "onset", times, risks, "scikit").items():
        found = ours("onset", times, risks, horizon)["observed_expected"]
        mean = people()[f"{risks}_{horizon}"].mean()
        assert found == pytest.approx(value / mean, abs=1e-9)


@on_all_data
@pytest.mark.parametrize("program", ["hazardous", "lifelines", "scikit-survival"])
def test_c_index_without_censoring_equals_three_programs(times, risks, program):
    assert_equal("c_index", "complete", times, risks, program)


@on_all_data
def test_c_index_is_the_mean_auroc_of_cases_against_those_without_the_outcome(times, risks):
    assert_equal("c_index", "onset", times, risks, "scikit-survival")


@on_all_data
def test_c_index_of_hazardous_weighs_pairs_otherwise_and_differs_by_little(times, risks):
    """Theirs weighs pairs by G at the case's time and keeps those censored later as partners."""
    for (horizon, _), value in theirs("c_index", "onset", times, risks, "hazardous").items():
        found = ours("onset", times, risks, horizon)["c_index"]
        assert found != pytest.approx(value, abs=1e-9)
        assert found == pytest.approx(value, abs=0.015)


def curve(on, weights, thresholds):
    known = on.known
    case = on.status[known] == CASE
    risk, subject = on.risks["model"][known], on.subject_id[known]
    return utility.decision_curve(risk, case, weights[known], subject, np.array(thresholds))


def sample_weights(on, stratum=None):
    ones = np.ones((1, len(on.time_years)))
    return censoring_weights(on.time_years, on.event, on.horizon_years, ones, stratum)[0]


@on_all_data
def test_net_benefit_without_censoring_equals_dcurves(times, risks):
    for metric in ("net_benefit", "net_benefit_all"):
        for (horizon, threshold), value in theirs(metric, "complete", times, risks, "dcurves").items():
            on = risk_set("complete", times, risks, horizon)
            found = curve(on, sample_weights(on), [threshold])
            assert getattr(found, metric)[0] == pytest.approx(value, abs=1e-9)


@on_all_data
@pytest.mark.parametrize("outcome", ["any", "onset"])
def test_net_benefit_with_censoring_equals_theirs_with_one_g_for_the_flagged_and_one_for_others(
    times, risks, outcome
):
    """dcurves takes the incidence among the flagged (with death Aalen-Johansen of scikit-survival)."""
    for (horizon, threshold), value in theirs("net_benefit", outcome, times, risks).items():
        on = risk_set(outcome, times, risks, horizon)
        flagged = on.risks["model"] >= threshold
        by_flag = curve(on, sample_weights(on, flagged.astype(int)), [threshold])
        assert by_flag.net_benefit[0] == pytest.approx(value, abs=1e-9)
        one_for_all = curve(on, sample_weights(on), [threshold])
        assert one_for_all.net_benefit[0] == pytest.approx(value, abs=0.015)


@on_all_data
def test_sensitivity_and_predictive_value_equal_scikit_learn(times, risks):
    for metric in ("sensitivity", "positive_predictive_value"):
        for (horizon, threshold), value in theirs(metric, "onset", times, risks).items():
            on = risk_set("onset", times, risks, horizon)
            found = curve(on, sample_weights(on), [threshold])
            assert getattr(found, metric)[0] == pytest.approx(value, abs=1e-9)


@on_all_data
def test_weights_sum_to_the_number_of_people(times, risks):
    expected = theirs("sum_of_weights", "onset", times, risks)
    for horizon in HORIZONS:
        total = sample_weights(risk_set("onset", times, risks, horizon)).sum()
        assert total == pytest.approx(expected[horizon, None], abs=1e-9)
        assert total == pytest.approx(len(people()), abs=1e-9)


def test_at_equal_times_weights_of_scikit_survival_sum_to_more_than_the_people():
    """Its G at the time of an event has the censorings of that time in it, and those events in its risk set
    out of it, so that cases weigh too much: of five people, 6.25."""
    for total in as_they_are("sum_of_weights", "scikit-survival").values():
        assert total > len(people()) + 5
    time, event = np.array([1.0, 2.0, 3.0, 3.0, 4.0]), np.array([0, 1, 0, 1, 1])
    # Censored at 1 (of five) and at 3 (of the two left when the event there is over).
    until = np.array([4 / 5, 4 / 5, 4 / 5, 4 / 5, 4 / 5 * 1 / 2])
    after = np.array([4 / 5, 4 / 5, 4 / 5 * 1 / 2, 4 / 5 * 1 / 2, 4 / 5 * 1 / 2])
    weights = censoring_weights(time, event, 5.0, np.ones((1, 5)))[0]
    assert weights == pytest.approx((event == 1) / until)
    assert weights.sum() == pytest.approx(5)
    assert ((event == 1) / after).sum() == pytest.approx(6.25)


def test_at_equal_times_hazardous_lets_the_censored_leave_first():
    """Told the same, ours is the same; with events first it differs beyond rounding."""
    for horizon, value in as_they_are("brier", "hazardous").items():
        assert ours("onset", "whole", "tied", horizon, QUARTER)["brier"] == pytest.approx(value, abs=1e-9)
        assert ours("onset", "whole", "tied", horizon)["brier"] != pytest.approx(value, abs=1e-4)


def test_at_equal_times_lifelines_draws_who_comes_first():
    """Its incidence lies between that with events first, as of scikit-survival, and with censorings first."""
    exact = as_they_are("cumulative_incidence", "scikit-survival")
    for horizon, value in as_they_are("cumulative_incidence", "lifelines").items():
        events_first = ours("onset", "whole", "tied", horizon)["cumulative_incidence"]
        censored_first = ours("onset", "whole", "tied", horizon, QUARTER)["cumulative_incidence"]
        assert events_first == pytest.approx(exact[horizon], abs=1e-9)
        assert events_first + 1e-4 < value < censored_first - 1e-4
