"""Genetic distance: how performance changes with it, model with and without the genome side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from proband.report.figures.forest import Estimate, axis_of, row_svg, scale_svg
from proband.report.sections.answers import ForestRow
from proband.report.sections.found import Found
from proband.report.tables import TextTable, interval, number, plain

_METRICS = {
    "auroc": "AUROC",
    "calibration_slope": "Calibration slope",
    "log_odds_observed_expected": "Log odds of observed over expected",
}
_LEAST_HALF_WIDTH = 0.05
_BY_CHANCE = 0.05


class ByDistance(NamedTuple):
    """What the page says of genetic distance.

    Attributes:
        sentence: In how many outcomes the AUROC falls with distance, by model.
        rows: Change in AUROC per unit of distance, a row per outcome.
        scale: SVG of their axis.
        table: All three lines, by outcome and model.
    """

    sentence: str
    rows: Sequence[ForestRow]
    scale: str
    table: TextTable


def by_distance(found: Found) -> ByDistance | None:
    """Change per unit of genetic distance of the models given, at each main horizon.

    Only lines with an interval are shown, without counts.

    Returns:
        None where there is none.
    """
    rows = found.at_main("distance").filter(pl.col("model").is_in(found.own or found.models))
    rows = rows.drop_nulls(["low", "high"])
    auroc = rows.filter(metric="auroc")
    if auroc.is_empty():
        return None
    estimates: dict[str, list[Estimate]] = {}
    for row in auroc.sort("outcome").iter_rows(named=True):
        text = f"{row['model']} {interval(row['change'], row['low'], row['high'], sign=True)}"
        filled = row["model"] in found.with_genome
        one = Estimate(row["change"], row["low"], row["high"], found.css(row["model"]), text, filled)
        estimates.setdefault(row["outcome"], []).append(one)
    axis = axis_of(list(estimates.values()), 0.0, _LEAST_HALF_WIDTH)
    lines = []
    for name, each in estimates.items():
        value = number(each[-1].value, sign=True)
        lines.append(ForestRow(plain(name), "", row_svg(each, axis, plain(name)), value, each[-1].value))
    return ByDistance(_sentence(found, auroc), lines, scale_svg(axis, signed=True), _table(rows))


def _sentence(found: Found, auroc: pl.DataFrame) -> str:
    said = []
    for model in found.own or found.models:
        mine = auroc.filter(model=model)
        if mine.is_empty():
            continue
        falls = int((mine["high"] < 0).sum())
        median = number(mine["change"].median(), sign=True)  # type: ignore[arg-type]
        said.append(f"{model} {median} (median), interval below 0 in {falls} of {mine.height} outcomes")
    chance = _BY_CHANCE / 2
    return f"Change in AUROC per unit: {'; '.join(said)}; chance alone would put {chance:.1%} below."


def _table(rows: pl.DataFrame) -> TextTable:
    header = ["Outcome", "Model", "Metric", "At the centre", "Change per unit (95% interval)"]
    cells = [
        [
            plain(row["outcome"]),
            row["model"],
            _METRICS[row["metric"]],
            number(row["at_centre"]),
            interval(row["change"], row["low"], row["high"], sign=True),
        ]
        for row in rows.sort("outcome", "metric", "model").iter_rows(named=True)
    ]
    return TextTable(header, cells, num_labels=3)
