"""Predicted risk of cases and of others, as mirrored histograms: a violin per model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import polars as pl

from proband.report.figures.panel import Panel, percent

_TICKS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_LEAST_APART = 0.15
"""Of the axis, between two ticks."""
_LINE_AT, _REACH, _NAME_AT = 0.41, 0.38, 0.9
"""Of a model's row: where its line lies, how far the highest density goes from it, where its name is."""
_SIDES = (("cases", 1, ""), ("others", -1, " open"))


def distribution_panel(outcome: str, bins: Mapping[str, tuple[pl.DataFrame, str]]) -> str:
    """Densities of the predicted risk of cases above a line, of others below it, a line per model.

    Risk is drawn on a square-root scale, and every half has the same area. Empty without models.

    Args:
        outcome: For reading.
        bins: Model -> low, high, and shares of cases and of others that may be shown, by rising risk; and the
            CSS class of its colour.
    """
    if not bins:
        return ""
    frames = [frame for frame, _ in bins.values()]
    top = max(float(frame["high"][-1]) for frame in frames)
    peak = max(value for frame in frames for side, *_ in _SIDES for value in densities(frame, side))
    said = "; ".join(_said(model, frame) for model, (frame, _) in bins.items())
    panel = Panel(
        f"Predicted risk of cases and others, {outcome}: {said}",
        (0, top), (0, len(bins)), "Predicted risk", "Cases above, others below",
        y_ticks=lambda _: "", warp=math.sqrt,
    )  # fmt: skip
    for value in _apart(top):
        panel.x_tick(value, percent(value))
    for place, (model, (frame, css)) in enumerate(bins.items()):
        bottom = len(bins) - place - 1
        middle = bottom + _LINE_AT
        for side, sign, kind in _SIDES:
            heights = [middle + sign * _REACH * value / peak for value in densities(frame, side)]
            panel.area(*_steps(frame, heights, middle), f"{css}{kind}", f"{model}, {side}")
        panel.name(bottom + _NAME_AT, model)
    return panel.svg()


def densities(frame: pl.DataFrame, side: str) -> list[float]:
    """Share of each bin over its width on the square-root scale.

    >>> densities(pl.DataFrame({"low": [0.0, 0.25], "high": [0.25, 1.0], "cases": [0.2, 0.8]}), "cases")
    [0.4, 1.6]
    """
    widths = frame["high"].sqrt() - frame["low"].sqrt()
    return (frame[side] / widths).to_list()


def _steps(frame: pl.DataFrame, heights: Sequence[float], middle: float) -> tuple[list[float], list[float]]:
    """Corners of a histogram that begins and ends on its line."""
    ends = [*frame["low"], frame["high"][-1]]
    x = [end for end in ends for _ in range(2)]
    return x, [middle, *(height for height in heights for _ in range(2)), middle]


def _apart(top: float) -> list[float]:
    """Ticks that do not touch."""
    kept = [0.0]
    for value in _TICKS[1:]:
        if value <= top and math.sqrt(value) - math.sqrt(kept[-1]) >= _LEAST_APART * math.sqrt(top):
            kept.append(value)
    return kept


def _said(model: str, frame: pl.DataFrame) -> str:
    """The shares above the bound that halves the cases best."""
    shares = [
        (
            float(frame["low"][place]),
            float(frame["cases"][place:].sum()),
            float(frame["others"][place:].sum()),
        )
        for place in range(1, frame.height)
    ]
    bound, cases, others = min(shares, key=lambda one: abs(one[1] - 0.5))
    return f"{model}: {percent(cases)} of cases and {percent(others)} of others above {percent(bound)}"
