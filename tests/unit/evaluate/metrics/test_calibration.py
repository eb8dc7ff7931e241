import itertools

import numpy as np
import pytest

from proband.core.statistics.splines import spline_basis
from proband.evaluate.metrics.calibration import (
    Refit,
    expit,
    fit_logistic,
    intercept,
    logit,
    risk_groups,
    slope,
)
from proband.evaluate.metrics.smooth import Smoother


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(3)
    risk = expit(rng.normal(-2, 1, 20_000))
    return risk, rng.random(20_000) < risk


def ones(case):
    return np.ones((1, len(case)))


def test_logistic_fit_equals_scikit_learn(sample):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(300, 2)), rng.random(300) + 0.2
    case = rng.random(300) < expit(x[:, 0] - 0.5)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(x, case, weights)
    ours = fit_logistic(np.column_stack([np.ones(300), x]), case, weights)
    assert ours == pytest.approx(np.append(theirs.intercept_, theirs.coef_), abs=1e-4)


def test_calibrated_model_has_slope_one_and_intercept_zero(sample):
    risk, case = sample
    assert slope(risk, case, ones(case))[0] == pytest.approx(1, abs=0.06)
    assert intercept(risk, case, ones(case))[0] == pytest.approx(0, abs=0.06)


def test_overconfident_and_shifted_models_are_found(sample):
    risk, case = sample
    assert slope(expit(2 * logit(risk)), case, ones(case))[0] == pytest.approx(0.5, abs=0.03)
    assert intercept(expit(logit(risk) - 0.7), case, ones(case))[0] == pytest.approx(0.7, abs=0.06)


def index_of(risk, case):
    smoother = Smoother(risk, np.arange(len(case)))
    return smoother.errors(smoother.coefficients(case, ones(case))).mean()


def test_calibration_index_grows_with_miscalibration(sample):
    risk, case = sample
    assert index_of(risk, case) < 0.006
    shifted = np.clip(risk + 0.05, 0, 1)
    assert index_of(shifted, case) == pytest.approx(0.05, abs=0.01)


def test_one_step_replicates_are_near_full_refits(sample):
    risk, case = sample[0][:1500], sample[1][:1500]
    weights = np.random.default_rng(1).multinomial(1500, np.full(1500, 1 / 1500), size=20).astype(float)
    design = np.column_stack([np.ones(1500), logit(risk)])
    quick = Refit.logistic(design, case, fit_logistic(design, case, np.ones(1500))).coefficients(weights)
    full = np.array([fit_logistic(design, case, row) for row in weights])
    assert np.abs(quick - full).max() < 0.15 * full.std(axis=0).max() + 0.02


def test_equal_risks_and_separation_give_nan():
    case = np.array([False, False, True, True])
    assert np.isnan(slope(np.full(4, 0.2), case, ones(case))[0])
    assert np.isnan(slope(np.array([0.1, 0.11, 0.4, 0.5]), case, ones(case))[0])


def test_zero_and_one_risks_are_finite():
    case = np.array([False, True, False, True, True, False])
    assert np.isfinite(slope(np.array([0, 0, 0, 1, 1, 1.0]), case, ones(case))[0])


def test_spline_is_linear_beyond_its_knots():
    knots = np.array([-1.0, 0.0, 1.0, 2.0])
    for x in (np.array([3.0, 4, 5]), np.array([-4.0, -3, -2])):
        assert np.diff(spline_basis(x, knots), n=2, axis=0) == pytest.approx(0, abs=1e-9)


def test_groups_keep_ties_together_and_lose_nobody():
    rng = np.random.default_rng(0)
    risk = rng.integers(0, 7, 200) / 10
    groups = risk_groups(risk, 10)
    assert sorted(np.concatenate(groups)) == list(range(200))
    levels = [set(risk[group]) for group in groups]
    assert all(max(low) < min(high) for low, high in itertools.pairwise(levels))
    assert len(risk_groups(np.full(5, 0.1), 10)) == 1
    assert [group.tolist() for group in risk_groups(np.array([0.3, 0.1]), 10)] == [[1], [0]]
