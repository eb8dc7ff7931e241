"""Figures as inline SVG, drawn from aggregates that may leave."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from proband.core.errors import printable

COLOURS = ("#0b5394", "#c2410c", "#15803d", "#7e22ce", "#b45309", "#0e7490", "#be185d", "#4d7c0f")
BASELINE_COLOURS = {
    "age_sex": "#9ca3af",
    "age": "#9ca3af",
    "lightgbm": "#a8907c",
    "lightgbm_pgs": "#6f5b4b",
    "pgs_logistic": "#4b5563",
}
INK, GRID = "#374151", "#e5e7eb"
_WHOLE_PERCENT_FROM = 0.05
_SIZE_INCHES = (11.2, 2.75)
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """A colour per model, the same in every figure; baselines are grey and brown."""
    own = [model for model in models if model not in BASELINE_COLOURS]
    given = {model: COLOURS[number % len(COLOURS)] for number, model in enumerate(own)}
    return given | {model: BASELINE_COLOURS[model] for model in models if model in BASELINE_COLOURS}


def outcome_figure(
    name: str,
    curves: Mapping[str, tuple[pl.DataFrame, pl.DataFrame]],
    calibration: Mapping[str, pl.DataFrame],
    deciles: pl.DataFrame,
    decile_label: str,
    incidence: float,
    colours: Mapping[str, str],
) -> str:
    """ROC, precision-recall, calibration and risk by PGS decile side by side.

    Args:
        name: Outcome, to tell the figures of a page apart.
        curves: Model -> safe ROC and precision-recall points.
        calibration: Model -> merged groups.
        deciles: Merged deciles; empty when there are none.
        decile_label: What the deciles are of.
        incidence: Cumulative incidence by the horizon.
        colours: Colour of each model.

    Returns:
        An SVG element.
    """

    def fill(axes: Sequence[Any]) -> None:
        _roc(axes[0], curves, colours)
        _precision_recall(axes[1], curves, colours, incidence)
        _calibration(axes[2], calibration, colours)
        _deciles(axes[3], deciles, decile_label)

    return draw(name, f"Curves, calibration and risk by PGS decile of {name}", 4, fill)


def draw(name: str, label: str, num_panels: int, fill: Callable[[Sequence[Any]], None]) -> str:
    """A figure of panels side by side.

    Args:
        name: To tell the figures of a page apart.
        label: What it shows, for those who cannot see it.
        num_panels: How many.
        fill: Draws on the axes.

    Returns:
        An SVG element.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure, axes = plt.subplots(1, num_panels, figsize=_SIZE_INCHES, layout="constrained", squeeze=False)
        fill(list(axes[0]))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return _inline(printable(buffer.getvalue()), printable(label))


def _inline(svg: str, label: str) -> str:
    """The SVG element alone, scaled by its viewBox, in the page's fonts."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace("'DejaVu Sans'", _FONTS.replace("'", "&apos;"))
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    escaped = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1).strip()


def _roc(
    axis: Any, curves: Mapping[str, tuple[pl.DataFrame, pl.DataFrame]], colours: Mapping[str, str]
) -> None:
    axis.set(title="ROC", xlabel="False positive rate", ylabel="Sensitivity", xlim=(0, 1), ylim=(0, 1.02))
    axis.plot([0, 1], [0, 1], color=GRID, linewidth=1.2)
    for model, (roc, _) in curves.items():
        x = [0.0, *roc["false_positive_rate"], 1.0]
        y = [0.0, *roc["sensitivity"], 1.0]
        axis.plot(x, y, color=colours[model], linewidth=1.4, marker="o", markersize=2)


def _precision_recall(
    axis: Any,
    curves: Mapping[str, tuple[pl.DataFrame, pl.DataFrame]],
    colours: Mapping[str, str],
    incidence: float,
) -> None:
    axis.set(title="Precision and recall", xlabel="Recall (sensitivity)", ylabel="Precision", xlim=(0, 1))
    axis.axhline(incidence, color=GRID, linewidth=1.2)
    highest = incidence
    for model, (_, pr) in curves.items():
        axis.plot(
            [*pr["sensitivity"], 1.0],
            [*pr["precision"], incidence],
            color=colours[model],
            linewidth=1.4,
            marker="o",
            markersize=2,
        )
        highest = max([highest, *pr["precision"]])
    axis.set_ylim(0, min(1.02, 1.15 * highest))


def _calibration(axis: Any, calibration: Mapping[str, pl.DataFrame], colours: Mapping[str, str]) -> None:
    axis.set(title="Calibration", xlabel="Predicted risk", ylabel="Observed cumulative incidence")
    ends = [0.01]
    for model, groups in calibration.items():
        if groups.is_empty():
            continue
        x, y = groups["predicted"].to_numpy(), groups["observed"].to_numpy()
        axis.plot(x, y, color=colours[model], linewidth=1.2, marker="o", markersize=3)
        if groups["low"].null_count() == 0:
            axis.vlines(x, groups["low"], groups["high"], color=colours[model], linewidth=0.8, alpha=0.55)
            ends += groups["high"].to_list()
        ends += [*x, *y]
    most = 1.05 * max(ends)
    axis.plot([0, most], [0, most], color=GRID, linewidth=1.2, zorder=0)
    axis.set(xlim=(0, most), ylim=(0, most))
    as_percent(axis, "both")


def _deciles(axis: Any, deciles: pl.DataFrame, label: str) -> None:
    axis.set(title="Risk by PGS decile", xlabel=label, ylabel="Observed cumulative incidence")
    if deciles.is_empty():
        axis.text(
            0.5,
            0.5,
            "not shown:\nno score or too few cases",
            ha="center",
            va="center",
            transform=axis.transAxes,
        )
        axis.set(xticks=[], yticks=[])
        return
    left, width = (
        deciles["first"].to_numpy() - 0.5,
        deciles["last"].to_numpy() - deciles["first"].to_numpy() + 1,
    )
    middle = left + width / 2
    axis.bar(left + 0.06, deciles["observed"], width=width - 0.12, align="edge", color="#93b7db")
    if deciles["low"].null_count() == 0:
        axis.vlines(middle, deciles["low"], deciles["high"], color=INK, linewidth=1)
    names = [
        str(first) if first == last else f"{first}–{last}"
        for first, last in deciles.select("first", "last").iter_rows()
    ]
    axis.set_xticks(middle, names)
    axis.grid(visible=False, axis="x")
    axis.set_ylim(bottom=0)
    as_percent(axis, "y")


def as_percent(axis: Any, which: str) -> None:
    """Ticks of one axis, or of both, in percent."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for name in ("x", "y") if which == "both" else (which,):
        side = getattr(axis, f"{name}axis")
        side.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        highest = getattr(axis, f"get_{name}lim")()[1]
        side.set_major_formatter(PercentFormatter(1.0, decimals=0 if highest > _WHOLE_PERCENT_FROM else 1))
