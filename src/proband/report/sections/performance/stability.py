"""Stability of individual risks: what further trainings of a model say of the same people."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

import polars as pl

from proband.core.statistics.suppress import HIDDEN, LEAST
from proband.evaluate.stability import THRESHOLDS_PER_MEAN
from proband.report.disclosure import Disclosure
from proband.report.figures.stability import instability_panel
from proband.report.sections.found import Found
from proband.report.sections.performance.outcomes import in_years
from proband.report.sections.performance.panels import Figure
from proband.report.tables import TextTable, number, percent, plain

_LEAST_GROUPS = 2


class OutcomeStability(NamedTuple):
    """One outcome at its longest horizon shown: a plot per model, and a table with a row per model."""

    title: str
    horizon: str
    figures: list[Figure]
    table: TextTable


class Stability(NamedTuple):
    """What the page says of refits: a sentence over all outcomes, and each outcome."""

    sentence: str
    outcomes: list[OutcomeStability]


def stability(found: Found) -> Stability | None:
    """How far risks of refits lie from the model's own, at each main horizon.

    Means are of all subjects predicted; groups of fewer than 21 are not drawn.

    Returns:
        None where there are no refits of an outcome shown.
    """
    rows = found.at_main("stability")
    rows = rows.filter(pl.col("num_subjects").map_elements(found.rules.enough, return_dtype=pl.Boolean))
    if rows.is_empty():
        return None
    outcomes = [
        _outcome(name, horizon, found, mine)
        for name, horizon in found.main.items()
        if not (mine := rows.filter(outcome=name)).is_empty()
    ]
    return Stability(_sentence(rows), outcomes)


def _outcome(name: str, horizon: float, found: Found, rows: pl.DataFrame) -> OutcomeStability:
    figures, cells = [], []
    for (model,), mine in rows.group_by("model", maintain_order=True):
        groups = shown_groups(mine, found.rules)
        if groups.height >= _LEAST_GROUPS:
            svg = instability_panel(str(model), plain(name), groups, found.css(str(model)))
            figures.append(Figure(str(model), svg))
        cells.append(_cells(str(model), mine, found.rules))
    changed = [f"Other side of {times:g} × mean risk" for times in THRESHOLDS_PER_MEAN]
    header = ["Model", "Refits", "Mean risk", "Mean absolute difference", "Mean width of the 95% range"]
    return OutcomeStability(plain(name), in_years(horizon), figures, TextTable([*header, *changed], cells))


def shown_groups(rows: pl.DataFrame, rules: Disclosure) -> pl.DataFrame:
    """Groups of one model that may be drawn.

    Args:
        rows: Of the stability table, one outcome, horizon and model.
        rules: What may be shown.

    Returns:
        original, low and high by rising risk. A group whose number of subjects is not known is left out.
    """
    values = {
        name: rows.filter(measure=f"group_{name}").select("at", pl.col("value").alias(name))
        for name in ("original", "low", "high", "subjects")
    }
    groups = values["original"]
    for name in ("low", "high", "subjects"):
        groups = groups.join(values[name], on="at")
    kept = groups.sort("at").filter(
        pl.col("subjects").cast(pl.Int64).map_elements(rules.enough, return_dtype=pl.Boolean)
    )
    return kept.select(rules.risks(kept[name]) for name in ("original", "low", "high"))


def _cells(model: str, rows: pl.DataFrame, rules: Disclosure) -> list[str]:
    """A row of the table."""
    first, mean = rows.row(0, named=True), _mean_risk(rows)
    difference, width = (_value(rows, name) for name in ("mean_absolute_difference", "interval_width"))
    relative = f" ({percent(difference / mean)} of it)" if mean else ""
    changed = rows.filter(measure="classification_changed")
    by_multiple = {
        round(at / mean, 1): value for at, value in changed.select("at", "value").iter_rows() if mean
    }
    shares = [
        _changed(by_multiple[times], first["num_subjects"], rules) if times in by_multiple else "–"
        for times in THRESHOLDS_PER_MEAN
    ]
    shown = "–" if mean is None else percent(rules.share(mean, first["num_subjects"]))
    sizes = [f"{number(difference, 4)}{relative}", number(width, 4)]
    return [model, str(first["num_refits"]), shown, *sizes, *shares]


def _changed(share: float, num_subjects: int, rules: Disclosure) -> str:
    """A share that changes sides, if none or more than 20 subjects do, and none or more than 20 do not."""
    moved = round(share * num_subjects, 6)  # no whole number: a mean over refits
    few = any(0 < count < LEAST for count in (moved, num_subjects - moved))
    return HIDDEN if few and not rules.synthetic else percent(rules.share(share, num_subjects))


def _mean_risk(rows: pl.DataFrame) -> float | None:
    """Mean risk by the model, of which the thresholds are multiples; None without one."""
    thresholds = rows.filter(measure="classification_changed")["at"].to_list()
    return min(thresholds) / THRESHOLDS_PER_MEAN[0] if thresholds else None


def _value(rows: pl.DataFrame, measure: str) -> float:
    return float(rows.filter(measure=measure)["value"][0])


def _sentence(rows: pl.DataFrame) -> str:
    """Mean absolute difference over the mean risk, median over outcomes, by model."""
    said = []
    for (model,), mine in rows.group_by("model", maintain_order=True):
        pairs = [
            (_value(one, "mean_absolute_difference"), _mean_risk(one))
            for _, one in mine.group_by("outcome", maintain_order=True)
        ]
        shares = [difference / mean for difference, mean in pairs if mean]
        said += [f"{model} {percent(median(shares))}"] if shares else []
    if not said:
        return ""
    return f"Mean absolute difference over the mean risk, median over outcomes: {', '.join(said)}."
