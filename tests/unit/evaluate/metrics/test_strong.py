from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.evaluate.metrics.calibration import expit, logit
from proband.evaluate.metrics.registry import METRICS
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.metrics.strong import StrongCalibration
from resampled import bootstrapped, frames_of

STRONG = ("log_odds_rmse", "log_odds_correlation", "log_odds_noise")
SIZE = 4_000


def compared(risk, truth, standard_error=None, weights=None):
    risk, truth = np.array(risk, float), np.array(truth, float)
    error = np.zeros(len(truth)) if standard_error is None else np.array(standard_error, float)
    weights = np.ones((1, len(truth))) if weights is None else np.array(weights, float)
    found = StrongCalibration.of(risk, truth, error)
    return found.rmse(weights), found.correlation(weights), found.noise(weights)


def test_hand_numbers():
    """Log odds 0, log 3 and log 9 beside true ones of 0, log 9 and log 3."""
    rmse, correlation, noise = compared([0.5, 0.75, 0.9], [0.5, 0.9, 0.75], [0.05, 0.009, 0])
    assert rmse[0] == pytest.approx(np.log(3) * np.sqrt(2 / 3))
    assert correlation[0] == pytest.approx(0.5)
    assert noise[0] == pytest.approx(np.sqrt((0.2**2 + 0.1**2) / 3))


def test_who_has_no_true_log_odds_counts_for_nothing():
    without = compared([0.5, 0.75, 0.9], [0.5, 0.9, 0.75])
    beside = compared([0.5, 0.3, 0.75, 0.9, 0.1], [0.5, 0.0, 0.9, 0.75, 1.0], [0, 0.1, 0, 0, 0.1])
    assert np.array(beside) == pytest.approx(np.array(without))
    assert np.isnan(compared([0.1, 0.2], [0.0, 1.0])).all()


def test_equal_risks_have_a_distance_and_no_correlation():
    rmse, correlation, _ = compared([0.2, 0.2], [0.1, 0.3])
    assert rmse[0] > 0
    assert np.isnan(correlation[0])


@given(st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(lambda drawn: sum(map(bool, drawn)) > 2))
def test_rows_drawn_several_times_are_rows_repeated(drawn):
    risk, truth = np.array([0.1, 0.2, 0.3, 0.5, 0.6, 0.9]), np.array([0.2, 0.1, 0.4, 0.3, 0.8, 0.7])
    error, rows = np.linspace(0, 0.05, 6), np.repeat(np.arange(6), drawn)
    weighted = compared(risk, truth, error, [drawn])
    assert np.array(weighted) == pytest.approx(np.array(compared(risk[rows], truth[rows], error[rows])))
    a, b = logit(risk[rows]), logit(truth[rows])
    assert weighted[1][0] == pytest.approx(np.corrcoef(a, b)[0, 1])


def world(log_odds=lambda true, rng: true, error=0.0, seed=0):
    """A risk set of known law: cases are drawn with the true risks, and the model's log odds are given."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-1.5, 1.0, SIZE)
    case = rng.random(SIZE) < expit(true)
    told = expit(true + error * rng.normal(size=SIZE))
    risks = {"model": expit(log_odds(true, rng)), "oracle": told}
    errors = {"model": np.zeros(SIZE), "oracle": error * told * (1 - told)}
    time, event = np.where(case, 2.0, 6.0), case.astype(np.int8)
    return RiskSet("x", 5.0, np.arange(SIZE), time, event, risks, errors, truth="oracle")


def rows_of(risk_set, replicates=100):
    frame = frames_of(risk_set, replicates)["metrics"].filter(model="model")
    return {row["metric"]: row for row in frame.iter_rows(named=True) if row["metric"] in STRONG}


def test_the_truth_itself_is_at_no_distance():
    rows = rows_of(world())
    assert [rows[name]["value"] for name in STRONG] == pytest.approx([0, 1, 0])
    assert rows["log_odds_rmse"]["high"] == pytest.approx(0)


def test_scaled_log_odds_have_the_distance_of_the_law():
    """b times L is (b - 1) L away, whose mean square is (b - 1)² (sd² + mean²)."""
    rows = rows_of(world(lambda true, rng: 1.4 * true))
    wanted = 0.4 * np.sqrt(1.0**2 + 1.5**2)
    assert rows["log_odds_rmse"]["low"] < wanted < rows["log_odds_rmse"]["high"]
    assert rows["log_odds_rmse"]["value"] == pytest.approx(wanted, rel=0.03)
    assert rows["log_odds_correlation"]["value"] == pytest.approx(1)


def test_added_noise_lowers_the_correlation_as_the_law_says():
    rows = rows_of(world(lambda true, rng: true + 0.5 * rng.normal(size=SIZE)))
    assert rows["log_odds_rmse"]["value"] == pytest.approx(0.5, rel=0.03)
    wanted = 1 / np.sqrt(1 + 0.5**2)
    assert rows["log_odds_correlation"]["low"] < wanted < rows["log_odds_correlation"]["high"]


def test_risks_of_the_right_mean_that_know_nothing_are_not_correlated():
    """The negative control, which mean calibration passes."""
    found = bootstrapped(world(lambda true, rng: rng.permutation(true)), 0).values
    assert abs(found["model", "log_odds_correlation"][0]) < 3 / np.sqrt(SIZE)
    assert found["model", "log_odds_rmse"][0] == pytest.approx(np.sqrt(2), rel=0.05)
    assert found["model", "observed_expected"][0] == pytest.approx(1, abs=0.1)


def test_the_noise_of_true_risks_is_the_distance_of_a_model_that_has_it_all_right():
    rows = rows_of(world(error=0.3))
    assert rows["log_odds_noise"]["value"] == pytest.approx(0.3)
    assert rows["log_odds_rmse"]["value"] == pytest.approx(0.3, rel=0.03)
    assert rows["log_odds_correlation"]["value"] == pytest.approx(1 / np.sqrt(1 + 0.3**2), abs=0.005)


def test_only_models_beside_the_truth_have_them():
    beside = world()
    alone = replace(beside, truth="")
    metrics = frames_of(beside, 0)["metrics"]
    assert metrics.filter(model="model")["metric"].to_list() == list(METRICS)
    rest = [name for name in METRICS if name not in STRONG]
    assert metrics.filter(model="oracle")["metric"].to_list() == rest
    assert frames_of(alone, 0)["metrics"].filter(model="model")["metric"].to_list() == rest


def test_predictions_without_true_log_odds_are_counted_in_the_note():
    risk_set = world()
    risk_set.risks["oracle"][:7] = 0
    note = rows_of(risk_set)["log_odds_rmse"]["note"]
    assert note == "7 of 4,000 predictions left out: their true risk is 0 or 1"
    noisy = rows_of(world(error=0.4), 0)["log_odds_rmse"]["note"]
    assert noisy == "the true log odds have sampling noise of 0.40 or more: take more futures"
    risk_set.risks["oracle"][:] = 0
    row = rows_of(risk_set)["log_odds_correlation"]
    assert row["value"] is None
    assert row["note"] == "not estimable: no true risk is above 0 and below 1"
