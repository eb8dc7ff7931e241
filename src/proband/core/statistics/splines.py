"""Restricted cubic splines."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

KNOT_QUANTILES = (0.05, 0.35, 0.65, 0.95)
"""Harrell's places of four knots (Regression Modeling Strategies, 2nd ed., table 2.3)."""


def spline_basis(
    x: Float[np.ndarray, " rows"], knots: Float[np.ndarray, " knots"]
) -> Float[np.ndarray, "rows basis"]:
    """Restricted cubic spline: intercept, x, and cubic terms that turn linear beyond the outer knots."""
    columns = [np.ones(len(x)), x]
    if len(knots) > 2:
        first, before_last, last = knots[0], knots[-2], knots[-1]
        for knot in knots[:-2]:
            term = np.maximum(x - knot, 0) ** 3
            term -= np.maximum(x - before_last, 0) ** 3 * (last - knot) / (last - before_last)
            term += np.maximum(x - last, 0) ** 3 * (before_last - knot) / (last - before_last)
            columns.append(term / (last - first) ** 2)
    return np.column_stack(columns)
