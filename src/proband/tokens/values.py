"""Numeric values as quantile bins of their code, fitted on the train split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float32


def fit_edges(values: pl.DataFrame, num_bins: int, min_values: int) -> dict[str, tuple[float, ...]]:
    """Inner bin edges per code: quantiles, with ties collapsed.

    Args:
        values: Columns ``code`` and ``numeric_value`` of the train split; null, NaN and infinite values
            are ignored.
        num_bins: Bins wanted; ties may leave fewer.
        min_values: A code with fewer values gets no bins (its values are not used).

    Returns:
        Code to ascending inner edges, for codes with at least two distinct values.

    >>> frame = pl.DataFrame({"code": ["a"] * 4, "numeric_value": [1.0, 2.0, 3.0, 4.0]})
    >>> fit_edges(frame, 2, 1)
    {'a': (2.5,)}
    """
    edges = {}
    groups = values.filter(pl.col("numeric_value").is_finite()).group_by("code", maintain_order=True)
    for (code,), group in groups:
        numbers = group["numeric_value"].cast(pl.Float64).to_numpy()
        if len(numbers) < min_values:
            continue
        inner = np.unique(np.quantile(numbers, np.arange(1, num_bins) / num_bins))
        above = numbers[numbers > numbers.min()]
        if len(above):
            # Ties may push all quantiles onto the lowest value: then it is told from all others.
            inner = inner[inner > numbers.min()] if inner[-1] > numbers.min() else above.min(keepdims=True)
            edges[str(code)] = tuple(float(edge) for edge in inner)
    return dict(sorted(edges.items()))


def bin_codes(events: pl.DataFrame, edges: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    """Replace ``code`` by ``CODE//Qk`` where the code has bins and the row a value.

    Args:
        events: Columns ``code`` and ``numeric_value`` and any others; a null, NaN or infinite value keeps
            the plain code.
        edges: Inner edges per code; a value equal to an edge goes to the upper bin.

    >>> rows = pl.DataFrame({"code": ["a", "a", "b"], "numeric_value": [1.0, None, 2.0]})
    >>> bin_codes(rows, {"a": (1.0,)})["code"].to_list()
    ['a//Q2', 'a', 'b']
    """
    bins = np.zeros(events.height, dtype=np.int32)
    usable = events["numeric_value"].cast(pl.Float64).is_finite().fill_null(False)
    has_value = usable.to_numpy() & events["code"].is_in(list(edges)).to_numpy()
    rows = np.flatnonzero(has_value)
    if len(rows):
        picked = events[rows].select(pl.col("code"), pl.col("numeric_value").cast(pl.Float64))
        codes, numbers = picked["code"], picked["numeric_value"].to_numpy()
        for code in codes.unique().to_list():
            at = np.flatnonzero((codes == code).to_numpy())
            bins[rows[at]] = np.searchsorted(np.asarray(edges[code]), numbers[at], side="right") + 1
    return events.with_columns(
        pl.when(pl.Series(bins) > 0)
        .then(pl.col("code") + "//Q" + pl.Series(bins).cast(pl.String))
        .otherwise(pl.col("code"))
        .alias("code")
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
