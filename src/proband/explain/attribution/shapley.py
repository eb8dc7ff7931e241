"""Percentage points of risk by Shapley values over the parts of a log hazard, over all their subsets.

The value of a subset of parts is the cumulative incidence with the others at 0: with none it is the risk of
age and sex. A part's points are its mean contribution over all orders of adding parts,

    φ_g = Σ over S without g of |S|! (k - |S| - 1)! / k! (F(S and g) - F(S)),

so that points sum to the risk less that of age and sex (Shapley 1953, doi:10.1515/9781400881970-018).
Hazards are those of :mod:`proband.forecast.estimators.closed_form`, constant within steps of a month; months
of equal hazards are one segment.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64

from proband.core.running.compiled import compiled
from proband.core.statistics.incidence import MONTHS, OLDEST
from proband.model.config import BIN_EDGES

_NEAR = 1e-9


@dataclass(frozen=True)
class Segments:
    """Spans of the time ahead in which a subject's hazards are constant.

    Attributes:
        width: Years; 0 for a span that is none.
        year: Year of age.
        time_bin: Bin of the time ahead.
        until: Segments up to each horizon.
    """

    width: Float64[np.ndarray, "n segments"]
    year: Int64[np.ndarray, "n segments"]
    time_bin: Int64[np.ndarray, "n segments"]
    until: Int64[np.ndarray, "n horizons"]


def segments(age_years: Float[np.ndarray, " n"], horizons_years: Sequence[float]) -> Segments:
    """Segments up to the last horizon.

    Args:
        age_years: Ages at the prediction time; they count in whole months.
        horizons_years: Horizons, ascending.
    """
    last = horizons_years[-1]
    month = np.floor(age_years.astype(np.float64) * MONTHS)
    birthdays = (MONTHS - month[:, None] % MONTHS + MONTHS * np.arange(math.ceil(last) + 1)) / MONTHS
    fixed = np.array([0.0, *BIN_EDGES[1:], *horizons_years, last])
    edges = np.hstack([birthdays, np.broadcast_to(fixed, (len(month), len(fixed)))])
    edges = np.sort(np.minimum(edges, last), axis=1)
    begin = edges[:, :-1]
    ahead = np.floor(begin * MONTHS + 1e-6)
    year = np.clip(((month[:, None] + 0.5 + ahead) / MONTHS).astype(np.int64), 0, OLDEST - 1)
    time_bin = np.searchsorted(np.array(BIN_EDGES[1:]), begin + _NEAR, side="right")
    until = np.stack([(edges <= horizon + _NEAR).sum(axis=1) - 1 for horizon in horizons_years], axis=1)
    return Segments(np.diff(edges, axis=1), year, time_bin.astype(np.int64), until)


@dataclass(frozen=True)
class Points:
    """Risks and what each part adds.

    Attributes:
        risk: With all parts.
        age_sex: With none.
        points: Shapley values; parts in the order given, competing death last.
    """

    risk: Float64[np.ndarray, "n outcomes horizons"]
    age_sex: Float64[np.ndarray, "n outcomes horizons"]
    points: Float64[np.ndarray, "parts n outcomes horizons"]


def shapley_points(
    where: Segments,
    rate: Float[np.ndarray, "n outcomes segments"],
    parts: Float[np.ndarray, "parts n outcomes bins"],
    death_rate: Float[np.ndarray, "n outcomes segments"],
    death_ratio: Float[np.ndarray, "n bins"],
    after_gap: bool = False,
) -> Points:
    """Points of every part, exactly, over all subsets.

    Args:
        where: Segments of each subject.
        rate: Hazard per year by age and sex.
        parts: Parts of the log ratio; fewer than 16.
        death_rate: Hazard of death by age and sex; 0 where death does not compete.
        death_ratio: Log ratio of the subject's own hazard of death.
        after_gap: The first horizon is a blanking gap: risks are conditional on no outcome within it.
    """
    num_parts, n, outcomes, _ = parts.shape
    horizons = where.until.shape[1]
    risk, age_sex = np.zeros((n, outcomes, horizons)), np.zeros((n, outcomes, horizons))
    points = np.zeros((num_parts + 1, n, outcomes, horizons))
    arrays = [
        where.width, where.time_bin, where.until, np.asarray(rate, np.float64),
        np.exp(parts.astype(np.float64)), np.asarray(death_rate, np.float64),
        np.exp(death_ratio.astype(np.float64)), _weights(num_parts + 1),
    ]  # fmt: skip
    _kernel()(*arrays, after_gap, risk, age_sex, points)
    kept = slice(1, None) if after_gap else slice(None)
    return Points(risk[..., kept], age_sex[..., kept], points[..., kept])


def _weights(number: int) -> Float64[np.ndarray, " sizes"]:
    """Weight of a subset by its size, without the part in question."""
    factorial = [math.factorial(size) for size in range(number + 1)]
    return np.array(
        [factorial[size] * factorial[number - size - 1] / factorial[number] for size in range(number)]
    )


@functools.cache
def _kernel() -> Callable[..., None]:
    return compiled(_shapley)


def _shapley(  # compiled by numba
    width: Any,
    time_bin: Any,
    until: Any,
    rate: Any,
    factors: Any,
    death_rate: Any,
    death_factor: Any,
    weights: Any,
    after_gap: bool,
    risk: Any,
    age_sex: Any,
    points: Any,
) -> None:
    num_parts, n, outcomes, bins = factors.shape
    num_segments, horizons = width.shape[1], until.shape[1]
    all_parts = num_parts + 1
    subsets = 1 << all_parts
    product = np.ones((1 << num_parts, bins))
    value = np.zeros((subsets, horizons))
    size = np.zeros(subsets, np.int64)
    for subset in range(1, subsets):
        size[subset] = size[subset >> 1] + (subset & 1)
    for row in range(n):
        for outcome in range(outcomes):
            for subset in range(1, 1 << num_parts):
                lowest = 0
                while not (subset >> lowest) & 1:
                    lowest += 1
                for b in range(bins):
                    product[subset, b] = product[subset & (subset - 1), b] * factors[lowest, row, outcome, b]
            for subset in range(subsets):
                own_death = subset >> num_parts
                own = subset & ((1 << num_parts) - 1)
                surviving, incidence, horizon = 1.0, 0.0, 0
                while horizon < horizons and until[row, horizon] == 0:
                    value[subset, horizon] = 0.0
                    horizon += 1
                for k in range(num_segments):
                    if width[row, k] > 0:
                        b = time_bin[row, k]
                        hazard = rate[row, outcome, k] * product[own, b]
                        other = death_rate[row, outcome, k]
                        if own_death:
                            other *= death_factor[row, b]
                        total = hazard + other
                        if total > 0:
                            gone = -np.expm1(-total * width[row, k])
                            incidence += surviving * gone * hazard / total
                            surviving *= 1 - gone
                    while horizon < horizons and until[row, horizon] == k + 1:
                        value[subset, horizon] = incidence
                        horizon += 1
                if after_gap:
                    early = value[subset, 0]
                    for at in range(1, horizons):
                        value[subset, at] = (value[subset, at] - early) / max(1 - early, 1e-9)
            for at in range(horizons):
                age_sex[row, outcome, at] = value[0, at]
                risk[row, outcome, at] = value[subsets - 1, at]
                for part in range(all_parts):
                    total = 0.0
                    for subset in range(subsets):
                        if not (subset >> part) & 1:
                            total += weights[size[subset]] * (
                                value[subset | (1 << part), at] - value[subset, at]
                            )
                    points[part, row, outcome, at] = total
