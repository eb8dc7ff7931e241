from __future__ import annotations

import numpy as np
import pytest

from proband.evaluate.metrics import calibration, sampled

SUBJECTS = 20_000


def shares(rng: np.random.Generator, risk: np.ndarray, lives: int) -> tuple[np.ndarray, np.ndarray]:
    """Risks as shares of simulated lives, and their standard errors."""
    share = rng.binomial(lives, risk) / lives
    return share, np.sqrt(share * (1 - share) / (lives - 1))


def mean_of_pairs(rng: np.random.Generator, risk: np.ndarray, lives: int) -> tuple[np.ndarray, np.ndarray]:
    """Risks as means of pairs of which one has half the lives: not shares of any number."""
    (many, first), (few, second) = shares(rng, risk, lives), shares(rng, risk, lives // 2)
    return (2 * many + few) / 3, np.sqrt((2 * first) ** 2 + second**2) / 3


@pytest.mark.parametrize("make", [shares, mean_of_pairs])
@pytest.mark.parametrize(
    ("mean", "spread", "lives", "slope"),
    [(0.01, 1.0, 200, 1.0), (0.01, 1.0, 200, 0.7), (0.05, 1.0, 30, 1.2), (0.2, 0.7, 50, 1.0)],
)
def test_the_slope_is_that_of_the_risks_behind(make, mean, spread, lives, slope):
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        log_odds = np.log(mean / (1 - mean)) + spread * rng.normal(size=SUBJECTS)
        case = rng.random(SUBJECTS) < calibration.expit(log_odds.mean() * (1 - slope) + slope * log_odds)
        risk, error = make(rng, calibration.expit(log_odds), lives)
        everybody, ones = np.arange(SUBJECTS), np.ones(SUBJECTS)
        of_truth = calibration.slope_fit(calibration.expit(log_odds), case, ones).beta[1]
        corrected = sampled.slope_fit(risk, error, everybody, case, ones).beta[1]
        found.append((corrected - of_truth, calibration.slope_fit(risk, case, ones).beta[1]))
    difference, plain = np.array(found).T
    assert difference.mean() == pytest.approx(0, abs=max(0.02, 3 * difference.std() / np.sqrt(5)))
    assert plain.mean() < 0.9 * slope  # what it would be without


def test_groups_of_many_risks_do_not_move_the_slope(monkeypatch):
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 9, 12_000)
    error = np.sqrt(truth * (1 - truth) / 60)
    risk = np.clip(truth + error * rng.normal(size=len(truth)), 0, 1)
    given = risk, error, np.arange(len(truth)), rng.random(len(truth)) < truth, np.ones(len(truth))
    in_groups = sampled.slope_fit(*given).beta
    monkeypatch.setattr(sampled, "_MOST_DISTINCT", len(truth))
    np.testing.assert_allclose(in_groups, sampled.slope_fit(*given).beta, atol=0.005)


def test_lives_are_counted_from_the_errors_of_shares():
    rng = np.random.default_rng(0)
    risk, error = shares(rng, rng.beta(1, 9, SUBJECTS), 40)
    assert sampled.number_of_lives(risk, error) == pytest.approx(40, rel=1e-9)


def test_a_replicate_is_a_newton_step_from_the_sample():
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 9, 2000)
    risk, error = shares(rng, truth, 40)
    case, everybody = rng.random(2000) < truth, np.arange(2000)
    weights = np.vstack([np.ones(2000), rng.multinomial(2000, np.full(2000, 1 / 2000), size=3)])
    quick = sampled.slope_fit(risk, error, everybody, case, weights[0]).coefficients(weights)
    whole = [sampled.slope_fit(risk, error, everybody, case, row).beta for row in weights]
    np.testing.assert_allclose(quick[0], whole[0], atol=1e-6)
    np.testing.assert_allclose(quick, np.array(whole), atol=0.02)


@pytest.mark.parametrize("case", [np.zeros(50, bool), np.ones(50, bool)])
def test_one_class_has_no_slope(case):
    rng = np.random.default_rng(0)
    risk, error = shares(rng, rng.beta(1, 4, 50), 20)
    assert np.isnan(sampled.slope_fit(risk, error, np.arange(50), case, np.ones(50)).beta).all()


def test_separated_classes_have_no_slope():
    risk = np.repeat([0.1, 0.5], 25)
    error = np.sqrt(risk * (1 - risk) / 199)
    found = sampled.slope_fit(risk, error, np.arange(50), risk > 0.3, np.ones(50))
    assert np.isnan(found.beta).all()


@pytest.mark.parametrize("cases", [1, 2])
def test_few_cases_fail_no_fit(cases):
    rng = np.random.default_rng(0)
    risk, error = shares(rng, np.full(2000, 0.001), 64)
    for chosen in range(40):
        case = np.isin(np.arange(2000), chosen * 50 + np.arange(cases))
        beta = sampled.slope_fit(risk, error, np.arange(2000), case, np.ones(2000)).beta
        assert np.isnan(beta).all() or np.isfinite(beta).all()


def test_equal_risks_have_no_slope():
    risk, case = np.full(50, 0.2), np.arange(50) < 10
    found = sampled.slope_fit(risk, np.full(50, 0.05), np.arange(50), case, np.ones(50))
    assert np.isnan(found.coefficients(np.ones((2, 50)))).all()
