"""Calibration curves and their bands against known laws."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from proband.evaluate.metrics.calibration import expit, logit
from proband.evaluate.metrics.compare import HIGH, LOW
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.metrics.smooth import ERROR_GROUPS, HISTOGRAM_BINS, Smoother, histogram_edges
from resampled import frames_of

HORIZON = 5.0


def law(rng, size, a, b):
    """True risks, and the predicted ones, expit(a + b logit(true)): observed is expit((logit(r) - a) / b)."""
    true = expit(rng.normal(-1.5, 1, size))
    return true, expit(a + b * logit(true))


def followed(rng, true, risk):
    """People of these true risks by the horizon, half of whom leave at random before it."""
    onset = rng.exponential(-HORIZON / np.log1p(-true))
    leave = rng.uniform(0, 2 * HORIZON, len(true))
    event = (onset <= leave).astype(np.int8)
    return RiskSet("x", HORIZON, np.arange(len(true)), np.minimum(onset, leave), event, {"m": risk})


def coverage(curve, truth):
    return ((curve["low"] <= truth) & (truth <= curve["high"])).mean()


def band(rng, true, risk, replicates=200):
    """The curve where nobody is censored, by the smoother alone."""
    smoother, size = Smoother(risk, np.arange(len(risk))), len(risk)
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=replicates)
    weights = np.vstack([np.ones(size), drawn])
    curve = smoother.curve(smoother.coefficients(rng.random(size) < true, weights))
    low, high = np.quantile(curve[1:], [LOW, HIGH], axis=0)
    return {"predicted": smoother.points, "observed": curve[0], "low": low, "high": high}


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-0.7, 1.0), (0.3, 1.8)])
def test_the_curve_is_near_the_true_one_and_its_band_covers_it(a, b):
    rng = np.random.default_rng(0)
    shares, diagonal, distances = [], [], []
    for _ in range(80):
        curve = band(rng, *law(rng, 1500, a, b))
        truth = expit((logit(curve["predicted"]) - a) / b)
        shares.append(coverage(curve, truth))
        diagonal.append(coverage(curve, curve["predicted"]))
        distances.append(np.abs(curve["observed"] - truth).mean())
    assert np.mean(distances) < 0.02
    assert np.mean(shares) == pytest.approx(0.95, abs=0.045)  # standard error 0.015
    if (a, b) != (0, 1):
        assert np.mean(diagonal) < 0.45


@pytest.mark.slow
def test_bands_cover_under_censoring_and_only_those_of_right_risks_hold_the_diagonal():
    rng = np.random.default_rng(1)
    found = {0.0: [], -0.7: []}
    for a, shares in found.items():
        for _ in range(150):
            risk_set = followed(rng, *law(rng, 1500, a, 1.0))
            curve = frames_of(risk_set, 200)["calibration_curve"]
            truth = pl.Series(expit(logit(curve["predicted"].to_numpy()) - a))
            shares.append((coverage(curve, truth), coverage(curve, curve["predicted"])))
    right, shifted = (np.mean(shares, axis=0) for shares in found.values())
    assert right == pytest.approx(0.95, abs=0.035)  # standard error 0.012
    assert shifted[0] == pytest.approx(0.95, abs=0.035)  # standard error 0.012
    assert shifted[1] < 0.3


def test_weighting_for_censoring_keeps_the_curve_and_leaving_it_out_does_not():
    rng = np.random.default_rng(2)
    true, risk = law(rng, 40_000, 0.0, 1.0)
    risk_set = followed(rng, true, risk)
    curve = frames_of(risk_set, 0)["calibration_curve"]
    assert (curve["observed"] - curve["predicted"]).abs().max() < 0.03
    smoother = Smoother(risk, risk_set.known)
    unweighted = np.ones((1, len(risk_set.known)))
    case = risk_set.status[risk_set.known] == 1
    plain = smoother.curve(smoother.coefficients(case, unweighted))[0]
    assert (plain - smoother.points).max() > 0.05


def test_points_lie_between_the_outer_percentiles_and_count_people_on_either_side():
    rng = np.random.default_rng(3)
    true, risk = law(rng, 1000, 0.0, 1.0)
    frames = frames_of(followed(rng, true, risk), 20)
    curve = frames["calibration_curve"]
    assert curve.height == 50
    assert curve["predicted"][0] == pytest.approx(expit(np.quantile(logit(risk), [0.01]))[0])
    assert np.ptp(np.diff(logit(curve["predicted"].to_numpy()))) < 1e-9
    assert curve["num_subjects_below"].to_list() == [int((risk <= at).sum()) for at in curve["predicted"]]
    assert set(curve["num_subjects_below"] + curve["num_subjects_above"]) == {1000}
    assert (curve["low"] <= curve["high"]).all()
    assert frames["risk_histogram"]["num_subjects"].sum() == 1000


def test_a_subject_predicted_twice_is_drawn_as_one():
    rng = np.random.default_rng(4)
    once = followed(rng, *law(rng, 400, 0.0, 1.0))
    rows = np.repeat(np.arange(400), 2)
    twice = RiskSet("x", HORIZON, rows, once.time_years[rows], once.event[rows], {"m": once.risks["m"][rows]})
    one, two = (frames_of(risk_set, 60)["calibration_curve"] for risk_set in (once, twice))
    for name in ("observed", "low", "high"):
        assert two[name].to_numpy() == pytest.approx(one[name].to_numpy(), abs=0.01)
    assert set(two["num_subjects_below"] + two["num_subjects_above"]) == {400}


@pytest.mark.parametrize("levels", [1, 2, 13])
def test_few_different_risks_have_no_curve(levels):
    rng = np.random.default_rng(5)
    risk = np.linspace(0.1, 0.4, levels)[rng.integers(levels, size=600)]
    frames = frames_of(followed(rng, risk, risk), 10)
    assert frames["calibration_curve"].is_empty()
    assert frames["risk_histogram"]["num_subjects"].sum() == 600


def test_too_few_cases_have_no_curve():
    rng = np.random.default_rng(6)
    risk = rng.uniform(0.01, 0.03, 800)
    risk_set = followed(rng, risk, risk)
    assert 5 <= risk_set.counts[1] < 30
    frames = frames_of(risk_set, 10)
    assert frames["calibration_curve"].is_empty()
    assert frames["calibration"].height


def test_bins_by_hand():
    event = np.repeat([1, 0], 60).astype(np.int8)
    risk = np.concatenate([np.full(100, 0.05), np.full(17, 0.241), [0.25, 0.9, 0.95]])
    risk_set = RiskSet("x", HORIZON, np.arange(120), np.where(event == 1, 1.0, 6.0), event, {"m": risk})
    bins = frames_of(risk_set, 0)["risk_histogram"]
    # The 99th percentile is 0.7765, over 25 is 0.031, in two digits upwards 0.032: 25 bins to 0.8.
    assert bins["low"][:3].to_list() == pytest.approx([0, 0.032, 0.064])
    assert bins.height == 25
    held = {row["low"]: row["num_subjects"] for row in bins.iter_rows(named=True) if row["num_subjects"]}
    assert held == pytest.approx({0.032: 100, 0.224: 18, 0.768: 2})


@given(arrays.arrays(float, st.integers(1, 200), elements=st.floats(0, 1)))
def test_edges_rise_from_nothing_to_the_highest_percentile(risk):
    edges = histogram_edges(risk)
    assert edges[0] == 0
    assert (np.diff(edges) > 0).all()
    assert 2 <= len(edges) <= HISTOGRAM_BINS + 1
    assert edges[-1] <= 1
    assert edges[-1] >= min(1.0, np.quantile(risk, 0.99)) - 1e-8


def test_errors_by_group_give_nearly_the_index_of_all_rows_and_all_of_it_below_the_number_of_groups():
    rng = np.random.default_rng(5)
    for size, tolerance in ((ERROR_GROUPS, 1e-12), (4000, 0.01)):
        risk = expit(rng.normal(-1.5, 1, size))
        case = rng.random(size) < expit(0.7 * logit(risk) - 0.2)
        drawn = rng.multinomial(size, np.full(size, 1 / size), 20).astype(float)
        smoother = Smoother(risk, np.arange(size))
        fit = smoother.coefficients(case, np.vstack([np.ones(size), drawn]))[1:]
        exact = (smoother.errors(fit) * drawn[:, smoother.order]).sum(axis=1) / size
        errors, number = smoother.errors_by_group(fit, drawn)
        assert number.sum(axis=1) == pytest.approx(np.full(20, size))
        assert (errors * number).sum(axis=1) / size == pytest.approx(exact, rel=tolerance)
