"""Panels of one outcome: ROC, precision-recall, decision curve, incidence by PGS decile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import polars as pl

from proband.report.figures.panel import Number, Panel, percent, plain

LEAST_POINTS = 3
"""Points that a curve needs to be drawn through them; with fewer, it would be a straight line and false."""
_NORMAL = NormalDist()
_GRID = [0.0, *(10**-power for power in (4.0, 3.5, 3.0, 2.5)), *(step / 100 for step in range(1, 100)), 1.0]


class Curve(NamedTuple):
    """A model's points that may be shown, its AUROC, and the CSS class of its colour."""

    points: pl.DataFrame
    auroc: float | None
    css: str


def binormal(auroc: float) -> tuple[list[float], list[float]]:
    """False positive rate and sensitivity of two normal distributions of one width with this AUROC.

    Sensitivity is Phi(a + Phi^-1(rate)) with a = sqrt(2) Phi^-1(AUROC) (Hanley 1988,
    doi:10.1177/0272989X8800800308).

    >>> x, y = binormal(0.5)
    >>> max(abs(a - b) for a, b in zip(x, y)) < 1e-12
    True
    """
    shift = 2**0.5 * _NORMAL.inv_cdf(min(max(auroc, 1e-6), 1 - 1e-6))
    inner = [_NORMAL.cdf(shift + _NORMAL.inv_cdf(rate)) for rate in _GRID[1:-1]]
    return list(_GRID), [0.0, *inner, 1.0]


def roc_panel(name: str, curves: Mapping[str, Curve]) -> str:
    """ROC curves; dashed and binormal where too few points may be shown."""
    label = f"ROC curves of {name}: {_said(curves)}"
    panel = Panel(label, (0, 1), (0, 1), "False positive rate", "Sensitivity")
    panel.guide([0, 1], [0, 1])
    for curve in curves.values():
        rates, sensitivity = curve.points["false_positive_rate"], curve.points["sensitivity"]
        if curve.points.height >= LEAST_POINTS:
            panel.line([0.0, *rates, 1.0], [0.0, *sensitivity, 1.0], curve.css)
        elif curve.auroc is not None:
            panel.line(*binormal(curve.auroc), curve.css, dashed=True)
    return panel.svg()


def precision_panel(name: str, curves: Mapping[str, Curve], incidence: Number) -> str:
    """Precision-recall curves; from the binormal ROC where too few points may be shown."""
    lines: list[tuple[Sequence[Number], Sequence[Number], str, bool]] = []
    for curve in curves.values():
        recall, precision = curve.points["sensitivity"], curve.points["precision"]
        if curve.points.height >= LEAST_POINTS:
            lines.append(([*recall, 1.0], [*precision, incidence], curve.css, False))
        elif curve.auroc is not None:
            lines.append((*_binormal_precision(curve.auroc, incidence), curve.css, True))
    highest = max([0.01, incidence, *(value for _, y, *_ in lines for value in y)])
    top = (0, min(1.0, 1.15 * highest))
    label = f"Precision and recall of {name}"
    panel = Panel(label, (0, 1), top, "Recall (sensitivity)", "Precision", y_ticks=percent)
    panel.guide([0, 1], [incidence, incidence])
    for x, y, css, dashed in lines:
        panel.line(x, y, css, dashed)
    return panel.svg()


def _binormal_precision(auroc: float, incidence: Number) -> tuple[list[float], list[float]]:
    rates, sensitivity = binormal(auroc)
    pairs = [
        (recall, recall * incidence / (recall * incidence + rate * (1 - incidence)))
        for rate, recall in zip(rates, sensitivity, strict=True)
        if recall > 0.02
    ]
    return [recall for recall, _ in pairs], [precision for _, precision in pairs]


def decision_panel(
    name: str, decision: Mapping[str, tuple[pl.DataFrame, str]], everybody: pl.DataFrame, least: Number
) -> str:
    """Standardised net benefit against the threshold of risk, beside acting on all and on nobody.

    Empty where no model has points enough.

    Args:
        name: Outcome.
        decision: Model -> threshold, standardised_net_benefit, low and high (null for no band), and its CSS
            class.
        everybody: threshold and benefit of acting on all.
        least: Lowest value of the axis.
    """
    drawn = [frame for frame, _ in decision.values() if frame.height >= LEAST_POINTS]
    if not drawn:
        return ""
    far = max([0.02, *(value for frame in drawn for value in frame["threshold"])])
    panel = Panel(
        f"Decision curves of {name}: standardised net benefit by threshold",
        (0, far),
        (least, 1),
        "Threshold of risk",
        "Standardised net benefit",
        percent,
    )
    panel.guide([0, far], [0, 0])
    shown = everybody.filter((pl.col("benefit") >= least) & (pl.col("threshold") <= far))
    panel.line(shown["threshold"].to_list(), shown["benefit"].to_list(), "guide", dashed=True)
    for frame, css in decision.values():
        if frame.height >= LEAST_POINTS and frame["low"].null_count() == 0:
            panel.band(frame["threshold"].to_list(), frame["low"].to_list(), frame["high"].to_list(), css)
    for frame, css in decision.values():
        if frame.height >= LEAST_POINTS:
            panel.line(frame["threshold"].to_list(), frame["standardised_net_benefit"].to_list(), css)
    return panel.svg()


def decile_panel(
    name: str, deciles: pl.DataFrame, score: str, predicted: Mapping[str, tuple[pl.DataFrame, str]]
) -> str:
    """Observed incidence by decile of a score as bars, mean predicted risk as points; empty without."""
    if deciles.is_empty():
        return ""
    ends = [*deciles["observed"], *deciles["high"].drop_nulls()]
    ends += [value for frame, _ in predicted.values() for value in frame["predicted"]]
    label = f"Incidence of {name} by decile of {score}"
    top = (0, 1.05 * max([0.01, *ends]))
    panel = Panel(label, (0.5, 10.5), top, f"Decile of {score}", "Incidence", lambda _: "", percent)
    left, right = (deciles["first"] - 0.42).to_list(), (deciles["last"] + 0.42).to_list()
    middle = [(a + b) / 2 for a, b in zip(left, right, strict=True)]
    panel.bars(left, right, deciles["observed"].to_list())
    if deciles["low"].null_count() == 0:
        panel.intervals(middle, deciles["low"].to_list(), deciles["high"].to_list())
    for first, last, x in zip(deciles["first"], deciles["last"], middle, strict=True):
        panel.x_tick(x, plain(first) if first == last else f"{first}–{last}")
    for model, (frame, css) in predicted.items():
        x = ((frame["first"] + frame["last"]) / 2).to_list()
        y = frame["predicted"].to_list()
        panel.marks(x, y, css, [f"{model}: {percent(value)}" for value in y])
    return panel.svg()


def _said(curves: Mapping[str, Curve]) -> str:
    return ", ".join(
        f"{model} AUROC {curve.auroc:.2f}" for model, curve in curves.items() if curve.auroc is not None
    )
