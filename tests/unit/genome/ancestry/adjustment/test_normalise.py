from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import GammaRegressor

from proband.genome.ancestry.adjustment.adjust import adjusted
from proband.genome.ancestry.adjustment.normalise import (
    _gamma_regression,
    design,
    fit_mean,
    fit_mean_and_variance,
    population_moments,
)
from proband.genome.ancestry.model import Adjustment

FROZEN = Path(__file__).parents[4] / "reference" / "ancestry_pgsc_calc"
SCORES = ["S1", "S2", "S3"]
PCS = [f"PC{number}" for number in range(1, 5)]


def simulated(num_people=3000, num_scores=6, seed=0):
    """Scores whose mean and variance hang on components, and the coefficients they were made with."""
    rng = np.random.default_rng(seed)
    pcs = rng.normal(size=(num_people, 4)) + 3 * (rng.random((num_people, 1)) < 0.3) * [1, 0, 0, -0.5]
    terms = design((pcs - pcs.mean(axis=0)) / pcs.std(axis=0))
    mean, variance = rng.normal(size=(2, 5, num_scores)) * [[[1]], [[0.3]]]
    scores = terms @ mean + np.exp(terms @ variance / 2) * rng.normal(size=(num_people, num_scores))
    return scores, terms, mean, variance


def frozen():
    reference = pl.read_csv(FROZEN / "reference.tsv", separator="\t").filter("is_unrelated")
    target = pl.read_csv(FROZEN / "target.tsv", separator="\t")
    centre, spread = reference.select(PCS).mean().row(0), reference.select(PCS).to_numpy().std(axis=0)
    scaled = [(table.select(PCS).to_numpy() - centre) / spread for table in (reference, target)]
    return reference, target, *scaled


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("Z_MostSimilarPop", 2e-6), ("Z_norm1", 2e-6), ("Z_norm2", 2e-4)]
)
def test_equal_to_pgsc_calc(kind, tolerance):
    """Their Z_norm2 is left where a general optimiser stops, so it agrees to fewer digits."""
    reference, target, reference_pcs, target_pcs = frozen()
    populations = sorted(reference["population"].unique())
    is_of = np.stack([(reference["population"] == name).to_numpy() for name in populations], axis=1)
    scores, terms = reference.select(SCORES).to_numpy(), design(reference_pcs)
    fitted = Adjustment(SCORES, populations, *population_moments(scores, is_of), *fit_mean(scores, terms),
                        *fit_mean_and_variance(scores, terms))  # fmt: skip
    raw = target.select(SCORES).to_numpy().astype(np.float32)
    found = adjusted(kind, fitted, raw, target_pcs, target["RandomForest_population"].to_list())
    expected = target.select(f"{kind}|{name}" for name in SCORES).to_numpy()
    assert expected.std() > 0.5
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_maximum_likelihood_is_where_a_general_optimiser_ends():
    scores, terms, _, _ = simulated()
    mean, variance = fit_mean_and_variance(scores, terms)
    for column in range(scores.shape[1]):

        def loss(theta, score=scores[:, column]):
            misfit, log_variance = score - terms @ theta[:5], terms @ theta[5:]
            weight = np.exp(-log_variance)
            slope_mean = -(terms * (misfit * weight)[:, None]).mean(axis=0)
            slope_variance = (terms * (1 - misfit**2 * weight)[:, None]).mean(axis=0) / 2
            return np.mean(log_variance + misfit**2 * weight) / 2, np.concatenate(
                [slope_mean, slope_variance]
            )

        best = minimize(loss, np.zeros(10), jac=True, method="BFGS", options={"gtol": 1e-9})
        np.testing.assert_allclose(np.concatenate([mean[:, column], variance[:, column]]), best.x, atol=1e-6)


def test_start_is_the_gamma_regression():
    _, terms, _, variance = simulated(num_scores=1)
    rng = np.random.default_rng(1)
    squares = np.exp(terms @ variance) * rng.chisquare(1, (len(terms), 1))
    found, _ = _gamma_regression(squares, terms, np.zeros((5, 1)))
    fitted = GammaRegressor(alpha=0, max_iter=1000, tol=1e-8).fit(terms[:, 1:], squares[:, 0])
    np.testing.assert_allclose(found[:, 0], [fitted.intercept_, *fitted.coef_], atol=1e-4)


def test_the_law_is_recovered():
    scores, terms, mean, variance = simulated(num_people=60_000)
    found_mean, found_variance = fit_mean_and_variance(scores, terms)
    spread = np.exp(variance[0] / 2)
    assert np.abs(found_mean - mean).max() < 0.04 * spread.max()
    assert np.abs(found_variance - variance).max() < 0.04


def test_scale_and_shift_of_a_score_change_nothing():
    scores, terms, _, _ = simulated()
    for factor, shift in ((1e-6, 3.0), (1e5, -7e5)):
        plain, moved = (
            fit_mean_and_variance(scores, terms),
            fit_mean_and_variance(scores * factor + shift, terms),
        )
        z = (scores - terms @ plain[0]) / np.exp(terms @ plain[1] / 2)
        z_moved = (scores * factor + shift - terms @ moved[0]) / np.exp(terms @ moved[1] / 2)
        np.testing.assert_allclose(z_moved, z, atol=1e-4)


def test_scores_are_fitted_apart():
    scores, terms, _, _ = simulated()
    together = fit_mean_and_variance(scores, terms)
    for column in range(scores.shape[1]):
        alone = fit_mean_and_variance(scores[:, [column]], terms)
        np.testing.assert_allclose(alone[0][:, 0], together[0][:, column], atol=1e-5)
        np.testing.assert_allclose(alone[1][:, 0], together[1][:, column], atol=1e-5)


def test_by_hand_with_ddof_0():
    scores = np.array([[1.0], [3.0], [10.0], [14.0]])
    means, deviations = population_moments(scores, np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool))
    assert means[:, 0].tolist() == [2, 12]
    assert deviations[:, 0].tolist() == [1, 2]
    terms = design(np.array([[-1.0], [-1.0], [1.0], [1.0]]))
    mean, deviation = fit_mean(scores, terms)
    np.testing.assert_allclose(mean[:, 0], [7, 5])
    np.testing.assert_allclose(deviation, np.sqrt((1 + 1 + 4 + 4) / 4))
    fitted = fit_mean_and_variance(scores, terms)
    np.testing.assert_allclose(fitted[0][:, 0], [7, 5], atol=1e-6)
    np.testing.assert_allclose(np.exp(terms @ fitted[1])[:, 0], [1, 1, 4, 4], rtol=1e-5)


def test_a_score_without_variance_or_with_a_gap_is_nan_and_harms_no_other():
    scores, terms, _, _ = simulated()
    clean = fit_mean_and_variance(scores, terms)
    scores[:, 1] = 0.1
    scores[7, 2] = np.nan
    mean, variance = fit_mean_and_variance(scores, terms)
    _, deviation = fit_mean(scores, terms)
    _, by_population = population_moments(scores, np.ones((len(scores), 1), bool))
    for found in (mean, variance, deviation[None], by_population):
        assert np.isnan(found).any(axis=0).tolist() == [False, True, True, False, False, False]
    np.testing.assert_allclose(mean[:, 3:], clean[0][:, 3:], atol=1e-6)
