"""For whom the genome adds: its mean gain within each subgroup, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from proband.report.figures.forest import Estimate, axis_of, row_svg, scale_svg
from proband.report.sections.answers import ForestRow, difference_of
from proband.report.sections.found import Found, is_control
from proband.report.sections.performance.subgroups import BY_CHANCE, beyond_chance, sortable
from proband.report.tables import TextTable, interval, number, plain

_LEAST_HALF_WIDTH = 0.02


class SubgroupGains(NamedTuple):
    """What the page says of gains within subgroups.

    Attributes:
        sentence: In how many subgroups the genome adds beyond chance, and where it adds more or less.
        rows: A row per subgroup: the mean over outcomes of the gain in AUROC, of every pair of models.
        scale: Of the rows.
        table: The same as text, with AUPRC and gaps.
    """

    sentence: str
    rows: Sequence[ForestRow]
    scale: str
    table: TextTable


def subgroup_gains(found: Found) -> SubgroupGains | None:
    """Mean gains of the models given, at the main horizon; no counts, as of other metrics in subgroups.

    Returns:
        None where no two models differ by the genome alone, or no subgroup has cases enough.
    """
    pairs = [pair for pair in found.pairs if pair[0] in found.own]
    means = found.tables["subgroup_gains"].filter(
        pl.col("outcome").is_null(), pl.col("horizon_years").eq_missing(found.horizon)
    )
    rows = means.filter(pl.col("model").is_in([model for model, _ in pairs])).drop_nulls(["low", "high"])
    rows = sortable(rows)
    auroc = rows.filter(metric="auroc").sort("dimension", "subgroup", maintain_order=True)
    if auroc.is_empty():
        return None
    each: dict[tuple[str, str], list[Estimate]] = {}
    for row in auroc.iter_rows(named=True):
        each.setdefault((row["dimension"], row["subgroup"]), []).append(
            difference_of(found, row["model"], row["reference"], row)
        )
    axis = axis_of(list(each.values()), 0.0, _LEAST_HALF_WIDTH)
    keys = ("dimension", "subgroup", "num_outcomes")
    averaged = {(dimension, name): many for dimension, name, many in auroc.select(keys).iter_rows()}
    lines = []
    for (dimension, subgroup), estimates in each.items():
        title, value = f"{plain(dimension)}: {subgroup}", estimates[0].value
        outcomes = f"{averaged[dimension, subgroup]} outcomes"
        lines.append(
            ForestRow(title, outcomes, row_svg(estimates, axis, title), number(value, sign=True), value)
        )
    known = auroc["model"].unique(maintain_order=True).to_list()
    first = next((model for model in known if not is_control(model)), known[0])
    return SubgroupGains(
        _sentence(auroc.filter(model=first)), lines, scale_svg(axis, signed=True), _table(rows)
    )


def _sentence(rows: pl.DataFrame) -> str:
    model, reference = rows.row(0, named=True)["model"], rows.row(0, named=True)["reference"]
    above = rows.filter(pl.col("low") > 0).height
    gaps = rows.drop_nulls(["gap_low", "gap_high"])
    apart = beyond_chance(gaps)
    named = "; ".join(map(_gap, apart.iter_rows(named=True)))
    said = f"{model} less {reference}: the interval lies above 0 in {above} of {rows.height} subgroups"
    by_chance = f"about {number(BY_CHANCE * gaps.height, 1)} would by chance"
    told = f"{said}. Of {gaps.height} gaps, {apart.height} exclude 0, {by_chance}"
    return f"{told}: {named}." if named else f"{told}."


def _gap(row: Mapping[str, Any]) -> str:
    """A gap in words, with the interval of its size."""
    way, where = "more" if row["gap"] > 0 else "less", plain(row["dimension"]).lower()
    size = interval(abs(row["gap"]), *_turned(row))
    return f"{way} in {where} {row['subgroup']} than in {row['subgroup_reference']} by {size}"


def _turned(row: Mapping[str, Any]) -> tuple[float, float]:
    """Ends of a gap's size."""
    return (row["gap_low"], row["gap_high"]) if row["gap"] > 0 else (-row["gap_high"], -row["gap_low"])


def _of_gap(row: Mapping[str, Any]) -> str:
    """Over how many outcomes the gap is, if not over all of the gain."""
    common = row["num_outcomes_of_gap"]
    return "" if common == row["num_outcomes"] or row["gap"] is None else f", {common} outcomes"


def _table(rows: pl.DataFrame) -> TextTable:
    header = [
        "Subgroup",
        "Models",
        "Metric",
        "Outcomes averaged",
        "Gain (95% interval)",
        "Gap (95% interval)",
    ]
    cells = [
        [
            f"{plain(row['dimension'])}: {row['subgroup']}",
            f"{row['model']} − {row['reference']}",
            row["metric"].upper(),
            str(row["num_outcomes"]),
            interval(row["difference"], row["low"], row["high"]),
            "reference"
            if row["subgroup"] == row["subgroup_reference"]
            else f"{interval(row['gap'], row['gap_low'], row['gap_high'])}{_of_gap(row)}",
        ]
        for row in rows.sort("dimension", "metric", "model", "subgroup").iter_rows(named=True)
    ]
    return TextTable(header, cells, num_labels=3)
