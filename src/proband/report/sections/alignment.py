"""Learnt effects of scores beside those of Cox models and published ones, on the page.

Effects are no counts: those learnt are settings of the model; a Cox model is fitted only where there are more
than 20 cases. They are rounded to hundredths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float64

from proband.core.statistics.intervals import NORMAL_975
from proband.report.disclosure import Disclosure
from proband.report.figures.heat import MOST_CELLS, heat_map
from proband.report.figures.panel import Panel
from proband.report.sections.performance.panels import Figure
from proband.report.tables import TextTable, number, p_value, plain

_ALL = "all"
_MOST_ROWS = 24
_KNOWN = {"cox": ("Cox model", "m0"), "published": ("published", "m1")}


@dataclass(frozen=True)
class Alignment:
    """How learnt effects agree with known ones.

    Attributes:
        agreement: A row per statistic over all outcomes.
        by_outcome: Correlation and precision of each outcome; None without.
        figures: Learnt against known effects of own scores; heat maps.
        own: Effects of each outcome's own scores; None without.
        groups: The same by ancestry; None without.
    """

    agreement: TextTable
    by_outcome: TextTable | None
    figures: list[Figure]
    heat: list[Figure]
    own: TextTable | None
    groups: TextTable | None


def alignment(effects: pl.DataFrame, agreement: pl.DataFrame, rules: Disclosure) -> Alignment | None:
    """What may be shown of effects.

    Args:
        effects: Rows of :data:`proband.explain.tables.EFFECTS`.
        agreement: Rows of :data:`proband.explain.tables.AGREEMENT`.
        rules: What may be shown.
    """
    if effects.is_empty():
        return None
    enough = pl.col("num_cases").map_elements(rules.enough, return_dtype=pl.Boolean)
    known = [pl.when(enough).then(pl.col(name)).alias(name) for name in ("cox", "cox_standard_error")]
    shown = effects.with_columns(known)
    everybody, own = shown.filter(ancestry=_ALL), shown.filter("is_own")
    return Alignment(
        _agreement(agreement.filter(outcome=_ALL)),
        _by_outcome(agreement.filter(pl.col("outcome") != _ALL)),
        [Figure("Own scores: learnt against known", _scatter(everybody.filter("is_own")))],
        _heat_maps(everybody),
        _own(own.filter(ancestry=_ALL)),
        _groups(own.filter(pl.col("ancestry") != _ALL)),
    )


def _agreement(rows: pl.DataFrame) -> TextTable:
    cells = [
        [plain(row["statistic"]), _interval(row), p_value(row["p"]), f"{row['number']:,}"]
        for row in rows.iter_rows(named=True)
    ]
    return TextTable(["Statistic", "Value (95% interval)", "p", "Effects"], cells)


def _by_outcome(rows: pl.DataFrame) -> TextTable | None:
    statistics = rows["statistic"].unique(maintain_order=True).to_list()
    cells = []
    for (outcome,), own in rows.group_by("outcome", maintain_order=True):
        found = {row["statistic"]: row for row in own.iter_rows(named=True)}
        values = [_interval(found[name]) if name in found else "–" for name in statistics]
        cells.append([plain(str(outcome)), *values])
    return TextTable(["Outcome", *map(plain, statistics)], cells) if cells else None


def _interval(row: dict) -> str:
    if row["value"] is None:
        return "–"
    ends = "" if row["low"] is None else f" ({number(row['low'], 2)} to {number(row['high'], 2)})"
    return f"{number(row['value'], 2)}{ends}"


def _scatter(own: pl.DataFrame) -> str:
    """Learnt effect of the score alone against known ones."""
    pairs = {name: own.drop_nulls(name) for name in _KNOWN}
    ends = [0.1, *(abs(value) for rows in pairs.values() for value in rows["log_hazard_ratio_alone"])]
    ends += [abs(value) for name, rows in pairs.items() for value in rows[name]]
    most = 1.05 * max(ends)
    label = (
        "Learnt log hazard ratio of each outcome's own scores against that of Cox models and published ones"
    )
    panel = Panel(label, (-most, most), (-most, most), "Known, per SD", "Learnt, per SD")
    panel.guide([-most, most], [-most, most])
    for name, (title, css) in _KNOWN.items():
        rows = pairs[name]
        x, y = (rows[column].round(2).to_list() for column in (name, "log_hazard_ratio_alone"))
        names = [
            f"{plain(outcome)}, {score}: learnt {number(b, 2, sign=True)}, {title} {number(a, 2, sign=True)}"
            for outcome, score, a, b in zip(rows["outcome"], rows["score"], x, y, strict=True)
        ]
        panel.marks(x, y, css, names)
    return panel.svg()


def _heat_maps(effects: pl.DataFrame) -> list[Figure]:
    """Learnt effects and those of Cox models, of the scores with the strongest effects, in one order."""
    outcomes = effects["outcome"].unique(maintain_order=True).to_list()
    learnt, cox = _matrix(effects, "log_hazard_ratio_alone"), _matrix(effects, "cox")
    fitted = np.flatnonzero(np.isfinite(cox).any(axis=0))
    if len(fitted) < 2 or len(cox) < 2:
        return []
    learnt, cox = learnt[:, fitted], cox[:, fitted]
    number = max(2, min(_MOST_ROWS, MOST_CELLS // len(fitted)))
    strength = np.nanmax(np.abs(np.where(np.isfinite(cox), cox, 0.0)), axis=1)
    kept = np.argsort(-strength, kind="stable")[:number]
    kept = kept[np.argsort(np.nanargmax(np.abs(np.nan_to_num(cox[kept])), axis=1), kind="stable")]
    table = effects.unique("score", maintain_order=True)
    names = [name or score for score, name in table.select("score", "name").iter_rows()]
    rows, columns = [names[at] for at in kept], [plain(outcomes[at]) for at in fitted]
    panels = {"Learnt by the model, of the score alone": learnt, "Cox model of the score, age and sex": cox}
    return [
        Figure(title, heat_map(f"{title}: log hazard ratio per SD", np.round(matrix[kept], 2), rows, columns))
        for title, matrix in panels.items()
    ]


def _matrix(effects: pl.DataFrame, column: str) -> Float64[np.ndarray, "scores outcomes"]:
    values = effects[column].fill_null(np.nan).to_numpy()
    return values.reshape(effects["outcome"].n_unique(), -1).T


_HEADER = ["Outcome", "Score", "Learnt, others held", "Learnt, alone", "Cox model (95% interval)"]


def _own(own: pl.DataFrame) -> TextTable | None:
    cells = [
        [*_row(row), number(row["published"], 2, sign=True)]
        for row in own.sort("outcome", "score").iter_rows(named=True)
    ]
    return TextTable([*_HEADER, "Published"], cells, 2) if cells else None


def _groups(own: pl.DataFrame) -> TextTable | None:
    fitted = own.drop_nulls("cox").sort("outcome", "score", "ancestry")
    cells = [[row["ancestry"], *_row(row)] for row in fitted.iter_rows(named=True)]
    return TextTable(["Most similar population", *_HEADER], cells, 3) if cells else None


def _row(row: dict) -> list[str]:
    cox = number(row["cox"], 2, sign=True)
    if row["cox"] is not None:
        half = NORMAL_975 * row["cox_standard_error"]
        low, high = (number(row["cox"] + side * half, 2, sign=True) for side in (-1, 1))
        cox = f"{cox} ({low} to {high})"
    learnt = [number(row[name], 2, sign=True) for name in ("log_hazard_ratio", "log_hazard_ratio_alone")]
    return [plain(row["outcome"]), row["name"] or row["score"], *learnt, cox]
