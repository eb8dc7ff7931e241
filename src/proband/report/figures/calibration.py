"""Calibration panel of one outcome: smoothed curves, groups of rising risk, histograms of predicted risk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from proband.report.figures.curves import LEAST_POINTS
from proband.report.figures.panel import Panel, percent


class Calibration(NamedTuple):
    """What of one model's calibration is drawn; each frame may be empty.

    Attributes:
        css: CSS class of the model's colour.
        groups: predicted, observed, low and high of groups of rising risk.
        curve: predicted, observed, low and high of smoothed observed risk; low and high null for no band.
        bars: low, high and num_subjects of a histogram.
    """

    css: str
    groups: pl.DataFrame
    curve: pl.DataFrame
    bars: pl.DataFrame


def calibration_panel(name: str, calibration: Mapping[str, Calibration]) -> str:
    """Observed against predicted risk: curves with bands, groups as points, a histogram per model below.

    The axes fit the models that have groups: a band that leaves the panel is cut at its edge, and so is the
    curve of a model without groups beside them. Empty where no curve and no group may be shown.
    """
    shown = {model: one for model, one in calibration.items() if one.groups.height or _has_curve(one)}
    if not shown:
        return ""
    strips = {model: one for model, one in shown.items() if one.bars.height}
    fitted = [one for one in shown.values() if one.groups.height] or list(shown.values())
    most = 1.05 * max(0.01, *(value for one in fitted for value in _ends(one)))
    label = f"Calibration of {name}: observed against predicted risk"
    if strips:
        label += f", and histograms of the risks predicted by {', '.join(strips)}"
    panel = Panel(
        label, (0, most), (0, most), "Predicted risk", "Observed risk", percent, percent, strips=len(strips)
    )
    panel.guide([0, most], [0, most])
    for one in shown.values():
        if _has_curve(one) and one.curve["low"].null_count() == 0:
            x, low, high = (one.curve[column].to_list() for column in ("predicted", "low", "high"))
            panel.band(x, low, high, one.css)
    for model, one in shown.items():
        if _has_curve(one):
            inside = one.curve.filter(pl.max_horizontal("predicted", "observed") <= most)
            panel.line(inside["predicted"].to_list(), inside["observed"].to_list(), one.css)
        _draw_groups(panel, model, one)
    for place, (model, one) in enumerate(strips.items()):
        _draw_bars(panel, place, model, one)
    return panel.svg()


def _has_curve(one: Calibration) -> bool:
    return one.curve.height >= LEAST_POINTS


def _ends(one: Calibration) -> list[float]:
    """What the axes must reach."""
    values = [*one.groups["predicted"], *one.groups["observed"], *one.groups["high"].drop_nulls()]
    return values + ([*one.curve["predicted"], *one.curve["observed"]] if _has_curve(one) else [])


def _draw_groups(panel: Panel, model: str, one: Calibration) -> None:
    x, y = one.groups["predicted"].to_list(), one.groups["observed"].to_list()
    if one.groups["low"].null_count() == 0:
        panel.intervals(x, one.groups["low"].to_list(), one.groups["high"].to_list(), one.css)
    names = [f"{model}: predicted {percent(a)}, observed {percent(b)}" for a, b in zip(x, y, strict=True)]
    panel.marks(x, y, one.css, names)


def _draw_bars(panel: Panel, place: int, model: str, one: Calibration) -> None:
    """Subjects per width of risk, the highest bar of a model as high as its strip."""
    heights = one.bars["num_subjects"] / (one.bars["high"] - one.bars["low"])
    edges = [*one.bars["low"], one.bars["high"][-1]]
    panel.strip(place, edges, (heights / heights.max()).to_list(), one.css, f"Risks predicted by {model}")
