"""Sensitivity, specificity, predictive value and share flagged at stated thresholds, as they may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from proband.core.statistics.suppress import WITHHELD
from proband.evaluate.metrics.replicates import COMPARED_AT
from proband.report.disclosure import Disclosure
from proband.report.sections.performance.utility import known
from proband.report.tables import TextTable, percent

_COLUMNS = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "positive_predictive_value": "PPV",
    "share_flagged": "Flagged",
}


def threshold_table(
    rows: Mapping[str, pl.DataFrame],
    here: Mapping[str, pl.DataFrame],
    incidence: float,
    rules: Disclosure,
    stated: Sequence[float] = (),
) -> TextTable | None:
    """A row per model and threshold: those nearest, as ratios, to 0.5, 1, 2 and 4 times the incidence, and
    those stated.

    Args:
        rows: Model -> rows of the decision table that may be shown.
        here: Tables of one outcome and horizon.
        incidence: Cumulative incidence by the horizon.
        rules: By which shares are rounded.
        stated: Thresholds that were asked for.

    Returns:
        None where no threshold may be shown.
    """
    cells = []
    for model, mine in rows.items():
        for row in _nearest(mine, incidence, stated):
            num_subjects, num_cases = known(here, model)
            numbers = {
                "sensitivity": num_cases,
                "specificity": num_subjects - num_cases,
                "positive_predictive_value": row["num_flagged"],
                "share_flagged": num_subjects,
            }
            shown = [_share(row[name], numbers[name], rules) for name in _COLUMNS]
            cells.append([model, _threshold(row["threshold"], stated, rules), *shown])
        for one in stated:
            if mine.height and one not in mine["threshold"]:
                cells.append([model, _threshold(one, stated, rules), *[WITHHELD] * len(_COLUMNS)])
    return TextTable(["Model", "Risk of at least", *_COLUMNS.values()], cells) if cells else None


def _nearest(rows: pl.DataFrame, incidence: float, stated: Sequence[float]) -> list[dict]:
    """Different rows nearest to the multiples, and those of stated thresholds, by rising threshold."""
    if rows.is_empty() or not incidence > 0:
        return []
    multiples = [times * incidence for times in COMPARED_AT]
    places = {int((rows["threshold"] / wanted).log().abs().arg_min() or 0) for wanted in multiples}
    places |= {place for place, threshold in enumerate(rows["threshold"]) if threshold in stated}
    return sorted((rows.row(place, named=True) for place in places), key=lambda row: row["threshold"])


def _threshold(value: float, stated: Sequence[float], rules: Disclosure) -> str:
    """A risk, as it was stated, or rounded."""
    return percent(value if value in stated else rules.risks(pl.Series([value]))[0])


def _share(value: float | None, number: int, rules: Disclosure) -> str:
    return percent(None if value is None else rules.share(value, number))
