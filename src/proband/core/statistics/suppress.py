"""Which numbers may leave: no count of 1 to 20, nor numbers from which one follows.

Five rules, for All of Us and others who forbid small counts: counts of 1 to 20 are shown as "≤20" and larger
ones rounded up to tens, so that subtracting two of them tells no exact count; of horizons nested in each
other only those are shown whose cases differ by none or by more than 20; curve points and groups are merged
until each holds more than 20 subjects with and more than 20 without the outcome; a share of n is rounded to
a step of at least 1 / n, which shares of any other number of that size or more round to as well, so that no
fraction tells its denominator.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from proband.core.statistics.least import LEAST as LEAST

HIDDEN = "≤20"
WITHHELD = "withheld"
_ROUND_TO = 10
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Shares are multiples of these; even the widest is no less than 1 / 21."""


def count(number: int | None) -> str:
    """A count as it may be printed: 0, "≤20", or rounded up to tens.

    >>> [count(number) for number in (0, 1, 20, 21, 1234, None)]
    ['0', '≤20', '≤20', '30', '1,240', '–']
    """
    if number is None:
        return "–"
    if 0 < number < LEAST:
        return HIDDEN
    return f"{math.ceil(number / _ROUND_TO) * _ROUND_TO:,}"


def step(number: int) -> float:
    """The step to which shares of ``number`` subjects are rounded.

    >>> step(5000), step(999), step(118), step(21)
    (0.001, 0.002, 0.01, 0.05)
    """
    return next((width for width in _STEPS if width * number >= 1), _STEPS[-1])


def share(value: float, number: int) -> float:
    """A share of ``number`` subjects, 0 to 1, as it may be shown.

    >>> share(7 / 1187, 1187), share(28 / 118, 118), share(10 / 47, 47)
    (0.006, 0.24, 0.2)
    """
    width = step(number)
    return round(round(value / width) * width, 3)


def shares(values: pl.Series, numbers: pl.Series) -> pl.Series:
    """:func:`share` of each value with its number; null stays null."""
    pairs = zip(values, numbers, strict=True)
    rounded = [None if value is None else share(value, number) for value, number in pairs]
    return pl.Series(values.name, rounded, dtype=pl.Float64)


def parts(numbers: Sequence[int], elsewhere: Collection[int] = ()) -> list[str]:
    """Counts that add up to a total shown beside: if just one is hidden, the next smallest is withheld too.

    Args:
        numbers: The counts.
        elsewhere: Places of those that are printed elsewhere as well: others are withheld before them.

    >>> parts([7, 500]), parts([300, 500]), parts([80, 500, 7], elsewhere=[0])
    (['≤20', 'withheld'], ['300', '500'], ['80', 'withheld', '≤20'])
    """
    shown = [count(number) for number in numbers]
    if shown.count(HIDDEN) == 1:
        others = [place for place, text in enumerate(shown) if text not in (HIDDEN, "0")]
        if others:
            shown[min(others, key=lambda place: (place in elsewhere, numbers[place]))] = WITHHELD
    return shown


def may_show(number: int) -> bool:
    """Whether a count may be known: none, or more than 20."""
    return number == 0 or number >= LEAST


def shown_horizons(cases: Mapping[float, int], controls: Mapping[float, int]) -> list[float]:
    """Horizons whose results may be shown together, from the longest down.

    Args:
        cases: Horizon in years -> cases by then.
        controls: Horizon in years -> subjects known to be without the outcome by then, those censored before
            aside; none where it is missing.

    >>> shown_horizons({1.0: 30, 5.0: 120, 10.0: 135}, {1.0: 950, 5.0: 800, 10.0: 700})
    [1.0, 10.0]
    """
    kept: list[float] = []
    for horizon in sorted(cases, reverse=True):
        enough = min(cases[horizon], controls.get(horizon, 0)) >= LEAST
        if enough and (not kept or may_show(cases[kept[-1]] - cases[horizon])):
            kept.append(horizon)
    return kept[::-1]


_FLAGGED = ("num_flagged", "num_flagged_cases")


def safe_points(
    curve: pl.DataFrame,
    num_subjects: int,
    num_cases: int,
    drawn: Sequence[tuple[int, int]] = (),
    first: Sequence[bool] = (),
) -> pl.DataFrame:
    """The points of a curve between which more than 20 cases and more than 20 others lie.

    A point without cases before it or after it goes too: it would tell the rank of a single case. So does
    one that is 1 to 20 cases, others or subjects away from what else is shown of the same risks: their
    difference would be a group of so few.

    Args:
        curve: One model's points with num_flagged and num_flagged_cases, rising.
        num_subjects: All rows whose status is known.
        num_cases: All cases.
        drawn: Cases and others of higher risk than each point of another curve, and each boundary between
            groups, in the same order of risk.
        first: Which points are chosen before the others, which then have to be as far from them.

    Returns:
        The rows that may be drawn, their shares still unrounded.
    """
    points = [(cases, flagged - cases) for flagged, cases in curve.select(_FLAGGED).iter_rows()]
    ends = [(0, 0), (num_cases, num_subjects - num_cases)]
    kept: list[tuple[int, int]] = []
    keep = [False] * len(points)
    wanted = [number for number, is_first in enumerate(first) if is_first]
    for number in [*wanted, *sorted(set(range(len(points))) - set(wanted))]:
        cases, others = points[number]
        near = (min(abs(cases - one), abs(others - other)) for one, other in (*ends, *kept))
        apart = all(_may_subtract(points[number], other) for other in drawn)
        inside = cases <= ends[1][0] and others <= ends[1][1]
        if inside and apart and min(near) >= LEAST:
            keep[number] = True
            kept.append(points[number])
    return curve.filter(pl.Series(keep, dtype=pl.Boolean))


def _may_subtract(point: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether neither cases nor others nor both together differ by 1 to 20."""
    cases, others = abs(point[0] - other[0]), abs(point[1] - other[1])
    return may_show(cases) and may_show(others) and may_show(abs(sum(point) - sum(other)))


def merge_groups(groups: pl.DataFrame, averaged: Sequence[str]) -> pl.DataFrame:
    """Neighbouring groups merged until each holds more than 20 cases and more than 20 others.

    Args:
        groups: One row per group in order, with num_subjects, num_cases, observed, low and high.
        averaged: Further columns to average, weighted by subjects.

    Returns:
        first and last (numbers of the groups merged), num_subjects, num_cases, observed, low, high and
        ``averaged``, shares rounded as :func:`share` does; intervals of merged groups by the normal
        approximation. Empty when not even the whole is enough.
    """
    pools: list[list[dict]] = [[]]
    for number, row in enumerate(groups.iter_rows(named=True), start=1):
        pools[-1].append(row | {"number": number})
        if _enough(pools[-1]):
            pools.append([])
    if pools[-1] and len(pools) > 1:
        rest = pools.pop()
        pools[-1] += rest
    merged = [_merge(pool, averaged) for pool in pools if pool and _enough(pool)]
    return pl.DataFrame(merged)


def boundaries(merged: pl.DataFrame) -> list[tuple[int, int]]:
    """How many cases and others lie above each boundary between groups that ascend."""
    if merged.is_empty():
        return []
    above = merged.select(pl.col("num_cases", "num_subjects").reverse().cum_sum())[:-1]
    return [(cases, subjects - cases) for cases, subjects in above.iter_rows()]


def _enough(pool: Sequence[Mapping]) -> bool:
    cases = sum(row["num_cases"] for row in pool)
    return cases >= LEAST and sum(row["num_subjects"] for row in pool) - cases >= LEAST


def _merge(pool: Sequence[Mapping], averaged: Sequence[str]) -> dict:
    total = sum(row["num_subjects"] for row in pool)
    means = {
        name: sum(row["num_subjects"] * row[name] for row in pool) / total for name in ("observed", *averaged)
    }
    low, high = pool[0]["low"], pool[0]["high"]
    if len(pool) > 1 and not any(row["low"] is None for row in pool):
        error = math.sqrt(sum((row["num_subjects"] * (row["high"] - row["low"])) ** 2 for row in pool))
        half = error / (2 * total)
        low, high = max(0.0, means["observed"] - half), min(1.0, means["observed"] + half)
    numbers = {"first": pool[0]["number"], "last": pool[-1]["number"], "num_subjects": total}
    numbers["num_cases"] = sum(row["num_cases"] for row in pool)
    found = means | {"low": low, "high": high}
    return numbers | {name: None if value is None else share(value, total) for name, value in found.items()}


def inner_points(curve: pl.DataFrame) -> pl.DataFrame:
    """Points of a smoothed curve with more than 20 subjects on either side: its ends tell nobody's risk.

    Args:
        curve: One model's points with num_subjects_below and num_subjects_above.
    """
    return curve.filter(pl.min_horizontal("num_subjects_below", "num_subjects_above") >= LEAST)


def bars(bins: pl.DataFrame) -> pl.DataFrame:
    """Bars of a histogram: bins merged until each holds more than 20 subjects, counts as multiples of 21.

    So coarse, two figures of the same risks do not tell how many subjects lie between their bounds.

    Args:
        bins: One row per bin in order, with low, high and num_subjects.

    >>> bars(pl.DataFrame({"low": [0, 1, 2], "high": [1, 2, 3], "num_subjects": [50, 9, 30]})).rows()
    [(0, 1, 42), (1, 3, 42)]
    """
    merged = merge_bins(bins, ["num_subjects"])
    return merged.with_columns((pl.col("num_subjects") / LEAST).round().cast(pl.Int64) * LEAST)


def merge_bins(bins: pl.DataFrame, counts: Sequence[str]) -> pl.DataFrame:
    """Neighbouring bins merged until each of them holds more than 20 of every kind.

    Args:
        bins: One row per bin in order, with low, high and ``counts``.
        counts: Columns of counts.

    Returns:
        low, high and ``counts`` of the merged bins. Empty when not even the whole is enough.

    >>> bins = pl.DataFrame({"low": [0, 1, 2], "high": [1, 2, 3], "a": [30, 9, 30], "b": [15, 15, 30]})
    >>> merge_bins(bins, ["a", "b"]).rows()
    [(0, 2, 39, 30), (2, 3, 30, 30)]
    """
    number, held, pools = 0, dict.fromkeys(counts, 0), []
    for row in bins.select(counts).iter_rows(named=True):
        held = {name: held[name] + row[name] for name in counts}
        pools.append(number)
        if min(held.values()) >= LEAST:
            number, held = number + 1, dict.fromkeys(counts, 0)
    pools = [min(pool, number - 1) for pool in pools]  # what is left over joins the last
    merged = bins.with_columns(pl.Series("pool", pools, pl.Int64)).filter(pl.col("pool") >= 0)
    sums = [pl.col("low").first(), pl.col("high").last(), *(pl.col(name).sum() for name in counts)]
    return merged.group_by("pool", maintain_order=True).agg(sums).drop("pool")
