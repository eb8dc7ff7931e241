"""Horizon statuses, censoring weights and cumulative incidence with competing death.

Every estimator takes ``weights`` of shape (replicates, rows): row weights of several bootstrap replicates
at once; a row of ones is the sample itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.core.running.compiled import compiled
from proband.core.units import DAYS_PER_YEAR

CENSORED, CONTROL, CASE = -1, 0, 1
LEAST_ROWS = 100
"""Rows of a stratum, at least: a censoring distribution of fewer would be noise."""
LEAST_UNCENSORED_SHARE = 0.05
"""Of people whose follow-up would reach the horizon, in each stratum: fewer would stand for all others."""

HORIZON_TOLERANCE_YEARS = 2 / DAYS_PER_YEAR
"""Whose follow-up ends no more than this before the horizon was followed through it: five calendar years with
one leap day are 4.9993 years of 365.25 days."""


def horizon_status(
    time_years: Float[np.ndarray, " rows"], event: Int[np.ndarray, " rows"], horizon_years: float
) -> Int[np.ndarray, " rows"]:
    """What is known at the horizon.

    Args:
        time_years: Years from prediction to the event or to the end of follow-up.
        event: 1 the outcome, 2 death before it, 0 neither.
        horizon_years: The horizon.

    Returns:
        int8: CASE where the outcome came by the horizon, CONTROL where it had not (followed through the
        horizon, give or take :data:`HORIZON_TOLERANCE_YEARS`, or dead without it before), CENSORED where
        follow-up ended earlier.

    >>> horizon_status(np.array([1.0, 9.0, 2.0, 5.0, 3.0]), np.array([1, 1, 2, 0, 0]), 5.0).tolist()
    [1, 0, 0, 0, -1]
    """
    within = time_years <= horizon_years
    status = np.full(len(time_years), CENSORED, dtype=np.int8)
    status[followed_through(time_years, horizon_years) | (within & (event == 2))] = CONTROL
    status[within & (event == 1)] = CASE
    return status


def followed_through(
    time_years: Float[np.ndarray, " rows"], horizon_years: float
) -> Bool[np.ndarray, " rows"]:
    """Who was followed to the horizon without an event, or ended within the tolerance before it."""
    return time_years >= horizon_years - HORIZON_TOLERANCE_YEARS


def censoring_weights(
    time_years: Float[np.ndarray, " rows"],
    event: Int[np.ndarray, " rows"],
    horizon_years: float,
    weights: Float[np.ndarray, "replicates rows"],
    stratum: Int[np.ndarray, " rows"] | None = None,
) -> Float[np.ndarray, "replicates rows"]:
    """Inverse probability of censoring weights, 1 / G(min(time, horizon)−).

    G is the Kaplan-Meier estimate of staying uncensored, fitted anew in each replicate; at tied times events
    come before censorings. Graf et al. 1999, Statistics in Medicine 18:2529.

    With strata each has a G of its own: landmarks, since late predictions of a subject have less follow-up
    ahead than early ones, or groups of risk, where those at high risk may leave sooner.

    Args:
        time_years: Years from prediction to the event or to the end of follow-up.
        event: 1 the outcome, 2 death before it, 0 neither.
        horizon_years: The horizon.
        weights: Row weights of each replicate.
        stratum: Number of each row's stratum; None for one G of all.

    Returns:
        The weights to multiply ``weights`` with; 0 where censored, and where G is 0.
    """
    if stratum is not None:
        result = np.zeros(weights.shape)
        for rows in strata(stratum):
            part = censoring_weights(time_years[rows], event[rows], horizon_years, weights[:, rows])
            result[:, rows] = part
        return result
    known = horizon_status(time_years, event, horizon_years) != CENSORED
    order = np.lexsort((event == 0, time_years))
    sorted_time, censored = time_years[order], event[order] == 0
    leaving = np.flatnonzero(censored & ~followed_through(sorted_time, horizon_years))
    times, which = np.unique(sorted_time[leaving], return_inverse=True)
    time_of = np.full(len(order), -1)
    time_of[leaving] = which
    place = np.full(len(order), -1)
    place[known] = np.searchsorted(times, np.minimum(time_years[known], horizon_years), side="left")
    result = np.zeros(weights.shape)
    rows = np.ascontiguousarray(weights, dtype=np.float64)
    _censoring_kernel()(order, time_of, place, len(times), rows, result)
    return result


def aalen_johansen(
    time_years: Float[np.ndarray, " rows"],
    event: Int[np.ndarray, " rows"],
    horizon_years: float,
    weights: Float[np.ndarray, "replicates rows"],
    stratum: Int[np.ndarray, " rows"] | None = None,
) -> Float[np.ndarray, " replicates"]:
    """Cumulative incidence of the outcome by the horizon, death competing.

    F(h) = Σ over event times t ≤ h of S(t−) d₁(t) / n(t), S the all-cause survival. Aalen and Johansen 1978.

    Args:
        time_years: Years from prediction to the event or to the end of follow-up.
        event: 1 the outcome, 2 death before it, 0 neither.
        horizon_years: The horizon.
        weights: Row weights of each replicate.
        stratum: Number of each row's stratum; the incidence is then the mean of those of the strata, weighted
            by their share of the rows.

    Returns:
        A probability per replicate; 0 where nobody is at risk.

    >>> time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 1, 0])
    >>> float(aalen_johansen(time, event, 3.5, np.ones((1, 4)))[0])
    0.5
    """
    return Incidence(time_years, event, horizon_years, stratum=stratum).of(weights)[:, 0]


class Incidence:
    """Aalen-Johansen incidence within groups of rows, which are sorted once for all replicates.

    Args:
        time_years: Years from prediction to the event or to the end of follow-up.
        event: 1 the outcome, 2 death before it, 0 neither.
        horizon_years: The horizon.
        group: Number of each row's group, from 0; None for one of all.
        stratum: As of :func:`aalen_johansen`.
    """

    def __init__(
        self,
        time_years: Float[np.ndarray, " rows"],
        event: Int[np.ndarray, " rows"],
        horizon_years: float,
        group: Int[np.ndarray, " rows"] | None = None,
        stratum: Int[np.ndarray, " rows"] | None = None,
    ) -> None:
        nothing = np.zeros(len(time_years), dtype=np.int64)
        group = nothing if group is None else group
        stratum = nothing if stratum is None else np.unique(stratum, return_inverse=True)[1]
        self._shape = (int(group.max(initial=0)) + 1, int(stratum.max(initial=0)) + 1)
        cell = group * self._shape[1] + stratum
        self._order = np.lexsort((-time_years, cell))
        self._cell = cell[self._order]
        self._event = np.where(time_years <= horizon_years, event, 0)[self._order].astype(np.int8)
        later = np.diff(time_years[self._order]) != 0
        self._ends_time = np.append(later | (np.diff(self._cell) != 0), True)[: len(cell)]

    def of(self, weights: Float[np.ndarray, "replicates rows"]) -> Float[np.ndarray, "replicates groups"]:
        """A probability per replicate and group; 0 where nobody is at risk."""
        cells = self._shape[0] * self._shape[1]
        found, whole = np.zeros((2, len(weights), cells))
        rows = np.ascontiguousarray(weights, dtype=np.float64)
        _kernel()(self._order, self._cell, self._event, self._ends_time, rows, found, whole)
        shape = (len(weights), *self._shape)
        total, everybody = (found * whole).reshape(shape).sum(axis=2), whole.reshape(shape).sum(axis=2)
        return np.divide(total, everybody, out=total, where=everybody > 0)


@functools.cache
def _kernel() -> Callable[..., None]:
    return compiled(_incidence)


@functools.cache
def _censoring_kernel() -> Callable[..., None]:
    return compiled(_inverse_of_staying)


def _inverse_of_staying(  # compiled by numba
    order: Any, time_of: Any, place: Any, num_times: Any, weights: Any, found: Any
) -> None:
    """1 / G at ``place``, the number of times of censoring before it; 0 where that is negative or G is 0.

    ``order`` is by time, ``time_of`` the number of the time of censoring in that order, -1 for the others.
    """
    followed, leaving, inverse = np.zeros(num_times), np.zeros(num_times), np.zeros(num_times + 1)
    for replicate in range(weights.shape[0]):
        row, upto = weights[replicate], 0.0
        leaving[:] = 0.0
        for back in range(order.size):
            at = order.size - 1 - back
            upto += row[order[at]]
            if time_of[at] >= 0:
                followed[time_of[at]] = upto
                leaving[time_of[at]] += row[order[at]]
        staying, inverse[0] = 1.0, 1.0
        for time in range(num_times):
            if followed[time] > 0:
                staying *= max(1.0 - leaving[time] / followed[time], 0.0)
            inverse[time + 1] = 1.0 / staying if staying > 0 else 0.0
        for at in range(place.size):
            if place[at] >= 0:
                found[replicate, at] = inverse[place[at]]


def _incidence(  # compiled by numba
    order: Any, cell: Any, event: Any, ends_time: Any, weights: Any, found: Any, whole: Any
) -> None:
    """From the last time back: F(from t on) = (d₁ + (n − d₁ − d₂) F(after t)) / n, n those still followed."""
    for replicate in range(weights.shape[0]):
        row = weights[replicate]
        outcomes, deaths, leaving = 0.0, 0.0, 0.0
        for at in range(order.size):
            here, weight = cell[at], row[order[at]]
            leaving += weight
            if event[at] == 1:
                outcomes += weight
            elif event[at] == 2:
                deaths += weight
            if ends_time[at]:
                followed = whole[replicate, here] + leaving
                whole[replicate, here] = followed
                if outcomes + deaths > 0:
                    staying = max(followed - outcomes - deaths, 0.0)
                    found[replicate, here] = (outcomes + staying * found[replicate, here]) / followed
                outcomes, deaths, leaving = 0.0, 0.0, 0.0


def uncensored_share(
    time_years: Float[np.ndarray, " rows"], event: Int[np.ndarray, " rows"], horizon_years: float
) -> float:
    """G(horizon−), the estimated share whose follow-up would reach the horizon; 0 where nobody's does."""
    extra_time = np.append(time_years, horizon_years)
    extra_event = np.append(event, 0).astype(event.dtype)
    rows = np.ones((1, len(extra_time)))
    # The appended row is known at the horizon and carries no weight in G.
    rows[0, -1] = 0.0
    inverse = censoring_weights(extra_time, extra_event, horizon_years, rows)[0, -1]
    return float(1.0 / inverse) if inverse > 0 else 0.0


def merged_strata(stratum: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    """Strata that follow each other put together, so that each has at least :data:`LEAST_ROWS` rows.

    >>> merged_strata(np.repeat([0, 1, 2, 3], [150, 60, 60, 20])).tolist() == [0] * 150 + [1] * 140
    True
    """
    merged, current, rows = np.zeros(int(stratum.max(initial=0)) + 1, dtype=np.int64), 0, 0
    for number, count in enumerate(np.bincount(stratum)):
        merged[number] = current
        rows += count
        if rows >= LEAST_ROWS:
            current, rows = current + 1, 0
    last = max(current - 1, 0)  # what is left over joins the last of them
    return np.minimum(merged, last)[stratum]


def strata(stratum: Int[np.ndarray, " rows"]) -> list[np.ndarray]:
    """Row numbers of each stratum, by rising number of the stratum."""
    order = np.argsort(stratum, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1)
