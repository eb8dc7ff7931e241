"""Figures of simulated futures, drawn from numbers that may leave."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import polars as pl

from proband.core.statistics.suppress import share
from proband.report.figures.panel import Panel, percent

_MOST_CURVES = 3
_SIDES = (("real", "m0"), ("simulated", "m1"))
_AXES = {"longest_run": "Tokens", "distance": "Distance"}
_NAMES = {"longest_run": "Longest run found in train", "distance": "Nearest train subject"}
_DAYS = (0, 1, 7, 30, 365, 3650)


def realism_figures(shown: pl.DataFrame) -> list[tuple[str, str]]:
    """Code and pair shares, gaps and rates by age.

    Args:
        shown: Rows of the realism table that may leave.

    Returns:
        Title and SVG of each panel.
    """
    return [
        ("Share with a code", _scatter(shown.filter(statistic="prevalence"), "share with a code")),
        ("Share with two codes", _scatter(shown.filter(statistic="pair"), "share with two codes")),
        ("Time between events", _gaps(shown.filter(statistic="gap"))),
        ("Rate by age", _ages(shown.filter(statistic="age_rate"))),
    ]


def nearness_figures(bins: Mapping[str, pl.DataFrame]) -> list[tuple[str, str]]:
    """How near real and simulated futures are to train, as cumulative shares.

    Args:
        bins: Measure -> merged bins.

    Returns:
        Title and SVG of each measure that has more than one bin.
    """
    return [
        (_NAMES.get(measure, measure), _nearness(measure, table))
        for measure, table in bins.items()
        if table.height > 1
    ]


def _nearness(measure: str, table: pl.DataFrame) -> str:
    # Where the last bin ends would tell of the one future that lies farthest.
    x = [float(table["low"][0]), *(float(end) for end in table["high"][:-1])]
    label = f"{_NAMES.get(measure, measure)}: share of real and simulated futures below"
    ends = (x[0], x[-1])
    panel = Panel(label, ends, (0, 1), _AXES.get(measure, measure), "Share below", y_ticks=percent)
    for name, css in _SIDES:
        counts = table[f"num_{name}"].to_numpy()
        total = int(counts.sum())
        y = [0.0, *(share(below / total, total) for below in np.cumsum(counts)[:-1])]
        panel.line(x, y, css)
        panel.marks(x, y, css)
    return panel.svg()


def _scatter(rows: pl.DataFrame, title: str) -> str:
    both = rows.drop_nulls(["real", "simulated"])
    most = 1.05 * max([0.01, *both["real"], *both["simulated"]])
    label = f"Simulated against real {title}, {both.height} of them"
    panel = Panel(label, (0, most), (0, most), "Real", "Simulated", percent, percent)
    panel.guide([0, most], [0, most])
    panel.marks(both["real"].to_list(), both["simulated"].to_list(), "m0", both["item"].to_list(), radius=2)
    return panel.svg()


def _gaps(rows: pl.DataFrame) -> str:
    days = rows["other"].cast(pl.Float64).to_list()
    far = max([1.0, *days])
    panel = Panel(
        "Share of gaps between events at most so long",
        (0, far),
        (0, 1),
        "Days",
        "Share at most so long",
        y_ticks=percent,
        warp=math.log1p,
    )
    for day in _DAYS:
        if day <= far:
            panel.x_tick(day, f"{day:,}")
    for name, css in _SIDES:
        panel.line(days, rows[name].to_list(), css)
        panel.marks(days, rows[name].to_list(), css)
    return panel.svg()


def _ages(rows: pl.DataFrame) -> str:
    both = rows.drop_nulls(["real", "simulated"])
    codes = both["item"].unique(maintain_order=True)[:_MOST_CURVES].to_list()
    drawn = both.filter(pl.col("item").is_in(codes))
    age = drawn["other"].str.split("-").list.first().cast(pl.Float64) + 5
    top = (0, 1.05 * max([0.01, *drawn["real"], *drawn["simulated"]]))
    ends = (min([0.0, *age]), max([1.0, *age]))
    label = f"Real and simulated rates per person-year by age of {', '.join(codes)}"
    panel = Panel(label, ends, top, "Age, years", "Per person-year")
    for place, code in enumerate(codes):
        mine = drawn.filter(item=code).with_columns(age.filter(drawn["item"] == code).alias("age"))
        x, names = mine["age"].to_list(), [code] * mine.height
        panel.line(x, mine["real"].to_list(), f"m{place}")
        panel.line(x, mine["simulated"].to_list(), f"m{place}", dashed=True)
        panel.marks(x, mine["real"].to_list(), f"m{place}", names)
        panel.marks(x, mine["simulated"].to_list(), f"m{place} open", names)
    return panel.svg()
