"""Do predicted risks mean what they say: logistic fits for slope and intercept, and groups of rising risk.

Weighted estimators return one value per row of ``weights`` (replicates); the first row must be the sample
itself. Logistic fits of the other replicates are one Newton step from the sample's fit, which is equal to
first order and costs one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

RISK_FLOOR = 1e-6
"""Risks are moved into [RISK_FLOOR, 1 − RISK_FLOOR] before the logit, so that a sampled risk of 0 counts
as "less than one in a million" and not as minus infinity. A higher floor bends slopes of rare outcomes."""

_NEWTON_STEPS = 50
LEAST_LOSS = 1e-6
"""Loss per row, nats, below which a regression is taken to separate cases from others."""
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
    precision: Float[np.ndarray, " features"] | float = 0.0,
    start: Float[np.ndarray, " features"] | None = None,
) -> Float[np.ndarray, " features"]:
    """Weighted maximum likelihood of a logistic regression by Newton's method with step halving.

    Args:
        design: Features.
        case: Outcomes.
        weights: Of the rows.
        offset: Log odds to begin with.
        precision: Of normal priors about 0 of the coefficients; 0 is none.
        start: Coefficients to begin with; None for 0. Near the result, they save steps.

    Returns:
        The coefficients; NaN where it does not converge (separated classes).
    """

    def loss(beta: Float[np.ndarray, " features"]) -> float:
        return _loss(design @ beta + offset, case, weights) + 0.5 * float((precision * beta**2).sum())

    def derivatives(beta: Float[np.ndarray, " features"]) -> tuple[np.ndarray, np.ndarray]:
        chance = expit(design @ beta + offset)
        gradient = design.T @ (weights * (case - chance)) - precision * beta
        information = (design.T * (weights * chance * (1 - chance))) @ design
        return gradient, information + np.diag(np.broadcast_to(precision, len(beta)))

    begin = np.zeros(design.shape[1]) if start is None else start
    beta, least, _ = minimised(loss, derivatives, begin)
    separated = least < LEAST_LOSS * weights.sum()
    if separated or not np.isfinite(beta).all():
        return np.full(design.shape[1], np.nan)
    return beta


def minimised(
    loss: Callable[[Float[np.ndarray, " features"]], float],
    derivatives: Callable[[Float[np.ndarray, " features"]], tuple[np.ndarray, np.ndarray]],
    start: Float[np.ndarray, " features"],
) -> tuple[Float[np.ndarray, " features"], float, bool]:
    """Newton's method with step halving.

    Args:
        loss: Minus the log likelihood of coefficients.
        derivatives: Gradient of the log likelihood, and its curvature or information.
        start: Coefficients to begin with.

    Returns:
        The coefficients, their loss, and whether the steps came to an end.
    """
    beta, now = start, loss(start)
    for _ in range(_NEWTON_STEPS):
        gradient, curvature = derivatives(beta)
        step = newton_steps(curvature[None], gradient[None])[0]
        while (new := loss(beta + step)) > now + 1e-12:
            step = step / 2
            if np.abs(step).max() < 1e-10:
                break
        beta, gain, now = beta + step, now - new, new
        if np.abs(step).max() < 1e-8 or 0 <= gain < 1e-13 * abs(now):
            return beta, now, True
    return beta, now, False


def _loss(
    log_odds: Float[np.ndarray, " rows"], case: Bool[np.ndarray, " rows"], weights: Float[np.ndarray, " rows"]
) -> float:
    return float(weights @ (np.logaddexp(0.0, log_odds) - case * log_odds))


def newton_steps(
    curvature: Float[np.ndarray, "replicates features features"],
    gradient: Float[np.ndarray, "replicates features"],
) -> Float[np.ndarray, "replicates features"]:
    """Newton steps, with just enough ridge that a replicate without information does not fail."""
    size = curvature.shape[1]
    scale = np.trace(curvature, axis1=1, axis2=2)[:, None, None] / size + 1e-12
    return np.linalg.solve(curvature + _RIDGE * scale * np.eye(size), gradient[:, :, None])[:, :, 0]


class Refit:
    """A regression fitted in the sample, and one Newton step from there in every replicate.

    What each row adds to gradient and curvature is worked out once, so that a replicate costs one product.

    Args:
        beta: The sample's coefficients; NaN gives NaN.
        gradient: Of the log likelihood, what each row adds at these coefficients.
        curvature: Of the log likelihood, negative.
    """

    def __init__(
        self,
        beta: Float[np.ndarray, " features"],
        gradient: Float[np.ndarray, "rows features"],
        curvature: Float[np.ndarray, "rows features features"],
    ) -> None:
        self.beta = beta
        # A curvature is symmetric: its lower triangle is read off the upper one.
        upper = np.triu_indices(len(beta))
        self._shares = np.hstack([gradient, curvature[:, *upper]])
        self._entry = np.zeros((len(beta), len(beta)), dtype=np.int64)
        self._entry[upper] = self._entry.T[upper] = len(beta) + np.arange(len(upper[0]))

    @classmethod
    def logistic(
        cls,
        design: Float[np.ndarray, "rows features"],
        case: Bool[np.ndarray, " rows"],
        beta: Float[np.ndarray, " features"],
        offset: Float[np.ndarray, " rows"] | float = 0.0,
    ) -> Refit:
        """Of a logistic regression fitted by :func:`fit_logistic`."""
        chance = expit(design @ beta + offset)
        products = design[:, :, None] * design[:, None, :]
        variance = (chance * (1 - chance))[:, None, None]
        return cls(beta, design * (case - chance)[:, None], products * variance)

    def coefficients(
        self, weights: Float[np.ndarray, "replicates rows"]
    ) -> Float[np.ndarray, "replicates features"]:
        """Those of every replicate."""
        if not np.isfinite(self.beta).all():
            return np.full((len(weights), len(self.beta)), np.nan)
        sums = weights @ self._shares
        return self.beta + newton_steps(sums[:, self._entry], sums[:, : len(self.beta)])


def slope_fit(
    risk: Float[np.ndarray, " rows"], case: Bool[np.ndarray, " rows"], weights: Float[np.ndarray, " rows"]
) -> Refit:
    """logit P(case) = a + b logit(risk), fitted with these weights; NaN where all risks are equal.

    Args:
        risk: Predicted risk of the rows whose status is known.
        case: Which of them are cases.
        weights: Of the sample, censoring weights included.
    """
    design = np.column_stack([np.ones(len(risk)), logit(risk)])
    calibrated = np.array([0.0, 1.0])
    beta = np.full(2, np.nan) if np.ptp(risk) == 0 else fit_logistic(design, case, weights, start=calibrated)
    return Refit.logistic(design, case, beta)


def intercept_fit(
    risk: Float[np.ndarray, " rows"], case: Bool[np.ndarray, " rows"], weights: Float[np.ndarray, " rows"]
) -> Refit:
    """logit P(case) = a + logit(risk), fitted with these weights; arguments of :func:`slope_fit`."""
    design, offset = np.ones((len(risk), 1)), logit(risk)
    return Refit.logistic(design, case, fit_logistic(design, case, weights, offset), offset)


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
    return slope_fit(risk, case, weights[0]).coefficients(weights)[:, 1]


def intercept(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "replicates rows"],
) -> Float[np.ndarray, " replicates"]:
    """Calibration in the large: of logit P(case) = a + logit(risk), a. Above 0 the risks are too low."""
    return intercept_fit(risk, case, weights[0]).coefficients(weights)[:, 0]


def risk_groups(risk: Float[np.ndarray, " rows"], most: int) -> list[np.ndarray]:
    """Row numbers of up to ``most`` groups of rising risk, about equal in size; ties stay together.

    >>> [group.tolist() for group in risk_groups(np.array([0.3, 0.1, 0.1, 0.2]), 2)]
    [[1, 2], [3, 0]]
    """
    order = np.argsort(risk, kind="stable")
    cuts = np.linspace(0, len(order), most + 1).round().astype(int)[1:-1]
    cuts = cuts[cuts < len(order)]  # fewer rows than groups
    starts = np.searchsorted(risk[order], risk[order][cuts], side="left")
    return [group for group in np.split(order, np.unique(starts)) if len(group)]


def group_numbers(groups: Sequence[np.ndarray], size: int) -> Int[np.ndarray, " rows"]:
    """Of each row the number of its group of :func:`risk_groups`, from 0.

    >>> group_numbers([np.array([1, 2]), np.array([3, 0])], 4).tolist()
    [1, 0, 0, 1]
    """
    number = np.zeros(size, dtype=np.int64)
    for at, rows in enumerate(groups):
        number[rows] = at
    return number
