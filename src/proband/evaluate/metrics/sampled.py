"""Calibration of risks that are means over simulated lives: what of it is not the noise of few lives.

A risk r of n lives stands for an unknown risk p, and says of it what a share r of n lives says: its
likelihood is p^(nr) (1 − p)^(n(1 − r)). How p is distributed is estimated from all risks by nonparametric
maximum likelihood (Laird 1978, doi:10.1080/01621459.1978.10480103), and the calibration model
logit P(case) = a + b logit(p) is fitted by the likelihood of cases given r, averaged over p.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.evaluate.metrics.calibration import (
    LEAST_LOSS,
    Refit,
    expit,
    group_numbers,
    logit,
    minimised,
    risk_groups,
)

_GRID = 80
_EM_STEPS = 500
_MOST_DISTINCT = 5000
"""Means of groups of risks stand for more: with 400 of 1,500 risks slopes moved by up to 0.13."""
_TINY = 1e-300


def number_of_lives(risk: Float[np.ndarray, " rows"], standard_error: Float[np.ndarray, " rows"]) -> float:
    """Lives whose shares would be as noisy: of n lives, s² = r(1 − r)/(n − 1). Not all s may be 0."""
    return 1 + float(np.mean(risk * (1 - risk)) / np.mean(standard_error**2))


def slope_fit(
    risk: Float[np.ndarray, " rows"],
    standard_error: Float[np.ndarray, " rows"],
    known: Int[np.ndarray, " known"],
    case: Bool[np.ndarray, " known"],
    weights: Float[np.ndarray, " known"],
) -> Refit:
    """logit P(case) = a + b logit(p) of the unknown risks p behind sampled ones.

    Args:
        risk: Predicted risks of all rows.
        standard_error: Their Monte-Carlo standard errors, not all 0.
        known: Rows whose status at the horizon is known.
        case: Which of them are cases.
        weights: Of the sample, censoring weights included.

    Returns:
        The fit, with derivatives of each known row; NaN where all risks are equal or the fit fails.
    """
    value, group = _distinct(risk)
    grid, chance_of_grid = _underlying(value, np.bincount(group), number_of_lives(risk, standard_error))
    members = group[known]
    total = np.bincount(members, weights, len(value))
    cases = np.bincount(members, weights * case, len(value))
    beta = _fit(grid, chance_of_grid, cases, total) if np.ptp(risk) > 0 else np.full(2, np.nan)
    chance, slope, per_variance = _chance(grid, chance_of_grid, beta)
    gradient = per_variance[members] * (case - chance[members])[:, None]
    products = per_variance[:, :, None] * slope[:, None, :]
    return Refit(beta, gradient, products[members])


def _distinct(risk: Float[np.ndarray, " rows"]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct risks and the place of each row's; of too many, means of groups about equal in size."""
    value, group = np.unique(risk, return_inverse=True)
    if len(value) > _MOST_DISTINCT:
        group = group_numbers(risk_groups(risk, _MOST_DISTINCT), len(risk))
        value = np.bincount(group, risk) / np.bincount(group)
    return value, group


def _underlying(
    value: Float[np.ndarray, " distinct"], number: Int[np.ndarray, " distinct"], lives: float
) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, "distinct grid"]]:
    """Log odds on a grid, and their probabilities given each sampled risk."""
    least = 0.1 / lives
    ends = np.clip([value.min(), value.max()], least, 1 - least)
    spread = 3 / np.sqrt(lives * ends * (1 - ends))
    first, last = logit(ends) + spread * (-1, 1)
    grid = np.linspace(first, last, _GRID)
    log_chance = value[:, None] * grid - np.logaddexp(0, grid)  # of one life
    likelihood = np.exp(lives * (log_chance - log_chance.max(axis=1, keepdims=True)))
    share, prior = number / number.sum(), np.full(_GRID, 1 / _GRID)
    for _ in range(_EM_STEPS):
        prior = prior * ((share / (likelihood @ prior + _TINY)) @ likelihood)
    joint = likelihood * prior
    return grid, joint / joint.sum(axis=1, keepdims=True)


def _fit(
    grid: Float[np.ndarray, " grid"],
    chance_of_grid: Float[np.ndarray, "distinct grid"],
    cases: Float[np.ndarray, " distinct"],
    total: Float[np.ndarray, " distinct"],
) -> Float[np.ndarray, " 2"]:
    """Maximum likelihood by Fisher scoring with step halving; NaN where it does not converge."""
    if not 0 < cases.sum() < total.sum():
        return np.full(2, np.nan)

    def loss(beta: Float[np.ndarray, " 2"]) -> float:
        chance = np.clip(_chance(grid, chance_of_grid, beta)[0], _TINY, 1 - 1e-16)
        return -float(cases @ np.log(chance) + (total - cases) @ np.log1p(-chance))

    def derivatives(beta: Float[np.ndarray, " 2"]) -> tuple[np.ndarray, np.ndarray]:
        chance, slope, per_variance = _chance(grid, chance_of_grid, beta)
        return per_variance.T @ (cases - total * chance), (per_variance * total[:, None]).T @ slope

    beta, least, has_ended = minimised(loss, derivatives, np.array([0.0, 1.0]))
    return beta if has_ended and least >= LEAST_LOSS * total.sum() else np.full(2, np.nan)


def _chance(
    grid: Float[np.ndarray, " grid"],
    chance_of_grid: Float[np.ndarray, "distinct grid"],
    beta: Float[np.ndarray, " 2"],
) -> tuple[Float[np.ndarray, " distinct"], Float[np.ndarray, "distinct 2"], Float[np.ndarray, "distinct 2"]]:
    """P(case) given each sampled risk, its derivatives by a and b, and these over its variance."""
    at = expit(beta[0] + beta[1] * grid)
    steep = at * (1 - at)
    chance = chance_of_grid @ at
    slope = chance_of_grid @ np.column_stack([steep, steep * grid])
    return chance, slope, slope / np.maximum(chance * (1 - chance), _TINY)[:, None]
