"""Incidence by sex and year of age: counts over person-years, smoothed by a penalised Poisson regression.

The one smoother of rates by age: the age-sex baseline, and the offsets of a model's onset hazards, are made
of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from proband.core.statistics.splines import KNOT_QUANTILES, spline_basis

OLDEST = 120
"""Ages are in one-year bands from 0 to OLDEST."""
MONTHS = 12
LOWEST_RATE = 1e-12
"""Smoothed rates per year are at least this where there is any event."""

_RIDGE = 0.1
_UNSEEN = 2.0
"""Known curves are few: they count beside so many more, whose coefficients have a standard deviation of 1.
Rounded choice of ours."""
_NEWTON_STEPS = 100
_SPARED = 10.0
"""Events expected of a sex that had none from which on it counts as spared, as women of prostate cancer."""
_AGE_SCALE = 10.0


def rates_by_age_and_sex(
    entry_years: Float[np.ndarray, " rows"],
    leave_years: Float[np.ndarray, " rows"],
    female: Float[np.ndarray, " rows"],
    happened: np.ndarray,
    least: int = 1,
    known: Float[np.ndarray, "curves sexes ages"] | None = None,
) -> Float[np.ndarray, "sexes ages"]:
    """Smoothed events per person-year by sex (0 male, 1 female) and year of age.

    Args:
        entry_years: Age from which each row is at risk.
        leave_years: Age at the event or at the end of follow-up; rows that leave before they enter count
            nothing.
        female: 1 female, 0 male; rows of unknown sex (NaN) are left out.
        happened: Whether the event happened at ``leave_years``.
        least: Fewest events of a sex that rates may be made of; see :func:`hide_small_counts`.
        known: Log rates of other events, whose shapes these are shrunk to; see :func:`smooth_rates`.

    Returns:
        Rates; 0 everywhere when there is no event. Beyond the ages seen, the nearest rate is carried on. A
        sex that a disease spares gets :data:`LOWEST_RATE`.
    """
    usable = np.isfinite(female) & np.isfinite(entry_years) & (leave_years > entry_years)
    enter = np.clip(entry_years[usable], 0, OLDEST - 1e-9)
    leave = np.clip(leave_years[usable], 0, OLDEST - 1e-9)
    sex, event = female[usable].astype(int), np.asarray(happened, dtype=bool)[usable]
    exposure = np.stack([person_years(enter[sex == code], leave[sex == code]) for code in (0, 1)])
    count = np.zeros_like(exposure)
    np.add.at(count, (sex[event], leave[event].astype(int)), 1)
    count = hide_small_counts(count, exposure, least)
    return _without_spared_sex(smooth_rates(count, exposure, known), count, exposure)


def _without_spared_sex(
    rates: Float[np.ndarray, "sexes ages"], count: np.ndarray, exposure: np.ndarray
) -> Float[np.ndarray, "sexes ages"]:
    """The least rate for a sex that had no event where the other's rates would have given 10 or more."""
    for sex in (0, 1):
        if not count[sex].any() and exposure[sex] @ rates[1 - sex] >= _SPARED:
            rates[sex] = LOWEST_RATE
    return rates


def hide_small_counts(
    count: Float[np.ndarray, "sexes ages"], exposure: Float[np.ndarray, "sexes ages"], least: int
) -> Float[np.ndarray, "sexes ages"]:
    """Counts of which rates may be made that leave an enclave: none tells 1 to ``least`` - 1 events of a sex.

    Rates times person-years give the counts back. A sex with so few events is therefore held to have had half
    of ``least``, at the ages of the other sex; if both have few, but enough together, both have the rate of
    all; if all are few, half of ``least``, spread evenly over the person-years. No event stays none.

    >>> hide_small_counts(np.array([[4.0, 0.0], [20.0, 60.0]]), np.ones((2, 2)), 21).round(1).tolist()
    [[2.5, 7.5], [20.0, 60.0]]
    >>> hide_small_counts(np.array([[4.0, 0.0], [20.0, 0.0]]), np.ones((2, 2)), 21).tolist()
    [[12.0, 0.0], [12.0, 0.0]]
    """
    total = count.sum(axis=1)
    few = (total > 0) & (total < least)
    if not few.any():
        return count
    stand_in = float(least // 2)
    if not few.all():
        found = count.copy()
        for sex in np.flatnonzero(few):
            like_other = count[1 - sex] / np.maximum(exposure[1 - sex], 1e-9) * exposure[sex]
            profile = like_other if like_other.any() else exposure[sex]
            found[sex] = stand_in * profile / max(profile.sum(), 1e-9)
        return found
    if total.sum() < least:
        return stand_in * exposure / exposure.sum()
    return exposure * count.sum(axis=0) / np.maximum(exposure.sum(axis=0), 1e-9)


def years_of_age(month: np.ndarray, elapsed_years: float | np.ndarray) -> np.ndarray:
    """Year of age, as an index of rates, of people in month ``month`` of their lives some years later.

    The one rule by which rates are read in steps of time: ages count from the middle of their month.
    """
    return np.minimum(((month + 0.5) / MONTHS + elapsed_years).astype(int), OLDEST - 1)


def person_years(
    age: Float[np.ndarray, " rows"], leave: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " ages"]:
    """Person-years lived in each year of age: differences of Σ min(x, leave) − min(x, entry)."""
    edges = np.arange(OLDEST + 1.0)

    def lived_before(times: Float[np.ndarray, " rows"]) -> np.ndarray:
        ordered = np.sort(times)
        below = np.searchsorted(ordered, edges)
        sums = np.concatenate([[0.0], np.cumsum(ordered)])
        return sums[below] + edges * (len(ordered) - below)

    return np.maximum(np.diff(lived_before(leave) - lived_before(age)), 0.0)


class Prior(NamedTuple):
    """Normal prior of the coefficients of log rates, the overall level first, which has none.

    Attributes:
        mean: Of each coefficient.
        precision: Inverse of their covariance; 0 for the level.
    """

    mean: Float[np.ndarray, " features"]
    precision: Float[np.ndarray, "features features"]


def smooth_rates(
    count: Float[np.ndarray, "sexes ages"],
    exposure: Float[np.ndarray, "sexes ages"],
    known: Float[np.ndarray, "curves sexes ages"] | None = None,
) -> Float[np.ndarray, "sexes ages"]:
    """Rates of a penalised Poisson regression; zero everywhere when there is no event.

    Args:
        count: Events.
        exposure: Person-years.
        known: Log rates of other events. Coefficients are then shrunk to the mean of theirs, by as much as
            these agree (empirical Bayes), and not lightly to 0; the level stays free. Where a sex is spared
            by one of them, it does not count.
    """
    lived = exposure.sum(axis=0)
    if count.sum() == 0 or lived.sum() == 0:
        return np.zeros_like(exposure)
    middle = (np.arange(OLDEST) + 0.5) / _AGE_SCALE
    share = np.cumsum(lived) / lived.sum()
    knots = np.unique(middle[np.searchsorted(share, KNOT_QUANTILES)])
    seen = np.flatnonzero(lived > 0)
    basis = spline_basis(middle[np.clip(np.arange(OLDEST), seen[0], seen[-1])], knots)
    centre = (lived @ basis[:, 1:]) / lived.sum()
    basis[:, 1:] -= centre
    design = np.concatenate([np.hstack([basis, side * basis]) for side in (-0.5, 0.5)])
    prior = _prior(design, exposure, known)
    beta = _fit_poisson(design, count.ravel(), exposure.ravel(), prior)
    return np.maximum(np.exp(design @ beta), LOWEST_RATE).reshape(exposure.shape)


def _prior(
    design: Float[np.ndarray, "cells features"],
    exposure: Float[np.ndarray, "sexes ages"],
    known: Float[np.ndarray, "curves sexes ages"] | None,
) -> Prior:
    """Of known curves, fitted by least squares where there are person-years; a light one around 0 without."""
    width = design.shape[1]
    spared = np.log(LOWEST_RATE) + 1
    curves = [] if known is None else [one for one in known if one.max(axis=1).min() > spared]
    mean, covariance = np.zeros(width), np.eye(width) / _RIDGE
    if curves:
        weighted = design.T * exposure.ravel()
        gram = weighted @ design + 1e-6 * np.eye(width)
        found = np.linalg.solve(gram, weighted @ np.stack([one.ravel() for one in curves]).T).T
        mean, away = found.mean(axis=0), found - found.mean(axis=0)
        covariance = (away.T @ away + _UNSEEN * np.eye(width)) / (len(curves) + _UNSEEN)
    mean[0], precision = 0.0, np.zeros((width, width))
    precision[1:, 1:] = np.linalg.inv(covariance[1:, 1:])
    return Prior(mean, precision)


def _fit_poisson(
    design: Float[np.ndarray, "cells features"],
    count: Float[np.ndarray, " cells"],
    exposure: Float[np.ndarray, " cells"],
    prior: Prior,
) -> Float[np.ndarray, " features"]:
    """Newton's method with step halving."""
    beta = prior.mean.copy()
    beta[0] = np.log(count.sum() / (exposure @ np.exp(np.minimum(design @ beta, 50.0))))

    def loss(at: np.ndarray) -> float:
        log_rate, away = np.minimum(design @ at, 50.0), at - prior.mean
        return float(exposure @ np.exp(log_rate) - count @ log_rate + 0.5 * away @ prior.precision @ away)

    ridge = prior.precision + 1e-9 * np.eye(len(beta))
    now = loss(beta)
    for _ in range(_NEWTON_STEPS):
        expected = exposure * np.exp(np.minimum(design @ beta, 50.0))
        gradient = design.T @ (count - expected) - prior.precision @ (beta - prior.mean)
        step = np.linalg.solve((design.T * expected) @ design + ridge, gradient)
        while loss(beta + step) > now + 1e-12 and np.abs(step).max() > 1e-10:
            step = step / 2
        beta, now = beta + step, loss(beta + step)
        if np.abs(step).max() < 1e-8:
            break
    return beta
