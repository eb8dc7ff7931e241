"""Sums of replicates' weights by group, in one pass over the weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from proband.core.running.compiled import compiled


def sums_by_group(
    group: Int[np.ndarray, " rows"], weights: Float[np.ndarray, "replicates rows"], number: int
) -> Float[np.ndarray, "replicates groups"]:
    """Sum of the weights of each of so many groups, in every replicate.

    >>> sums_by_group(np.array([0, 2, 2]), np.array([[1.0, 2.0, 3.0]]), 3).tolist()
    [[1.0, 0.0, 5.0]]
    """
    found = np.zeros((len(weights), number))
    _kernel()(group, np.ascontiguousarray(weights, dtype=np.float64), found)
    return found


@functools.cache
def _kernel() -> Callable[..., None]:
    return compiled(_sums)


def _sums(group: Any, weights: Any, found: Any) -> None:  # compiled by numba
    for replicate in range(weights.shape[0]):
        for row in range(group.size):
            found[replicate, group[row]] += weights[replicate, row]
