"""Figures of simulated futures, drawn from numbers that may leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from proband.core.suppress import share
from proband.report.figures import COLOURS, GRID, as_percent, draw

_MOST_CURVES = 3
_REAL, _SIMULATED = COLOURS[0], COLOURS[1]
_AXES = {"longest_run": "Tokens", "distance": "Distance"}
_NAMES = {"longest_run": "Longest run found in train", "distance": "Nearest train subject"}


def realism_figure(shown: pl.DataFrame) -> str:
    """Code and pair shares, gaps and rates by age.

    Args:
        shown: Rows of the realism table that may leave.

    Returns:
        An SVG element.
    """

    def fill(axes: Sequence[Any]) -> None:
        _scatter(axes[0], shown.filter(statistic="prevalence"), "Share with a code")
        _scatter(axes[1], shown.filter(statistic="pair"), "Share with two codes")
        _gaps(axes[2], shown.filter(statistic="gap"))
        _ages(axes[3], shown.filter(statistic="age_rate"))

    return draw("simulated", "Simulated futures against real ones", 4, fill)


def nearness_figure(bins: Mapping[str, pl.DataFrame]) -> str:
    """How near real and simulated futures are to train, as cumulative shares.

    Args:
        bins: Measure -> merged bins.

    Returns:
        An SVG element; empty where no measure has bins.
    """
    kept = {measure: table for measure, table in bins.items() if table.height > 1}
    if not kept:
        return ""

    def fill(axes: Sequence[Any]) -> None:
        for axis, (measure, table) in zip(axes, kept.items(), strict=True):
            axis.set(title=_NAMES.get(measure, measure), xlabel=_AXES.get(measure, measure))
            axis.set(ylabel="Share of futures below", ylim=(0, 1.02))
            for name, colour in (("real", _REAL), ("simulated", _SIMULATED)):
                counts = table[f"num_{name}"].to_numpy()
                # Where the last bin ends would tell of the one future that lies farthest.
                x = [table["low"][0], *table["high"][:-1]]
                total = int(counts.sum())
                y = [0.0, *(share(below / total, total) for below in np.cumsum(counts)[:-1])]
                axis.plot(x, y, color=colour, linewidth=1.4, marker="o", markersize=2, label=name)
            axis.legend(frameon=False)
            as_percent(axis, "y")

    return draw("nearness", "Nearness of real and simulated futures to the train split", len(kept), fill)


def _scatter(axis: Any, rows: pl.DataFrame, title: str) -> None:
    axis.set(title=title, xlabel="Real", ylabel="Simulated")
    both = rows.drop_nulls(["real", "simulated"])
    most = 1.05 * max([0.01, *both["real"], *both["simulated"]])
    axis.plot([0, most], [0, most], color=GRID, linewidth=1.2, zorder=0)
    axis.scatter(both["real"], both["simulated"], s=7, color=_REAL, alpha=0.6, linewidths=0)
    axis.set(xlim=(0, most), ylim=(0, most))
    as_percent(axis, "both")


def _gaps(axis: Any, rows: pl.DataFrame) -> None:
    axis.set(title="Time between events", xlabel="Days", ylabel="Share at most so long", ylim=(0, 1.02))
    days = rows["other"].cast(pl.Float64)
    if rows.height and float(days.max() or 0) > 0:  # type: ignore[arg-type]
        axis.set_xscale("symlog", linthresh=1)
    for name, colour in (("real", _REAL), ("simulated", _SIMULATED)):
        axis.plot(days, rows[name], color=colour, linewidth=1.4, marker="o", markersize=3, label=name)
    axis.legend(frameon=False)
    as_percent(axis, "y")


def _ages(axis: Any, rows: pl.DataFrame) -> None:
    axis.set(title="Rate by age", xlabel="Age, years", ylabel="Per person-year")
    for number, code in enumerate(rows["item"].unique(maintain_order=True)[:_MOST_CURVES]):
        mine = rows.filter(item=code).drop_nulls(["real", "simulated"])
        low = mine["other"].str.split("-").list.first().cast(pl.Float64)
        colour = COLOURS[number]
        axis.plot(low + 5, mine["real"], color=colour, linewidth=1.4, marker="o", markersize=3, label=code)
        open_ = {"marker": "o", "markersize": 3, "markerfacecolor": "white"}
        axis.plot(low + 5, mine["simulated"], color=colour, linewidth=1.2, linestyle="--", **open_)
    if rows.height:
        axis.legend(frameon=False, fontsize=6.5)
    axis.set_ylim(bottom=0)
