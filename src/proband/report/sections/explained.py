"""Why risks are what they are, on the page: parts, what the genome moves, agreement with known effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from proband.core.files.manifest import open_output
from proband.core.statistics.suppress import LEAST
from proband.explain import tables
from proband.report.disclosure import Disclosure
from proband.report.figures.curves import decile_panel
from proband.report.sections.alignment import Alignment, alignment
from proband.report.sections.performance.panels import Figure
from proband.report.tables import TextTable, percent, plain

_PARTS = {
    "record": "Record, by code",
    "networks": "Record, by networks",
    "state": "Transformer's state",
    "genome": "Polygenic scores",
    "calibration": "Calibration and level",
    "competing_death": "Own hazard of death",
}
_AGE_SEX, _DECILE, _DECISION = "age_sex", "decile", "decision"


@dataclass(frozen=True)
class ExplainedSection:
    """Why risks are what they are.

    Attributes:
        summary: How many predictions are explained.
        parts: By outcome the mean size of each part; None where too few are explained.
        deciles: Incidence by decile of a score, where the results have none.
        decisions: Whom the genome moves over a threshold; None without genome, or where all is held back.
        threshold: Of the decisions.
        alignment: Learnt effects beside known ones; None without.
    """

    summary: str
    parts: TextTable | None
    deciles: list[Figure]
    decisions: TextTable | None
    threshold: str
    alignment: Alignment | None


def explained_section(folder: Path, rules: Disclosure, with_deciles: bool) -> ExplainedSection:
    """The section of a folder of ``proband explain``.

    Args:
        folder: That folder.
        rules: What may be shown.
        with_deciles: Whether to draw incidence by decile.

    Raises:
        DataError: The folder is another stage's, unfinished or damaged.
    """
    manifest = open_output(folder, "explain")
    parts = tables.PARTS.read(folder / "parts.parquet")
    subjects, predictions = parts["subject_id"].n_unique(), _num_predictions(parts)
    once = subjects == predictions  # else a group of many predictions may be of few subjects
    population = _read(folder, "population", tables.POPULATION) if once else tables.POPULATION.empty()
    last = population.filter(pl.col("horizon_years") == pl.col("horizon_years").max().over("outcome"))
    effects, agreement = (
        _read(folder, "effects", tables.EFFECTS),
        _read(folder, "agreement", tables.AGREEMENT),
    )
    return ExplainedSection(
        f"{rules.count(predictions)} predictions of {rules.count(subjects)} subjects, explained.",
        _parts(parts, rules),
        _deciles(last.filter(view=_DECILE), rules) if with_deciles else [],
        _decisions(last.filter(view=_DECISION), rules),
        percent(_config(manifest).get("threshold")),
        alignment(effects, agreement, rules),
    )


def _config(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    return manifest.get("config", {})


def _num_predictions(parts: pl.DataFrame) -> int:
    return parts.select(pl.struct("subject_id", "prediction_time").n_unique()).item()


def _read(folder: Path, name: str, table: Any) -> pl.DataFrame:
    """A table of the folder; empty where it has none, as without a genome."""
    path = folder / f"{name}.parquet"
    return table.read(path) if path.is_file() else table.empty()


def _parts(parts: pl.DataFrame, rules: Disclosure) -> TextTable | None:
    """Mean risk of age and sex, and mean size of what every part adds or takes, at the last horizon."""
    last = parts.filter(pl.col("horizon_years") == pl.col("horizon_years").max())
    size = pl.col("risk_points").abs().mean()
    means = last.group_by("outcome", "part", maintain_order=True).agg(size, pl.col("subject_id").n_unique())
    means = means.filter(pl.col("subject_id").map_elements(rules.enough, return_dtype=pl.Boolean))
    if means.is_empty():
        return None
    names = means.filter(pl.col("part") != _AGE_SEX)["part"].unique(maintain_order=True).to_list()
    rows = []
    for (outcome,), own in means.group_by("outcome", maintain_order=True):
        found = {part: rules.share(value, total) for _, part, value, total in own.iter_rows()}
        genome = found.get("genome", 0.0)
        cells = [percent(found[part]) if part in found else "–" for part in (_AGE_SEX, *names)]
        rows.append((genome, [plain(str(outcome)), *cells]))
    ordered = [cells for _, cells in sorted(rows, key=lambda row: (-row[0], row[1][0]))]
    return TextTable(
        ["Outcome", "Risk of age and sex", *(_PARTS.get(one, plain(one)) for one in names)], ordered
    )


def _deciles(rows: pl.DataFrame, rules: Disclosure) -> list[Figure]:
    figures = []
    for (outcome,), own in rows.group_by("outcome", maintain_order=True):
        groups = rules.groups(own.rename({"num_predictions": "num_subjects"}), ["risk", "risk_without"])
        if groups.height < 2:
            continue
        drawn = {
            title: (groups.select("first", "last", pl.col(name).alias("predicted")), css)
            for title, name, css in (("model", "risk", "m0"), ("without genome", "risk_without", "m1"))
        }
        title = plain(str(outcome))
        figures.append(Figure(title, decile_panel(title, groups, str(own["score"][0]), drawn)))
    return figures


def _decisions(rows: pl.DataFrame, rules: Disclosure) -> TextTable | None:
    """By outcome the groups of a threshold; a mean only of groups of more than 20 cases and others."""
    cells = []
    for (outcome,), own in rows.group_by("outcome", maintain_order=True):
        counts = rules.parts(own["num_predictions"].to_list())
        shown = []
        for row, count in zip(own.iter_rows(named=True), counts, strict=True):
            total = row["num_predictions"]
            enough = rules.synthetic or min(row["num_cases"], total - row["num_cases"]) >= LEAST
            means = [
                percent(rules.share(row[name], total)) if enough else "–"
                for name in ("observed", "risk", "risk_without")
            ]
            shown.append([plain(str(outcome)), row["group"], count, *means])
        cells += shown if any(one[3] != "–" for one in shown) else []
    header = [
        "Outcome",
        "At the threshold",
        "Subjects",
        "Observed risk",
        "Mean risk",
        "Mean risk without genome",
    ]
    return TextTable(header, cells, 2) if cells else None
