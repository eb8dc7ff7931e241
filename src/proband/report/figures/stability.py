"""Instability plots: risks by refits of a model against the model's own."""

from __future__ import annotations

import polars as pl

from proband.report.figures.panel import Panel, percent

_LEAST_TOP = 0.01
_ENDS = ("low", "high")


def instability_panel(model: str, outcome: str, groups: pl.DataFrame, css: str) -> str:
    """Mean 2.5% and 97.5% quantiles of the refits' risks against the mean risk by the model.

    Riley and Collins 2023, doi 10.1002/bimj.202200302.

    Args:
        model: Its name.
        outcome: For reading.
        groups: original, low and high of groups of rising risk, which may be shown; two or more.
        css: Class of the model's colour.
    """
    rows = list(groups.select("original", *_ENDS).iter_rows())
    top = 1.05 * max(_LEAST_TOP, *(value for row in rows for value in row))
    lowest, highest = _said(*rows[0]), _said(*rows[-1])
    label = f"Stability of {model}, {outcome}: {lowest} in the lowest group shown, {highest} in the highest"
    panel = Panel(label, (0, top), (0, top), "Risk by the model", "Risk by its refits", percent, percent)
    panel.guide([0, top], [0, top])
    names = [_said(*row) for row in rows]
    original = groups["original"].to_list()
    panel.intervals(original, groups["low"].to_list(), groups["high"].to_list(), css)
    for end in _ENDS:
        values = groups[end].to_list()
        panel.line(original, values, css)
        panel.marks(original, values, css, names, radius=1.6)
    return panel.svg()


def _said(original: float, low: float, high: float) -> str:
    """A group in words.

    >>> _said(0.1, 0.08, 0.13)
    'risk 10%, refits 8% to 13%'
    """
    return f"risk {percent(original)}, refits {percent(low)} to {percent(high)}"
