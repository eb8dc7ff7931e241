"""The results of one folder, and what of them may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from proband.core.files.manifest import open_output
from proband.evaluate.panel.models import pairs
from proband.evaluate.stability import FILE as STABILITY_FILE
from proband.evaluate.stability import STABILITY
from proband.evaluate.tables import TABLES, read_table
from proband.report.disclosure import Disclosure

CONTROL_WORDS = ("permuted", "noise", "null", "control")
"""A model whose name has one of these is drawn as a control, which must show nothing."""


@dataclass(frozen=True)
class Found:
    """Results and the rules of the page.

    Attributes:
        tables: Name -> table of :data:`proband.evaluate.tables.TABLES`, and ``stability``, without rows where
            there were no refits.
        manifest: Of the results folder.
        rules: What may be shown.
    """

    tables: Mapping[str, pl.DataFrame]
    manifest: Mapping[str, Any]
    rules: Disclosure

    @cached_property
    def models(self) -> list[str]:
        """Models in the order of the results."""
        return self.tables["metrics"]["model"].unique(maintain_order=True).to_list()

    @cached_property
    def own(self) -> list[str]:
        """Models given to evaluate, baselines and oracle aside."""
        given = self.tables["models"].filter(kind="given")["model"].to_list()
        return [model for model in self.models if model in given]

    @cached_property
    def with_genome(self) -> set[str]:
        """Models known to read a genome."""
        return set(self.tables["models"].filter("reads_genome")["model"])

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Each model with a genome beside the one without."""
        return pairs(self.tables["models"])

    @cached_property
    def shown(self) -> dict[str, list[float]]:
        """Outcome -> horizons that may be shown, rising; outcomes in alphabetical order."""
        metrics = self.tables["metrics"]
        return {
            name: self._horizons(name, metrics.filter(outcome=name))
            for name in metrics["outcome"].unique().sort()
        }

    @cached_property
    def main(self) -> dict[str, float]:
        """Outcome -> the longest horizon that may be shown, for those that have one."""
        return {name: horizons[-1] for name, horizons in self.shown.items() if horizons}

    @cached_property
    def firm(self) -> list[str]:
        """Outcomes shown whose AUROC has an interval; all of those shown where none has."""
        rows = self.at_main("metrics").filter(metric="auroc").drop_nulls("low")
        firm = set(rows["outcome"])
        return [name for name in self.main if name in firm] or list(self.main)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the evaluation."""
        return self.manifest.get("config", {})

    @property
    def split(self) -> str:
        """The split that is judged; empty where the manifest does not say."""
        return self.settings.get("split", "")

    @property
    def resampled(self) -> bool:
        """Whether the results were evaluated with resamples; without there are no intervals at all."""
        return bool(self.settings.get("bootstrap"))

    @property
    def horizon(self) -> float | None:
        """The horizon that is the longest of most outcomes; the longer of two that are of as many."""
        longest = list(self.main.values())
        return max(longest, key=lambda one: (longest.count(one), one), default=None)

    def css(self, model: str) -> str:
        """CSS class of a model's colour."""
        return f"m{self.models.index(model)}"

    def at(self, outcome: str, horizon: float) -> dict[str, pl.DataFrame]:
        """Rows of every table that has this outcome and horizon."""
        key = ["outcome", "horizon_years"]
        return {
            name: table.filter(outcome=outcome, horizon_years=horizon)
            for name, table in self.tables.items()
            if all(column in table.columns for column in key)
        }

    def at_main(self, name: str) -> pl.DataFrame:
        """Rows of one table at the main horizon of each outcome shown."""
        rows = list(self.main.items())
        wanted = pl.DataFrame(rows, schema={"outcome": pl.String, "horizon_years": pl.Float64}, orient="row")
        return self.tables[name].join(wanted, on=["outcome", "horizon_years"], maintain_order="left")

    def _horizons(self, name: str, metrics: pl.DataFrame) -> list[float]:
        counts = metrics.group_by("horizon_years").agg(pl.col("num_cases").min())
        cases = dict(counts.select("horizon_years", "num_cases").iter_rows())
        estimable = set(metrics.filter(pl.col("value").is_not_null(), metric="auroc")["horizon_years"])
        usable = {horizon: value for horizon, value in cases.items() if horizon in estimable}
        controls = self.tables["flow"].filter(outcome=name, step="control")
        return self.rules.horizons(usable, dict(controls.select("horizon_years", "num_subjects").iter_rows()))


def is_control(model: str) -> bool:
    """Whether a model is a control by its name.

    >>> is_control("EHR+PGS (permuted)"), is_control("EHR+PGS")
    (True, False)
    """
    return any(word in model.lower() for word in CONTROL_WORDS)


def read_results(results: Path, synthetic: bool = False) -> Found:
    """Read a results folder.

    Args:
        results: Folder of ``proband evaluate``.
        synthetic: The data are of no person; so are those of results beside which a truth was given.

    Raises:
        DataError: It is no finished folder of that stage.
    """
    manifest = open_output(results, "evaluate")
    tables = {name: read_table(results, name) for name in TABLES}
    refitted = results / STABILITY_FILE
    tables["stability"] = STABILITY.read(refitted) if refitted.is_file() else STABILITY.empty()
    known = manifest.get("notes", {}).get("synthetic") is True
    return Found(tables, manifest, Disclosure(synthetic or known))
