"""Subgroups: where a model ranks or calibrates differently, and how many such gaps chance would show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from proband.evaluate.groups.members import in_order
from proband.report.figures.forest import Estimate, axis_of, row_svg, scale_svg
from proband.report.sections.answers import ForestRow
from proband.report.sections.found import Found
from proband.report.tables import MOST_ROWS, TextTable, interval, plain

_METRICS = {"auroc": "AUROC", "observed_expected": "Observed / expected"}
_NO_EFFECT = {"auroc": 0.5, "observed_expected": 1.0}
_BENEFIT = "standardised_net_benefit"
_OTHERS = {
    "auroc_within_age_sex": "AUROC within age and sex",
    "brier_scaled": "Scaled Brier",
    "calibration_slope": "Slope",
    "calibration_intercept": "Intercept",
    "ici": "ICI",
    _BENEFIT: "Standardised net benefit at the incidence",
}
BY_CHANCE = 0.05
"""Share of intervals that exclude 0 by chance."""
_ROW = ("outcome", "dimension", "subgroup", "model")


class Picture(NamedTuple):
    """A metric within the subgroups of one dimension: title, rows of a forest plot, and its scale."""

    title: str
    rows: Sequence[ForestRow]
    scale: str


class Dimension(NamedTuple):
    """One dimension: its name, and a picture of each of the two metrics."""

    name: str
    pictures: Sequence[Picture]


class Subgroups(NamedTuple):
    """What the page says of subgroups.

    Attributes:
        sentence: How many gaps there are, how many lie apart from 0, and how many chance would show.
        apart: Gaps whose interval excludes 0; None without any.
        dimensions: AUROC and observed over expected within the subgroups, drawn.
        whole: The same of every subgroup with an interval, with gaps.
        others: Further metrics of these subgroups.
        missing: What is said where rows are too many for a page; ``whole`` and ``others`` are None then.
    """

    sentence: str
    apart: TextTable | None
    dimensions: Sequence[Dimension]
    whole: TextTable | None
    others: TextTable | None
    missing: str


def subgroups(found: Found) -> Subgroups | None:
    """Metrics of the models given within subgroups, at each main horizon.

    Only subgroups with cases and controls enough for an interval are shown, without counts: those of two
    subgroups could be subtracted from the whole's.

    Returns:
        None where there is none.
    """
    every = found.at_main("subgroups").filter(pl.col("model").is_in(found.own or found.models))
    every = sortable(every.drop_nulls(["low", "high"]))
    rows = every.filter(pl.col("metric").is_in(list(_METRICS)))
    if rows.is_empty():
        return None
    gaps = rows.drop_nulls(["gap_low", "gap_high"])
    apart = beyond_chance(gaps)
    expected = BY_CHANCE * gaps.height
    sentence = (
        f"Of {gaps.height:,} gaps between a subgroup and the one with most cases, {apart.height:,} have a "
        f"95% interval that excludes 0; chance alone would show about {expected:,.0f}."
    )
    header = ["Outcome", "Subgroup", "Model", "Metric", "Value (95% interval)", "Gap (95% interval)"]
    fits = rows.height <= MOST_ROWS
    whole = TextTable(header, list(_cells(rows)), num_labels=4) if fits else None
    too_long = f"The table of these {rows.height:,} values is too long for a page; it is subgroups.parquet."
    names = rows["dimension"].unique().sort()
    drawn = [
        Dimension(name.replace("_", " "), _pictures(found, rows.filter(dimension=name))) for name in names
    ]
    some = TextTable(header, list(_cells(apart)), 4) if apart.height else None
    return Subgroups(
        sentence,
        some,
        drawn,
        whole,
        _others(every, _incidences(found)) if fits else None,
        "" if fits else too_long,
    )


def sortable(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows, whose subgroups sort as :func:`~proband.evaluate.groups.members.in_order` has them."""
    return rows.with_columns(pl.col("subgroup").cast(pl.Enum(in_order(rows["subgroup"].unique()))))


def beyond_chance(gaps: pl.DataFrame) -> pl.DataFrame:
    """Rows whose gap has an interval that excludes 0."""
    return gaps.filter((pl.col("gap_low") > 0) | (pl.col("gap_high") < 0))


def _pictures(found: Found, rows: pl.DataFrame) -> list[Picture]:
    """Forest plots of one dimension, a row per outcome and subgroup."""
    pictures = []
    for metric, title in _METRICS.items():
        each: dict[tuple[str, str], list[Estimate]] = {}
        for row in rows.filter(metric=metric).sort(_ROW).iter_rows(named=True):
            each.setdefault((row["outcome"], row["subgroup"]), []).append(_estimate(found, row))
        axis = axis_of(list(each.values()), _NO_EFFECT[metric])
        lines = [
            ForestRow(
                plain(outcome), subgroup, row_svg(estimates, axis, f"{plain(outcome)}, {subgroup}"),
                f"{estimates[-1].value:.2f}", estimates[-1].value,
            )
            for (outcome, subgroup), estimates in each.items()
        ]  # fmt: skip
        pictures.append(Picture(title, lines, scale_svg(axis)))
    return pictures


def _estimate(found: Found, row: Mapping[str, Any]) -> Estimate:
    text = f"{row['model']} {interval(row['value'], row['low'], row['high'])}"
    filled = row["model"] in found.with_genome
    return Estimate(row["value"], row["low"], row["high"], found.css(row["model"]), text, filled)


def _incidences(found: Found) -> pl.DataFrame:
    """Incidence of each outcome by its main horizon."""
    rows = found.at_main("metrics").filter(metric="cumulative_incidence")
    return rows.group_by("outcome").agg(pl.col("value").first().alias("incidence"))


def _others(every: pl.DataFrame, incidences: pl.DataFrame) -> TextTable:
    """One row per outcome, subgroup and model, one column per metric; net benefit at the incidence."""
    here = every.filter(pl.col("metric").is_in(list(_OTHERS))).join(incidences, on="outcome", how="left")
    far = (pl.col("threshold") / pl.col("incidence")).log().abs()
    nearest = far == far.min().over("outcome", "metric")
    here = here.filter(pl.col("threshold").is_null() | nearest)
    cells: dict[tuple, dict[str, str]] = {}
    for row in here.sort(_ROW).iter_rows(named=True):
        mine = cells.setdefault(tuple(row[name] for name in _ROW), {})
        mine[row["metric"]] = interval(row["value"], row["low"], row["high"])
    rows = [
        [plain(outcome), f"{plain(dimension)}: {subgroup}", model, *(mine.get(name, "–") for name in _OTHERS)]
        for (outcome, dimension, subgroup, model), mine in cells.items()
    ]
    return TextTable(["Outcome", "Subgroup", "Model", *_OTHERS.values()], rows, num_labels=3)


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
