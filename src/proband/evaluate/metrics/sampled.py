"""Calibration of risks that are means over simulated lives: what of it is not the noise of few lives.

A risk r of n lives stands for an unknown risk p, and says of it what a share r of n lives says: its
likelihood is p^(nr) (1 − p)^(n(1 − r)). How p is distributed is estimated from all risks by nonparametric
maximum likelihood (Laird 1978, doi:10.1080/01621459.1978.10480103), and the calibration model
logit P(case) = a + b logit(p) is fitted by the likelihood of cases given r, averaged over p.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.evaluate.metrics.calibration import LEAST_LOSS, NEWTON_STEPS, Refit, expit, newton_step

_GRID = 80
_EM_STEPS = 500
_MOST_DISTINCT = 400
_TINY = 1e-300


def number_of_lives(risk: Float[np.ndarray, " rows"], standard_error: Float[np.ndarray, " rows"]) -> float:
    """Lives whose shares would be as noisy: of n lives, s² = r(1 − r)/(n − 1). Infinite without noise."""
    noise = float(np.mean(standard_error**2))
    if noise == 0:
        return np.inf
    return 1 + float(np.mean(risk * (1 - risk))) / noise


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
    chance, slope = _chance(grid, chance_of_grid, beta)
    per_variance = slope / _variance(chance)[:, None]
    gradient = per_variance[members] * (case - chance[members])[:, None]
    products = per_variance[:, :, None] * slope[:, None, :]
    return Refit(beta, gradient, products[members])


def _distinct(risk: Float[np.ndarray, " rows"]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct risks and the place of each row's; many of them as means of groups of equal size."""
    value, group = np.unique(risk, return_inverse=True)
    if len(value) > _MOST_DISTINCT:
        rank = np.empty(len(risk), dtype=np.int64)
        rank[np.argsort(risk, kind="stable")] = np.arange(len(risk))
        group = rank * _MOST_DISTINCT // len(risk)
        value = np.bincount(group, risk) / np.bincount(group)
    return value, group


def _underlying(
    value: Float[np.ndarray, " distinct"], number: Int[np.ndarray, " distinct"], lives: float
) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, "distinct grid"]]:
    """Log odds on a grid, and their probabilities given each sampled risk."""
    least = 0.1 / lives
    ends = np.clip([value.min(), value.max()], least, 1 - least)
    spread = 3 / np.sqrt(lives * ends * (1 - ends))
    odds = np.log(ends / (1 - ends))
    grid = np.linspace(odds[0] - spread[0], odds[1] + spread[1], _GRID)
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
    nothing = np.full(2, np.nan)
    if not 0 < cases.sum() < total.sum():
        return nothing

    def loss(beta: np.ndarray) -> float:
        chance = np.clip(_chance(grid, chance_of_grid, beta)[0], _TINY, 1 - 1e-16)
        return -float(cases @ np.log(chance) + (total - cases) @ np.log1p(-chance))

    beta = np.array([0.0, 1.0])
    now = loss(beta)
    for _ in range(NEWTON_STEPS):
        chance, slope = _chance(grid, chance_of_grid, beta)
        per_variance = slope / _variance(chance)[:, None]
        curvature = (per_variance * total[:, None]).T @ slope
        step = newton_step(curvature[None], (per_variance.T @ (cases - total * chance))[None])[0]
        while (new := loss(beta + step)) > now + 1e-12 and np.abs(step).max() > 1e-10:
            step = step / 2
        beta, gain, now = beta + step, now - new, new
        if np.abs(step).max() < 1e-8 or 0 <= gain < 1e-13 * abs(now):
            return nothing if now < LEAST_LOSS * total.sum() else beta
    return nothing


def _chance(
    grid: Float[np.ndarray, " grid"],
    chance_of_grid: Float[np.ndarray, "distinct grid"],
    beta: Float[np.ndarray, " 2"],
) -> tuple[Float[np.ndarray, " distinct"], Float[np.ndarray, "distinct 2"]]:
    """P(case) given each sampled risk, and its derivatives by intercept and slope."""
    at = expit(beta[0] + beta[1] * grid)
    steep = at * (1 - at)
    return chance_of_grid @ at, chance_of_grid @ np.column_stack([steep, steep * grid])


def _variance(chance: Float[np.ndarray, " distinct"]) -> Float[np.ndarray, " distinct"]:
    return np.maximum(chance * (1 - chance), _TINY)
