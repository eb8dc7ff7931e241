"""Do predicted risks mean what they say: Brier score, slope and intercept, observed over expected, ICI.

Weighted estimators return one value per row of ``weights`` (replicates); the first row must be the sample
itself. Logistic fits of the other replicates are one Newton step from the sample's fit, which is equal to
first order and costs one matrix product.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from proband.core.splines import KNOT_QUANTILES, spline_basis

RISK_FLOOR = 1e-4
"""Risks are moved into [RISK_FLOOR, 1 − RISK_FLOOR] before the logit, so that a sampled risk of 0 counts
as "less than one in ten thousand" and not as minus infinity."""

_NEWTON_STEPS = 50
_LARGEST_COEFFICIENT = 100.0
_LEAST_LOSS = 1e-6
_RIDGE = 1e-6


def logit(risk: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Log odds of risks moved away from 0 and 1 by RISK_FLOOR."""
    inside = np.clip(risk, RISK_FLOOR, 1 - RISK_FLOOR)
    return np.log(inside / (1 - inside))


def expit(log_odds: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Probability of log odds, safe for any magnitude."""
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def fit_logistic(
    design: Float[np.ndarray, "rows features"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    offset: Float[np.ndarray, " rows"] | float = 0.0,
) -> Float[np.ndarray, " features"]:
    """Weighted maximum likelihood of a logistic regression by Newton's method with step halving.

    Returns:
        The coefficients; NaN where it does not converge (separated classes).
    """
    beta = np.zeros(design.shape[1])
    loss = _loss(design @ beta + offset, case, weights)
    for _ in range(_NEWTON_STEPS):
        chance = expit(design @ beta + offset)
        gradient = design.T @ (weights * (case - chance))
        curvature = (design.T * (weights * chance * (1 - chance))) @ design
        step = _solve(curvature[None], gradient[None])[0]
        while (new := _loss(design @ (beta + step) + offset, case, weights)) > loss + 1e-12:
            step = step / 2
            if np.abs(step).max() < 1e-10:
                break
        beta, gain, loss = beta + step, loss - new, new
        if np.abs(step).max() < 1e-8 or 0 <= gain < 1e-13 * abs(loss):
            break
    separated = loss < _LEAST_LOSS * weights.sum()
    if separated or not np.isfinite(beta).all() or np.abs(beta).max() > _LARGEST_COEFFICIENT:
        return np.full(design.shape[1], np.nan)
    return beta


def _loss(
    log_odds: Float[np.ndarray, " rows"], case: Bool[np.ndarray, " rows"], weights: Float[np.ndarray, " rows"]
) -> float:
    return float(weights @ (np.logaddexp(0.0, log_odds) - case * log_odds))


def _solve(
    curvature: Float[np.ndarray, "replicates features features"],
    gradient: Float[np.ndarray, "replicates features"],
) -> Float[np.ndarray, "replicates features"]:
    """Newton steps, with just enough ridge that a replicate without information does not fail."""
    size = curvature.shape[1]
    scale = np.trace(curvature, axis1=1, axis2=2)[:, None, None] / size + 1e-12
    return np.linalg.solve(curvature + _RIDGE * scale * np.eye(size), gradient[:, :, None])[:, :, 0]


def refit_logistic(
    design: Float[np.ndarray, "rows features"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "replicates rows"],
    beta: Float[np.ndarray, " features"],
    offset: Float[np.ndarray, " rows"] | float = 0.0,
) -> Float[np.ndarray, "replicates features"]:
    """Coefficients of every replicate, one Newton step from those of the sample; NaN if those are."""
    if not np.isfinite(beta).all():
        return np.full((len(weights), len(beta)), np.nan)
    chance = expit(design @ beta + offset)
    size = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    gradient = weights @ (design * (case - chance)[:, None])
    curvature = weights @ (products * (chance * (1 - chance))[:, None])
    return beta + _solve(curvature.reshape(-1, size, size), gradient)


def slope(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "replicates rows"],
) -> Float[np.ndarray, " replicates"]:
    """Calibration slope: of logit P(case) = a + b logit(risk), b. 1 is ideal, below 1 overconfident.

    Args:
        risk: Predicted risk of the rows whose status is known.
        case: Which of them are cases.
        weights: Row weights with censoring weights, the sample first.

    Returns:
        NaN where all risks are equal or the fit fails.
    """
    if np.ptp(risk) == 0:
        return np.full(len(weights), np.nan)
    design = np.column_stack([np.ones(len(risk)), logit(risk)])
    return refit_logistic(design, case, weights, fit_logistic(design, case, weights[0]))[:, 1]


def intercept(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "replicates rows"],
) -> Float[np.ndarray, " replicates"]:
    """Calibration in the large: of logit P(case) = a + logit(risk), a. Above 0 the risks are too low."""
    design, offset = np.ones((len(risk), 1)), logit(risk)
    return refit_logistic(design, case, weights, fit_logistic(design, case, weights[0], offset), offset)[:, 0]


def calibration_index(
    risk: Float[np.ndarray, " rows"],
    known: Bool[np.ndarray, " rows"],
    case: Bool[np.ndarray, " known"],
    weights: Float[np.ndarray, "replicates rows"],
    censoring: Float[np.ndarray, "replicates known"],
) -> Float[np.ndarray, " replicates"]:
    """Integrated calibration index: mean |smoothed observed risk − predicted risk|.

    The smoother is a weighted logistic regression on a restricted cubic spline of logit(risk). Austin and
    Steyerberg 2019, doi:10.1002/sim.8281.

    Args:
        risk: Predicted risk of all rows.
        known: Rows whose status at the horizon is known.
        case: Which of the known rows are cases.
        weights: Row weights, the sample first.
        censoring: Row weights of the known rows with censoring weights.

    Returns:
        A difference of probabilities; 0 is ideal. NaN where the fit fails.
    """
    x = logit(risk)
    knots = np.unique(np.quantile(x, KNOT_QUANTILES))
    design = spline_basis(x, knots) if np.ptp(x) > 0 else np.ones((len(x), 1))
    beta = fit_logistic(design[known], case, censoring[0])
    smoothed = expit(refit_logistic(design[known], case, censoring, beta) @ design.T)
    return np.einsum("rn,rn->r", np.abs(smoothed - risk), weights) / weights.sum(axis=1)


def risk_groups(risk: Float[np.ndarray, " rows"], most: int) -> list[np.ndarray]:
    """Row numbers of up to ``most`` groups of rising risk, about equal in size; ties stay together.

    >>> [group.tolist() for group in risk_groups(np.array([0.3, 0.1, 0.1, 0.2]), 2)]
    [[1, 2], [3, 0]]
    """
    order = np.argsort(risk, kind="stable")
    cuts = np.linspace(0, len(order), most + 1).round().astype(int)[1:-1]
    starts = np.searchsorted(risk[order], risk[order][cuts], side="left")
    return [group for group in np.split(order, np.unique(starts)) if len(group)]
