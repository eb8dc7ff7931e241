"""What is counted in futures: every statistic as a numerator and a denominator per prediction point.

A point with several futures (paths) counts as their mean, so that each point weighs the same on both sides.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from proband.core.units import MINUTES_PER_DAY, MINUTES_PER_YEAR
from proband.realism.futures import Futures
from proband.tokens.vocabulary import Vocabulary

NUM_PAIRED = 20
"""Of so many of the commonest codes, all pairs are counted."""
NUM_AGE_CURVES = 6
BAND_YEARS, OLDEST_YEARS = 10, 120
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)

FUTURES, YEARS, EVENTS = 0, 1, 2
"""Denominators; person-years in each age band follow."""
_BAND = round(BAND_YEARS * MINUTES_PER_YEAR)
_NUM_BANDS = OLDEST_YEARS // BAND_YEARS


@dataclass(frozen=True)
class Item:
    """One number to compare.

    Attributes:
        statistic: rate, prevalence, pair, gap or age_rate.
        item: What is counted: a code, or the kind of a rate, or a gap's quantile.
        other: A pair's second code, a gap in days, an age band in years.
        denominator: Column of the denominators.
    """

    statistic: str
    item: str
    other: str
    denominator: int


@dataclass(frozen=True)
class Plan:
    """What is counted, fixed by what really followed.

    Attributes:
        code: Number of each token's code; value bins of a code share one.
        codes: Name of each code.
        paired: Codes whose pairs are counted.
        curves: Codes whose rate is counted by age.
        gaps: Quantiles of the real gaps, minutes.
    """

    code: Int[np.ndarray, " vocabulary"]
    codes: Sequence[str]
    paired: Int[np.ndarray, " paired"]
    curves: Int[np.ndarray, " curves"]
    gaps: Float[np.ndarray, " quantiles"]

    def items(self) -> list[Item]:
        """All numbers, in the order of the numerators' columns."""
        rates = [Item("rate", name, "", YEARS) for name in ("events", "measurements", "deaths")]
        rates.append(Item("rate", "measurements per event", "", EVENTS))
        shares = [Item("prevalence", name, "", FUTURES) for name in self.codes]
        names = [self.codes[code] for code in self.paired]
        pairs = [Item("pair", *both, FUTURES) for both in itertools.combinations(names, 2)]
        gaps = [
            Item("gap", f"{quantile:g}", f"{gap / MINUTES_PER_DAY:.4g}", EVENTS)
            for quantile, gap in zip(QUANTILES, self.gaps, strict=True)
        ]
        bands = [f"{BAND_YEARS * band}-{BAND_YEARS * (band + 1)}" for band in range(_NUM_BANDS)]
        curves = [
            Item("age_rate", self.codes[code], band, EVENTS + 1 + number)
            for code in self.curves
            for number, band in enumerate(bands)
        ]
        return [*rates, *shares, *pairs, *gaps, *curves]


def make_plan(real: Futures, vocabulary: Vocabulary) -> Plan:
    """The plan for points whose real futures these are."""
    codes, code = np.unique(vocabulary.base_codes(), return_inverse=True)
    having = np.unique(real.future * len(codes) + code[real.token]) % len(codes)
    number = np.bincount(having, minlength=len(codes))
    common = np.argsort(-number, kind="stable")[: np.count_nonzero(number)]
    _, gaps = event_gaps(real)
    quantiles = np.quantile(gaps, QUANTILES) if len(gaps) else np.zeros(len(QUANTILES))
    names = [str(name) for name in codes]
    return Plan(code, names, common[:NUM_PAIRED], common[:NUM_AGE_CURVES], quantiles)


@dataclass(frozen=True)
class Counts:
    """Of each point, the mean over its futures.

    Attributes:
        top: Numerators, a column per item of the plan.
        bottom: Denominators.
    """

    top: sparse.csr_array
    bottom: Float[np.ndarray, "points denominators"]


def count(futures: Futures, plan: Plan, start: Int[np.ndarray, " all"]) -> Counts:
    """Count what ``plan`` asks for.

    Args:
        futures: At least one future of each of some neighbouring points, which are the rows of the result.
        plan: What to count.
        start: Prediction times of all points, minutes since birth.
    """
    return _Counting(futures, plan, start[futures.point], futures.point - futures.point[0]).counts()


class _Counting:
    """One pass over some futures.

    Args:
        futures: The futures.
        plan: What to count.
        begin: Age of each future's subject at its beginning, minutes.
        point: Row of each future's point in the result.
    """

    def __init__(self, futures: Futures, plan: Plan, begin: np.ndarray, point: np.ndarray) -> None:
        self.futures, self.plan, self.begin, self.point = futures, plan, begin, point
        self.number = int(point[-1]) + 1
        self.weight = 1 / np.bincount(point)[point]
        self.event, self.gaps = event_gaps(futures)
        self.code = plan.code[futures.token]
        # Each code of a future once: the pair as one number.
        had = np.unique(futures.future * len(plan.codes) + self.code)
        self.having, self.had = np.divmod(had, len(plan.codes))

    def counts(self) -> Counts:
        parts = [self._rates(), self._shares(), self._pairs(), self._short_gaps(), self._curves()]
        return Counts(sparse.csr_array(sparse.hstack(parts)), self._denominators())

    def _mean(self, future: np.ndarray | slice = slice(None), values: np.ndarray | float = 1.0) -> np.ndarray:
        """Sum over futures named (again where they count again), as the mean of their point's futures."""
        point = self.point[future]
        return np.bincount(point, self.weight[future] * values, minlength=self.number)

    def _table(self, future: np.ndarray, column: np.ndarray, width: int) -> sparse.coo_array:
        """The same by column; repeats add up."""
        place = (self.point[future], column)
        return sparse.coo_array((self.weight[future], place), shape=(self.number, width))

    def _rates(self) -> sparse.coo_array:
        measurements = self._mean(self.futures.future)
        deaths = self._mean(np.flatnonzero(self.futures.died))
        return _columns([self._mean(self.event), measurements, deaths, measurements])

    def _shares(self) -> sparse.coo_array:
        return self._table(self.having, self.had, len(self.plan.codes))

    def _pairs(self) -> sparse.coo_array:
        paired = self.plan.paired
        place = np.full(len(self.plan.codes), -1)
        place[paired] = np.arange(len(paired))
        common = place[self.had] >= 0
        has = np.zeros((len(self.futures), len(paired)), dtype=bool)
        has[self.having[common], place[self.had[common]]] = True
        first, second = np.triu_indices(len(paired), 1)
        both = [self._mean(np.flatnonzero(has[:, a] & has[:, b])) for a, b in zip(first, second, strict=True)]
        return _columns(both) if both else sparse.coo_array((self.number, 0))

    def _short_gaps(self) -> sparse.coo_array:
        return _columns([self._mean(self.event[self.gaps <= most]) for most in self.plan.gaps])

    def _curves(self) -> sparse.coo_array:
        curves = self.plan.curves
        place = np.full(len(self.plan.codes), -1)
        place[curves] = np.arange(len(curves))
        asked = np.flatnonzero(place[self.code] >= 0)
        future = self.futures.future[asked]
        age = self.begin[future] + self.futures.elapsed[asked]
        band = np.minimum(age // _BAND, _NUM_BANDS - 1)
        column = place[self.code[asked]] * _NUM_BANDS + band
        return self._table(future, column, len(curves) * _NUM_BANDS)

    def _denominators(self) -> Float[np.ndarray, "points denominators"]:
        low = np.arange(_NUM_BANDS) * _BAND
        high = np.append(low[1:], np.iinfo(np.int64).max)
        until = self.begin + self.futures.followed
        bands = []
        for least, most in zip(low, high, strict=True):
            minutes = np.clip(until, least, most) - np.clip(self.begin, least, most)
            bands.append(self._mean(values=minutes / MINUTES_PER_YEAR))
        years = self._mean(values=self.futures.followed / MINUTES_PER_YEAR)
        return np.stack([self._mean(), years, self._mean(self.event), *bands], axis=1)


def event_gaps(
    futures: Futures,
) -> tuple[Int[np.ndarray, " events"], Int[np.ndarray, " events"]]:
    """Of each event (all measurements of one time): its future, and minutes since the event before it.

    The first event's gap begins at the prediction time; the last one, to the end, is not known in full and
    not counted.
    """
    future, elapsed = futures.future, futures.elapsed
    first = np.ones(len(future), dtype=bool)
    first[1:] = future[1:] != future[:-1]
    new = first.copy()
    new[1:] |= elapsed[1:] != elapsed[:-1]
    at = np.flatnonzero(new)
    before = np.concatenate([[0], elapsed[at][:-1]])
    before[first[at]] = 0
    return future[at], elapsed[at] - before


def _columns(columns: Sequence[np.ndarray]) -> sparse.coo_array:
    return sparse.coo_array(np.stack(columns, axis=1))
