"""What baselines are made from; what several of them need is made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from proband.core.units import DAYS_PER_YEAR
from proband.ehr.outcomes import Task
from proband.evaluate.baselines import tuning
from proband.evaluate.baselines.dates import further_dates
from proband.evaluate.baselines.records import boosting
from proband.evaluate.baselines.records.record import RecordFeatures
from proband.evaluate.baselines.scores.pgs_cox import PgsCox, fit_pgs_cox
from proband.evaluate.cohort import with_age_and_sex


@dataclass(frozen=True, eq=False)
class Inputs:
    """Data for the baselines of one evaluation.

    Attributes:
        meds: MEDS folder.
        task: The task.
        rows: Its labels with age_years and female, all splits.
        wanted: Rows to predict (what followed is not looked at).
        subjects: Sex and birth of all subjects.
        tokens: Tokens folder, if given.
        scores: A frame of :data:`proband.core.schema.SCORES`, if given.
        components: subject_id and principal components, if the genome folder has them.
        given: RiskTables of the judged models.
        fusion_risks: RiskTable of the tuning split by one of them, if given.
        seed: Seed of folds.
    """

    meds: Path
    task: Task
    rows: pl.DataFrame
    wanted: pl.DataFrame
    subjects: pl.DataFrame
    tokens: Path | None = None
    scores: pl.DataFrame | None = None
    components: pl.DataFrame | None = None
    given: pl.DataFrame | None = None
    fusion_risks: pl.DataFrame | None = None
    seed: int = 0

    @property
    def train(self) -> pl.DataFrame:
        """Train rows."""
        return self.rows.filter(split="train")

    @property
    def tuning(self) -> pl.DataFrame:
        """Tuning rows."""
        return self.rows.filter(split="tuning")

    @property
    def horizons_years(self) -> Sequence[float]:
        """The task's horizons."""
        return self.task.horizons_years

    @property
    def gap_years(self) -> float:
        """The task's blanking gap."""
        return self.task.gap_days / DAYS_PER_YEAR

    @cached_property
    def examples(self) -> pl.DataFrame:
        """Rows of train and tuning with ``is_extra``, at the task's dates and further ones."""
        own = self.rows.filter(pl.col("split").is_in(["train", "tuning"]))
        extra = with_age_and_sex(further_dates(self.meds, self.task, own), self.subjects)
        return pl.concat(
            [
                part.with_columns(pl.lit(is_extra).alias("is_extra"))
                for part, is_extra in ((own, False), (extra, True))
            ]
        )

    def record(self, with_scores: bool = False) -> RecordFeatures:
        """What records (and scores) say at a moment."""
        assert self.tokens is not None
        return RecordFeatures(self.tokens, self.scores if with_scores else None)

    @cached_property
    def boosted(self) -> tuning.Tuned:
        """Gradient boosting on records alone."""
        rows = self.examples, self.wanted, self.horizons_years
        return boosting.boosting(boosting.NAME, *rows, self.record(), self.gap_years)

    @cached_property
    def cox(self) -> PgsCox:
        """Cox hazards on scores."""
        assert self.scores is not None
        return fit_pgs_cox(self.rows, self.horizons_years, self.scores, self.components)
