"""Fewer points of a line that looks the same: a page of hundreds of curves is a third as large."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

TOLERANCE = 0.15
"""Pixels by which the line may pass a point that is left out: less than can be seen."""


def simplified(
    points: Float[np.ndarray, "points xy"], tolerance: float = TOLERANCE
) -> Float[np.ndarray, "fewer xy"]:
    """The points that a line needs to pass all others within a distance (Douglas and Peucker 1973,
    doi:10.3138/FM57-6770-U75U-7727).

    Args:
        points: In order along the line, in pixels.
        tolerance: The distance, in pixels.

    >>> simplified(np.array([[0.0, 0.0], [1.0, 0.01], [2.0, 0.0], [2.0, 5.0]])).tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 5.0]]
    """
    if len(points) < 3:
        return points
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, -1]] = True
    stretches = [(0, len(points) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        away = _distances(points[first + 1 : last], points[first], points[last])
        farthest = int(away.argmax())
        if away[farthest] > tolerance:
            middle = first + 1 + farthest
            keep[middle] = True
            stretches += [(first, middle), (middle, last)]
    return points[keep]


def _distances(
    points: Float[np.ndarray, "points 2"], begin: Float[np.ndarray, " 2"], end: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, " points"]:
    """Of points from the stretch between two others."""
    along, from_begin = end - begin, points - begin
    length = along @ along
    share = np.clip(from_begin @ along / length, 0, 1) if length else np.zeros(len(points))
    return np.hypot(*(from_begin - share[:, None] * along).T)
