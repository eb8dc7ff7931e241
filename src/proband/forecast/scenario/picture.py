"""One person with and without scenarios: the record as a timeline, risks over time, what moves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64

from proband.core.errors import printable
from proband.core.statistics.intervals import NORMAL_975, STUDENT_975_4
from proband.core.units import MINUTES_PER_YEAR
from proband.forecast.risk import Points
from proband.tokens.dataset import TokenStore

_MOST_CURVES, _MOST_BARS, _MOST_KINDS = 3, 12, 6
_AS_IT_IS = "#374151"
_COLOURS = ("#0b5394", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0e7490")


def plot_twin(
    risk: pl.DataFrame,
    scenarios: pl.DataFrame,
    store: TokenStore,
    points: Points,
    out: Path,
    exact: pl.DataFrame | None = None,
) -> None:
    """Draw one prediction of one subject as it is and in each scenario.

    Above events by kind before the prediction; in the middle risks over time of the outcomes that move most,
    below the differences by the last horizon. Bands and bars are 95% intervals of the risk as it is, and of
    differences: by Monte-Carlo errors of paired paths, or in closed form by errors of the fit.

    Args:
        risk: schema.RISK of the prediction.
        scenarios: schema.SCENARIOS of the same, at the same horizons.
        store: The records.
        points: The prediction, one point.
        out: PNG file to write; where no scenario has a risk none is written.
        exact: Where risks are sampled, those in closed form beside them, drawn dashed: scenario (null as the
            subject is), outcome, horizon_years, risk.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    last = scenarios.filter(pl.col("horizon_years") == pl.col("horizon_years").max())
    moved = last.group_by("outcome").agg(pl.col("difference").abs().max()).sort("difference", "outcome")
    names = moved.reverse()["outcome"].to_list()
    if not names:
        return
    colours = dict(zip(last["scenario"].unique(maintain_order=True), _COLOURS, strict=False))
    figure: Any = plt.figure(figsize=(10, 7.2), layout="constrained")
    above, middle, below = figure.subfigures(3, 1, height_ratios=[1, 1.7, 1.5])
    draw_timeline(above.subplots(), store, int(points.rows[0]), int(points.start[0]))
    shown = names[:_MOST_CURVES]
    axes = middle.subplots(1, len(shown), squeeze=False)[0]
    for axis, outcome in zip(axes, shown, strict=True):
        draw_risks(axis, risk.filter(outcome=outcome), scenarios.filter(outcome=outcome), colours)
        if exact is not None:
            draw_exact(axis, exact.filter(outcome=outcome), colours)
    middle.supxlabel("years after the prediction", fontsize=8)
    middle.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    draw_differences(below.subplots(), last, names[:_MOST_BARS], colours)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def draw_timeline(axis: Any, store: TokenStore, row: int, start: int) -> None:
    """Draw events of a record by kind, in years before the prediction; birth is left out."""
    tokens, minutes = store.history(row, start)
    kinds = [store.vocabulary.tokens[token].kind for token in tokens[1:]]
    common = [kind for kind, _ in Counter(kinds).most_common(_MOST_KINDS)]
    years = (minutes[1:].astype(np.float64) - start) / MINUTES_PER_YEAR
    place = np.array([common.index(kind) if kind in common else len(common) for kind in kinds], dtype=float)
    axis.plot(years, place, "|", color=_AS_IT_IS, ms=7, alpha=0.6)
    names = common + (["other"] if len(set(kinds)) > len(common) else [])
    axis.set_yticks(range(len(names)), [printable(name) for name in names], fontsize=8)
    axis.set_xlim(min(-1.0, float(years.min(initial=0.0))) * 1.02, 0)
    axis.invert_yaxis()
    axis.set_xlabel("years before the prediction", fontsize=8)
    axis.set_title("record", fontsize=9)


def draw_risks(axis: Any, risk: pl.DataFrame, scenarios: pl.DataFrame, colours: dict[str, str]) -> None:
    """Draw one outcome's risk by horizon, as it is and in each scenario."""
    from matplotlib.ticker import PercentFormatter

    own = risk.sort("horizon_years")
    _band(axis, own, _AS_IT_IS, "as it is")
    for name, colour in colours.items():
        one = scenarios.filter(scenario=name).sort("horizon_years")
        if one.height:
            _band(axis, one, colour, printable(name.replace("_", " ")))
    axis.set_title(printable(risk["outcome"][0].replace("_", " ")), fontsize=9)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set_xlim(0, None)
    axis.set_ylim(0, None)


def draw_exact(axis: Any, exact: pl.DataFrame, colours: dict[str, str]) -> None:
    """Draw one outcome's risks in closed form, dashed, beside those of sampled paths."""
    lines: list[tuple[str | None, str]] = [(None, _AS_IT_IS), *colours.items()]
    for name, colour in lines:
        one = exact.filter(pl.col("scenario").eq_missing(pl.lit(name))).sort("horizon_years")
        if one.height:
            axis.plot([0.0, *one["horizon_years"]], [0.0, *one["risk"]], "--", color=colour, lw=1)


def half_widths(rows: pl.DataFrame) -> Float64[np.ndarray, " n"]:
    """Half the width of 95% intervals, by ``fit_error`` where it is known, else by ``standard_error``."""
    of_fit = STUDENT_975_4 * pl.col("fit_error")
    return rows.select(of_fit.fill_null(NORMAL_975 * pl.col("standard_error"))).to_series().to_numpy()


def _band(axis: Any, rows: pl.DataFrame, colour: str, label: str) -> None:
    years, risk = (np.array([0.0, *rows[name]]) for name in ("horizon_years", "risk"))
    half = np.array([0.0, *half_widths(rows)])
    axis.plot(years, risk, color=colour, lw=1.4, label=label)
    if half.any():
        axis.fill_between(years, (risk - half).clip(min=0), risk + half, color=colour, alpha=0.16, lw=0)


def draw_differences(axis: Any, last: pl.DataFrame, names: list[str], colours: dict[str, str]) -> None:
    """Draw what every scenario changes by the last horizon, in percentage points, with its interval."""
    for number, (scenario, colour) in enumerate(colours.items()):
        own = last.filter(pl.col("outcome").is_in(names), scenario=scenario)
        middle = np.array([names.index(name) for name in own["outcome"]], dtype=float)
        place = middle + (number - (len(colours) - 1) / 2) * 0.16
        value, half = 100 * own["difference"].to_numpy(), 100 * half_widths(own)
        axis.errorbar(place, value, half, fmt="o", ms=4, lw=1, color=colour)
    axis.axhline(0, color=_AS_IT_IS, lw=0.8)
    labels = [printable(name.replace("_", " ")) for name in names]
    axis.set_xticks(range(len(names)), labels, rotation=30, ha="right", fontsize=8)
    axis.set_ylabel("points", fontsize=8)
    axis.set_title(f"difference in risk by {last['horizon_years'][0]:g} years, percentage points", fontsize=9)
