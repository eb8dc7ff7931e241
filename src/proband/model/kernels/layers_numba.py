"""Layers that pass over their numbers once, compiled by numba, for inference on a CPU."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from proband.core.compiled import compiled
from proband.core.lanes import (
    LANES,
    floor,
    largest,
    load,
    multiply_add,
    power_of_two,
    smallest,
    spread,
    store,
)

inlined = functools.partial(compiled, inline=True)
"""A function that becomes part of the compiled functions that call it."""
_LEAST, _MOST = np.float32(-127), np.float32(127)  # exponents of float32
_MINUS_LOG2_E = np.float32(-1 / math.log(2))


@inlined
def two_to(exponent: Any) -> Any:
    """``2 ** exponent`` in lanes, 0 below an exponent of -126 and 2 ** 127 at most.

    A polynomial of relative error 2e-7 for the fraction of the exponent, times a power of two.
    """
    exponent = smallest(largest(exponent, spread(_LEAST)), spread(_MOST))
    whole = floor(exponent)
    y = exponent - whole
    p = multiply_add(spread(np.float32(1.8775767e-3)), y, spread(np.float32(8.9893397e-3)))
    p = multiply_add(p, y, spread(np.float32(5.5826318e-2)))
    p = multiply_add(p, y, spread(np.float32(2.4015361e-1)))
    p = multiply_add(p, y, spread(np.float32(6.9315308e-1)))
    p = multiply_add(p, y, spread(np.float32(0.99999994)))
    return p * power_of_two(whole)


@functools.partial(compiled, fastmath=("reassoc", "contract"))
def normalise(x: Any, weight: Any, eps: float, out: Any) -> None:
    """``out = x / sqrt(mean(x²) + eps) * weight`` for x (rows, dim), each row by itself."""
    rows, dim = x.shape
    for r in range(rows):
        squares = np.float32(0)
        for d in range(dim):
            squares += x[r, d] * x[r, d]
        factor = np.float32(1 / math.sqrt(squares / dim + eps))
        for d in range(dim):
            out[r, d] = x[r, d] * factor * weight[d]


@compiled
def gate(x: Any, out: Any) -> None:
    """``out = silu(x[:, :hidden]) * x[:, hidden:]`` for x (rows, 2 hidden), hidden at least 16."""
    rows, hidden = out.shape
    flat, into = x.reshape(-1), out.reshape(-1)
    one, base = spread(np.float32(1)), spread(_MINUS_LOG2_E)
    for r in range(rows):
        for d in range(0, hidden, LANES):
            at = min(d, hidden - LANES)  # the last numbers may be computed twice
            y = load(flat, 2 * r * hidden + at)
            value = load(flat, (2 * r + 1) * hidden + at)
            store(into, r * hidden + at, y / (one + two_to(y * base)) * value)
