"""The step in which values of a code are recorded, and edges that do not tell which of its multiples occur.

An edge between two neighbouring values that are one step apart would name both, if it had been put there
because they occur. So every edge lies half a step off, where nobody's value is, and at the same place whether
values next to it occur or not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from jaxtyping import Float64

_MOST_DIGITS = 40
_FACTORS = (5.0, 2.5, 2.0, 1.0)
_EXPONENTS = range(6, -7, -1)
_FLOAT32 = 2.0**-23
"""Relative error of values in MEDS."""


def enough(people: Iterable[Sequence[int]], least: int) -> int:
    """How many places in order have ``least`` people between them; one more than there are if none do."""
    seen: set[int] = set()
    number = 0
    for number, ids in enumerate(people, 1):
        seen.update(ids)
        if len(seen) >= least:
            return number
    return number + 1


def recorded_step(
    values: Float64[np.ndarray, " n"], people: Sequence[Sequence[int]], least: int
) -> float | None:
    """The largest step whose multiples are the values of all but fewer than ``least`` people.

    Args:
        values: Different values, finite.
        people: Of each value, as many as ``least`` of those who had it.
        least: People that count as many.

    Returns:
        1, 2, 2.5 or 5 times a power of ten from 10^-6 to 10^6; None where no such step is told from noise.

    >>> recorded_step(np.array([5.5, 6.0, 7.5]), [[1], [2], [3]], 1)
    0.5
    """
    for exponent in _EXPONENTS:
        for factor in _FACTORS:
            step = factor * 10.0**exponent
            noise = np.abs(values) * _FLOAT32 / step
            if noise.max() > 0.1:
                return None
            off = np.flatnonzero(np.abs(values / step - np.round(values / step)) > noise)
            if enough((people[place] for place in off.tolist()), least) > len(off):
                return step
    return None


def edge_between(low: float, high: float, step: float | None, taken: Collection[float] = ()) -> float | None:
    """An edge above one value and not above the next.

    Args:
        low: The lower value; with a step, as a multiple of it.
        high: The next that occurs, likewise.
        step: As :func:`recorded_step` gives. The edge is half a step below a multiple near the middle, of
            fewer digits where there is room. Without, it is the number of fewest digits between the two.
        taken: Values of anybody, which an edge must not be.

    Returns:
        The edge in the unit of the values; None where there is no room.

    >>> edge_between(5.0, 6.0, 1.0), edge_between(2.0, 63.0, 0.5), edge_between(119.6, 131.4, None)
    (5.5, 14.75, 130.0)
    >>> edge_between(5.0, 6.0, 1.0, {5.5}) is None
    True
    """
    if step is None:
        return _of_fewest_digits(low, high)
    round_to = 10 ** max(0, math.floor(math.log10((high - low) / 2)))
    middle = round((low + 1 + high) / 2 / round_to) * round_to
    for multiple in (middle, middle - 1, middle + 1):
        edge = float(f"{(multiple - 0.5) * step:.12g}")
        if low < multiple <= high and edge not in taken:
            return edge
    return None


def _of_fewest_digits(low: float, high: float) -> float:
    """The number of fewest decimal digits between two others, the nearest to their middle.

    >>> _of_fewest_digits(5.0, 6.0), _of_fewest_digits(0.0, 7.31), _of_fewest_digits(-0.2, 0.3)
    (5.5, 4.0, 0.0)
    """
    middle = low + (high - low) / 2
    for digits in range(-_MOST_DIGITS, _MOST_DIGITS):
        rounded = round(middle, digits)
        if low < rounded < high:
            return float(rounded) + 0.0
    return float(middle if low < middle else high)
