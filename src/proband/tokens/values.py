"""Numeric values as quantile bins of their code, fitted on the train split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float32, Float64, Int, Shaped

_MOST_DIGITS = 40


def fit_edges(
    values: pl.DataFrame, num_bins: int, min_values: int, min_subjects: int
) -> dict[str, tuple[float, ...]]:
    """Inner bin edges per code: near the quantiles, between values that occur, rounded.

    No edge is a value of anybody: it is the number of fewest digits between two neighbouring values, and
    every bin holds the values of at least ``min_subjects`` people. Where ties or few people leave no room
    for a quantile, the next value up takes its place, and bins may be fewer.

    Args:
        values: Columns ``subject_id``, ``code`` and ``numeric_value`` of the train split; null, NaN and
            infinite values are ignored.
        num_bins: Bins wanted.
        min_values: A code with fewer values gets no bins (its values are not used).
        min_subjects: People whose values a bin needs, counted once each.

    Returns:
        Code to ascending inner edges, for codes with at least two bins.

    >>> frame = pl.DataFrame({"subject_id": range(4), "code": "a", "numeric_value": [1.0, 2.0, 3.0, 4.0]})
    >>> fit_edges(frame, 2, 1, 1)
    {'a': (2.5,)}
    >>> fit_edges(frame, 2, 1, 3)
    {}
    """
    edges = {}
    usable = values.filter(pl.col("numeric_value").is_finite())
    for (code,), group in usable.group_by("code"):
        if group.height < min_values:
            continue
        numbers = group["numeric_value"].cast(pl.Float64).to_numpy()
        order = np.argsort(numbers, kind="stable")
        numbers, people = numbers[order], group["subject_id"].to_numpy()[order]
        cuts = _cuts(numbers, people, num_bins, min_subjects)
        if cuts:
            edges[str(code)] = tuple(_between(numbers[cut - 1], numbers[cut]) for cut in cuts)
    return dict(sorted(edges.items()))


def _cuts(
    numbers: Float64[np.ndarray, " n"], people: Shaped[np.ndarray, " n"], num_bins: int, least: int
) -> list[int]:
    """First places of all bins but the lowest, in ascending values."""
    places = np.flatnonzero(np.diff(numbers)) + 1
    wanted = np.quantile(numbers, np.arange(1, num_bins) / num_bins)
    targets = np.unique(np.searchsorted(numbers, wanted, side="left"))
    # Ties may push all quantiles onto the lowest value: then it is told from all others.
    targets = targets[targets > 0] if targets[-1] > 0 else places[:1]
    before, after = _neighbours(people)
    # People from each place on, counted once: where the last of theirs stands.
    above = np.cumsum((after == len(people))[::-1])[::-1]
    places = places[above[places] >= least]
    cuts, first = [], 0
    for target in targets:
        below = np.cumsum(before < first) - first  # people from the first place to each
        at = np.searchsorted(places, max(target, first + 1))
        enough = np.flatnonzero(below[places[at:] - 1] >= least)
        if not len(enough):
            break
        first = int(places[at + enough[0]])
        cuts.append(first)
    return cuts


def _neighbours(people: Shaped[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Per place, the last place before and the next after it of the same person; -1 and n if none."""
    order = np.argsort(people, kind="stable")
    same = people[order[1:]] == people[order[:-1]]
    before, after = np.full(len(people), -1), np.full(len(people), len(people))
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after


def _between(low: float, high: float) -> float:
    """The number of fewest decimal digits between two others, the nearest to their middle.

    >>> _between(5.0, 6.0), _between(0.0, 7.31), _between(119.6, 131.4), _between(-0.2, 0.3)
    (5.5, 4.0, 130.0, 0.0)
    """
    middle = low + (high - low) / 2
    for digits in range(-_MOST_DIGITS, _MOST_DIGITS):
        rounded = round(middle, digits)
        if low < rounded < high:
            return float(rounded) + 0.0
    return float(middle if low < middle else high)


def bin_codes(events: pl.DataFrame, edges: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    """The value bin of every row whose code has bins and that has a value.

    Args:
        events: Columns ``code``, ``numeric_value``, if wanted ``value_code`` (the name of the bins;
            default the code) and any others; a null, NaN or infinite value keeps the plain code.
        edges: Inner edges per name of bins; a value equal to an edge goes to the upper bin.

    Returns:
        ``events`` with ``code`` the name of the bins where there is a bin, and a column ``bin``, its number
        from 1, null without one.

    >>> rows = pl.DataFrame({"code": ["a", "a", "b"], "numeric_value": [1.0, None, 2.0]})
    >>> bin_codes(rows, {"a": (1.0,)}).select("code", "bin").rows()
    [('a', 2), ('a', None), ('b', None)]
    """
    if "value_code" not in events.columns:
        return bin_codes(events.with_columns(value_code="code"), edges).drop("value_code")
    bins = np.zeros(events.height, dtype=np.int32)
    usable = events["numeric_value"].cast(pl.Float64).is_finite().fill_null(False)
    has_value = usable.to_numpy() & events["value_code"].is_in(list(edges)).to_numpy()
    rows = np.flatnonzero(has_value)
    if len(rows):
        picked = events[rows].select("value_code", pl.col("numeric_value").cast(pl.Float64))
        codes, numbers = picked["value_code"], picked["numeric_value"].to_numpy()
        for code in codes.unique().to_list():
            at = np.flatnonzero((codes == code).to_numpy())
            bins[rows[at]] = np.searchsorted(np.asarray(edges[code]), numbers[at], side="right") + 1
    number = pl.Series(bins)
    return events.with_columns(
        pl.when(number > 0).then("value_code").otherwise("code").alias("code"),
        pl.when(number > 0).then(number).alias("bin"),
    )


def bin_values(inner: Sequence[float]) -> Float32[np.ndarray, " bins"]:
    """A value inside each bin of a code, as float32, the type of values in MEDS.

    The middle of the bin's edges; an open bin has but one, and gives the number nearest to it. Binned again,
    each value falls into its bin.

    Args:
        inner: Ascending inner edges of :func:`fit_edges`.

    >>> bin_values((1.0, 3.0)).tolist()
    [0.99999..., 2.0, 3.0]
    """
    edges = np.asarray(inner, dtype=np.float64)
    nearest = edges.astype(np.float32)
    # An edge that float32 rounds down would fall into the bin below.
    at_or_above = np.where(nearest < edges, np.nextafter(nearest, np.float32(np.inf)), nearest)
    below = np.nextafter(at_or_above, np.float32(-np.inf))
    middle = ((edges[:-1] + edges[1:]) / 2).astype(np.float32)
    middle = np.clip(middle, at_or_above[:-1], below[1:])
    return np.concatenate([below[:1], middle, at_or_above[-1:]]).astype(np.float32)
