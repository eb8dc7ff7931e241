"""Numeric values as quantile bins of their code, fitted on the train split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float32, Float64, Int

from proband.tokens.measurements.steps import edge_between, enough, recorded_step


class Counted(NamedTuple):
    """How often each value of each code occurs, and whose it is as far as that decides anything.

    Its size goes with the different values, not with the rows: beyond the people that a bin needs it only
    matters that they are enough.

    Attributes:
        numbers: code, value (float64), len.
        people: code, value, subject_id: of each value as many people as a bin needs, or all.
    """

    numbers: pl.DataFrame
    people: pl.DataFrame


def count_values(values: pl.DataFrame, min_subjects: int) -> Counted:
    """Count the values of whole subjects.

    Args:
        values: Columns ``subject_id``, ``code`` and ``numeric_value``; null, NaN and infinite values are
            left out.
        min_subjects: People whose values a bin needs.
    """
    usable = values.filter(pl.col("numeric_value").is_finite())
    value = pl.col("numeric_value").cast(pl.Float64) + 0.0  # no negative zero
    rows = usable.select("code", "subject_id", value=value)
    return Counted(rows.group_by("code", "value").agg(pl.len().cast(pl.Int64)), _some(rows, min_subjects))


def total_values(pieces: Sequence[Counted], min_subjects: int) -> Counted:
    """Sums over pieces of whole subjects."""
    numbers = pl.concat([piece.numbers for piece in pieces])
    people = pl.concat([piece.people for piece in pieces])
    return Counted(numbers.group_by("code", "value").agg(pl.col("len").sum()), _some(people, min_subjects))


def _some(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most so many people of each value."""
    return rows.select("code", "value", "subject_id").unique().group_by("code", "value").head(most)


def fit_edges(
    counted: Counted, num_bins: int, min_values: int, min_subjects: int
) -> dict[str, tuple[float, ...]]:
    """Inner bin edges per code, near the quantiles.

    No edge is a value of anybody, and none tells which values occur: see
    :mod:`~proband.tokens.measurements.steps`. Every bin holds the values of at least ``min_subjects`` people.
    Where ties or few people leave no room for a quantile, the next value up takes its place, and bins may be
    fewer.

    Args:
        counted: Of the train split, as :func:`count_values` or :func:`total_values` gives.
        num_bins: Bins wanted.
        min_values: A code with fewer values gets no bins (its values are not used).
        min_subjects: People whose values a bin needs, counted once each; that of ``counted``.

    Returns:
        Code to ascending inner edges, for codes with at least two bins.

    >>> frame = pl.DataFrame({"subject_id": range(4), "code": "a", "numeric_value": [1.0, 2.0, 3.0, 4.0]})
    >>> fit_edges(count_values(frame, 1), 2, 1, 1)
    {'a': (2.5,)}
    >>> fit_edges(count_values(frame, 3), 2, 1, 3)
    {}
    """
    edges = {}
    people = counted.people.group_by("code", "value").agg("subject_id")
    for (code,), group in counted.numbers.join(people, on=["code", "value"]).group_by("code"):
        if group["len"].sum() >= min_values and (
            inner := _edges(group.sort("value"), num_bins, min_subjects)
        ):
            edges[str(code)] = inner
    return dict(sorted(edges.items()))


def _edges(ascending: pl.DataFrame, num_bins: int, least: int) -> tuple[float, ...]:
    """Edges of one code.

    Args:
        ascending: value, len, subject_id (a list) of its different values.
        num_bins: Bins wanted.
        least: People that a bin needs.
    """
    values, times = ascending["value"].to_numpy(), ascending["len"].to_numpy()
    people = ascending["subject_id"].to_list()
    step = recorded_step(values, people, least)
    numbers = values
    if step is not None:  # values count as the multiple next to them, which is what edges tell apart
        numbers, starts = np.unique(np.floor(values / step + 0.5) + 0.0, return_index=True)
        times = np.add.reduceat(times, starts)
        ends = [*starts[1:], len(values)]
        people = [sorted(set().union(*people[i:j])) for i, j in zip(starts, ends, strict=True)]
    taken = set(values.tolist())

    def edge(cut: int) -> float | None:
        return edge_between(float(numbers[cut - 1]), float(numbers[cut]), step, taken)

    return tuple(_cut(_targets(numbers, times, num_bins), people, least, edge))


def _targets(numbers: Float64[np.ndarray, " n"], times: Int[np.ndarray, " n"], num_bins: int) -> list[int]:
    """Places, among different values, of the lowest value that is not below each quantile; none twice."""
    ends = np.cumsum(times)
    at = np.arange(1, num_bins) / num_bins * (ends[-1] - 1)
    below = np.floor(at).astype(np.int64)
    low, high = (np.searchsorted(ends, place, side="right") for place in (below, below + 1))
    wanted = _between_numbers(numbers[low], numbers[np.minimum(high, len(numbers) - 1)], at - below)
    targets = np.unique(np.searchsorted(numbers, wanted, side="left"))
    # Ties may push all quantiles onto the lowest value: then it is told from all others.
    return targets[targets > 0].tolist() if targets[-1] > 0 else [1][: len(numbers) - 1]


def _between_numbers(
    low: Float64[np.ndarray, " n"], high: Float64[np.ndarray, " n"], share: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Linear interpolation as numpy's quantile rounds it."""
    step = high - low
    return np.where(share >= 0.5, high - step * (1 - share), low + step * share)


def _cut(
    targets: Sequence[int], people: Sequence[Sequence[int]], least: int, edge: Callable[[int], float | None]
) -> list[float]:
    """Edges below the first places of all bins but the lowest, in ascending values."""
    last = len(people) - enough(reversed(people), least)
    edges: list[float] = []
    first, found = 0, None
    for target in targets:
        first = max(target, first + enough(people[first:], least))
        while first <= last and (found := edge(first)) is None:
            first += 1
        if first > last or found is None:
            break
        edges.append(found)
    return edges


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
    names = pl.DataFrame({"value_code": list(edges)}, schema={"value_code": pl.String}).with_row_index("name")
    picked = (
        events.lazy().select("value_code", pl.col("numeric_value").cast(pl.Float64)).with_row_index("row")
        .filter(pl.col("numeric_value").is_finite()).join(names.lazy(), on="value_code")
        .select("row", "name", "numeric_value").sort("name").collect()
    )  # fmt: skip
    rows, numbers = picked["row"].to_numpy(), picked["numeric_value"].to_numpy()
    ends = np.searchsorted(picked["name"].to_numpy(), np.arange(len(edges) + 1))
    for inner, start, end in zip(edges.values(), ends[:-1], ends[1:], strict=True):
        bins[rows[start:end]] = np.searchsorted(np.asarray(inner), numbers[start:end], side="right") + 1
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
