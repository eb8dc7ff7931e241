r"""Adjust scores for ancestry: by population, by the mean along components, or by mean and variance.

With S a score and x the standardised components with a leading 1, fitted on unrelated people (ddof 0):

    Z_MostSimilarPop = (S - mean_p) / sd_p                        p the most similar population
    Z_norm1          = (S - b'x) / sd(residuals)                  b by least squares
    Z_norm2          = (S - m'x) / sqrt(exp(v'x))                 m, v by maximum likelihood of the normal law

Z_norm1 follows Khera 2019 (doi:10.1161/CIRCULATIONAHA.118.035658), Z_norm2 Khan 2022
(doi:10.1038/s41591-022-01869-1), both as pgsc_calc computes them. All scores of a batch are fitted together.
A score that does not vary, or that somebody fitted lacks, is NaN.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

_MOST_STEPS = 200
_TOLERANCE = 1e-12  # of the log-likelihood per person, in nats
_ROUNDING = 1e-14  # a fall of the likelihood below this is none
_HALVINGS = 30


def design(pcs: Float64[np.ndarray, "people pcs"]) -> Float64[np.ndarray, "people terms"]:
    """A column of ones before the components."""
    return np.column_stack([np.ones(len(pcs)), pcs])


def population_moments(
    scores: Float64[np.ndarray, "people scores"], is_of: Bool[np.ndarray, "people populations"]
) -> tuple[Float64[np.ndarray, "populations scores"], Float64[np.ndarray, "populations scores"]]:
    """Mean and standard deviation per population and score; the deviation NaN where nothing varies."""
    means = np.stack([scores[member].mean(axis=0) for member in is_of.T])
    deviations = np.stack([_deviation(scores[member]) for member in is_of.T])
    return means, deviations


def fit_mean(
    scores: Float64[np.ndarray, "people scores"], terms: Float64[np.ndarray, "people terms"]
) -> tuple[Float64[np.ndarray, "terms scores"], Float64[np.ndarray, " scores"]]:
    """Coefficients of the mean by least squares, and the residuals' standard deviation."""
    coefficients = np.linalg.lstsq(terms, scores, rcond=None)[0]
    return coefficients, np.where(
        np.isnan(_deviation(scores)), np.nan, _deviation(scores - terms @ coefficients)
    )


def _deviation(scores: Float64[np.ndarray, "people scores"]) -> Float64[np.ndarray, " scores"]:
    varies = scores.max(axis=0) > scores.min(axis=0)
    return np.where(varies, scores.std(axis=0), np.nan)


def fit_mean_and_variance(
    scores: Float64[np.ndarray, "people scores"], terms: Float64[np.ndarray, "people terms"]
) -> tuple[Float64[np.ndarray, "terms scores"], Float64[np.ndarray, "terms scores"]]:
    """Coefficients of the mean and of the log-variance by maximum likelihood.

    Starts at least squares and, for the variance, a gamma regression of the squared residuals (log link).
    """
    varies = ~np.isnan(_deviation(scores))
    mean, variance = (np.full((terms.shape[1], scores.shape[1]), np.nan) for _ in range(2))
    if varies.any():
        chosen = scores[:, varies]
        centre, unit = chosen.mean(axis=0), chosen.std(axis=0)
        scaled_mean, scaled_variance = _maximum_likelihood((chosen - centre) / unit, terms)
        mean[:, varies], variance[:, varies] = scaled_mean * unit, scaled_variance
        mean[0, varies] += centre
        variance[0, varies] += 2 * np.log(unit)
    return mean, variance


def _maximum_likelihood(
    scores: Float64[np.ndarray, "people scores"], terms: Float64[np.ndarray, "people terms"]
) -> tuple[Float64[np.ndarray, "terms scores"], Float64[np.ndarray, "terms scores"]]:
    """The estimates for scores of mean 0 and variance 1.

    A step is the weighted least-squares mean given the variance, then Fisher scoring of the log-variance
    given the mean; each raises the likelihood.
    """
    mean = np.linalg.lstsq(terms, scores, rcond=None)[0]
    squares = np.square(scores - terms @ mean)
    variance = np.zeros_like(mean)
    variance[0] = np.log(np.maximum(squares.mean(axis=0), np.finfo(np.float64).tiny))
    variance, likelihood = _gamma_regression(squares, terms, variance)
    for _ in range(_MOST_STEPS):
        mean = _weighted_mean(scores, terms, variance)
        variance, reached = _scoring_step(np.square(scores - terms @ mean), terms, variance)
        if (reached - likelihood < _TOLERANCE).all():
            break
        likelihood = reached
    return mean, variance


def _gamma_regression(
    squares: Float64[np.ndarray, "people scores"],
    terms: Float64[np.ndarray, "people terms"],
    variance: Float64[np.ndarray, "terms scores"],
) -> tuple[Float64[np.ndarray, "terms scores"], Float64[np.ndarray, " scores"]]:
    likelihood = np.full(squares.shape[1], -np.inf)
    for _ in range(_MOST_STEPS):
        variance, reached = _scoring_step(squares, terms, variance)
        if (reached - likelihood < _TOLERANCE).all():
            break
        likelihood = reached
    return variance, reached


def _weighted_mean(
    scores: Float64[np.ndarray, "people scores"],
    terms: Float64[np.ndarray, "people terms"],
    variance: Float64[np.ndarray, "terms scores"],
) -> Float64[np.ndarray, "terms scores"]:
    """Least squares weighted by the inverse variance, every score by its own weights."""
    weights = np.exp(-(terms @ variance))
    num_terms = terms.shape[1]
    products = (terms[:, :, None] * terms[:, None, :]).reshape(len(terms), -1)
    normal = (weights.T @ products).reshape(-1, num_terms, num_terms)
    moments = (weights * scores).T @ terms
    return np.linalg.solve(normal, moments[:, :, None])[:, :, 0].T


def _scoring_step(
    squares: Float64[np.ndarray, "people scores"],
    terms: Float64[np.ndarray, "people terms"],
    variance: Float64[np.ndarray, "terms scores"],
) -> tuple[Float64[np.ndarray, "terms scores"], Float64[np.ndarray, " scores"]]:
    """One step of Fisher scoring, whose information ``x x' / 2`` no parameter changes, and its likelihood.

    Halved where the likelihood would fall.
    """
    before = _log_likelihood(squares, terms, variance)
    slope = terms.T @ (squares * np.exp(-(terms @ variance)) - 1)
    step = np.linalg.solve(terms.T @ terms, slope)
    for _ in range(_HALVINGS):
        after = _log_likelihood(squares, terms, variance + step)
        falls = ~(after >= before - _ROUNDING)
        if not falls.any():
            break
        step[:, falls] /= 2
    step[:, falls] = 0
    return variance + step, np.where(falls, before, after)


def _log_likelihood(
    squares: Float64[np.ndarray, "people scores"],
    terms: Float64[np.ndarray, "people terms"],
    variance: Float64[np.ndarray, "terms scores"],
) -> Float64[np.ndarray, " scores"]:
    """Mean per person of the normal log-density, less its constant."""
    with np.errstate(over="ignore"):
        misfit = np.mean(squares * np.exp(-(terms @ variance)), axis=0)
    return -0.5 * (terms.mean(axis=0) @ variance + misfit)
