"""Distribution of predicted risk among cases and others, from the points of the ROC curve that are drawn."""

from __future__ import annotations

import math
from itertools import pairwise

import polars as pl

from proband.report.disclosure import Disclosure
from proband.report.figures.curves import LEAST_POINTS

_MOST_BINS = 24
_BINS = {"low": pl.Float64, "high": pl.Float64, "cases": pl.Float64, "others": pl.Float64}


def risk_bins(points: pl.DataFrame, rules: Disclosure) -> pl.DataFrame:
    """Shares of cases and of others between thresholds of a ROC curve.

    With data of people each bin holds more than 20 of either, since points are that far apart. Bins are at
    least a 24th of the axis wide on the square-root scale. The highest is open: how far it reaches would be
    the highest risk of a subject; it is given the width of the one before.

    Args:
        points: threshold, sensitivity and false_positive_rate that may be shown, shares rounded.
        rules: What may be shown.

    Returns:
        low, high, cases and others by rising risk; shares are weighted for censoring. Empty where fewer than
        three thresholds are left.
    """
    kept = _wide_apart(points.with_columns(rules.risks(points["threshold"])).sort("threshold"))
    if kept.height < LEAST_POINTS:
        return pl.DataFrame(schema=_BINS)
    bounds = [0.0, *kept["threshold"]]
    last, before = math.sqrt(bounds[-1]), math.sqrt(bounds[-2])
    end = min(1.0, (2 * last - before) ** 2)
    above = {"cases": [1.0, *kept["sensitivity"], 0.0], "others": [1.0, *kept["false_positive_rate"], 0.0]}
    shares = {name: [a - b for a, b in pairwise(values)] for name, values in above.items()}
    return pl.DataFrame({"low": bounds, "high": [*bounds[1:], end]} | shares, schema=_BINS)


def _wide_apart(points: pl.DataFrame) -> pl.DataFrame:
    """Points whose thresholds lie above 0, below 1 and far enough from the one before."""
    inside = points.filter((pl.col("threshold") > 0) & (pl.col("threshold") < 1))
    roots = inside["threshold"].sqrt().to_list()
    width = max(roots, default=0.0) / _MOST_BINS
    keep, last = [], 0.0
    for root in roots:
        keep.append(root - last >= width)
        last = root if keep[-1] else last
    return inside.filter(pl.Series(keep, dtype=pl.Boolean))
