"""Subgroups: where a model ranks or calibrates differently, and how many such gaps chance would show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from proband.report.sections.found import Found
from proband.report.tables import TextTable, interval, plain

_METRICS = {"auroc": "AUROC", "observed_expected": "Observed / expected"}
_BY_CHANCE = 0.05


class Subgroups(NamedTuple):
    """What the page says of subgroups.

    Attributes:
        sentence: How many gaps there are, how many lie apart from 0, and how many chance would show.
        apart: Gaps whose interval excludes 0; None without any.
        whole: Every subgroup with an interval.
    """

    sentence: str
    apart: TextTable | None
    whole: TextTable


def subgroups(found: Found) -> Subgroups | None:
    """AUROC and observed over expected of the models given within subgroups, at each main horizon.

    Only subgroups with cases and controls enough for an interval are shown, without counts: those of two
    subgroups could be subtracted from the whole's.

    Returns:
        None where there is none.
    """
    rows = found.at_main("subgroups").filter(
        pl.col("model").is_in(found.own or found.models), pl.col("metric").is_in(list(_METRICS))
    )
    rows = rows.drop_nulls(["low", "high"])
    if rows.is_empty():
        return None
    gaps = rows.drop_nulls(["gap_low", "gap_high"])
    apart = gaps.filter((pl.col("gap_low") > 0) | (pl.col("gap_high") < 0))
    expected = _BY_CHANCE * gaps.height
    sentence = (
        f"Of {gaps.height:,} gaps between a subgroup and the one with most cases, {apart.height:,} have a "
        f"95% interval that excludes 0; chance alone would show about {expected:,.0f}."
    )
    header = ["Outcome", "Subgroup", "Model", "Metric", "Value (95% interval)", "Gap (95% interval)"]
    whole = TextTable(header, list(_cells(rows)), num_labels=4)
    return Subgroups(sentence, TextTable(header, list(_cells(apart)), 4) if apart.height else None, whole)


def _cells(rows: pl.DataFrame) -> Iterator[list[str]]:
    for row in rows.sort("outcome", "dimension", "metric", "model", "subgroup").iter_rows(named=True):
        is_reference = row["subgroup"] == row["reference"]
        gap = "reference" if is_reference else interval(row["gap"], row["gap_low"], row["gap_high"])
        yield [
            plain(row["outcome"]),
            f"{plain(row['dimension'])}: {row['subgroup']}",
            row["model"],
            _METRICS[row["metric"]],
            interval(row["value"], row["low"], row["high"]),
            gap,
        ]
