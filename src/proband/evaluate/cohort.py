"""Who is judged: labels with age and sex, and the cohort table."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from proband.core.schema import SPLITS
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.evaluate.tables import COHORT


def with_age_and_sex(labels: pl.DataFrame, subjects: pl.DataFrame) -> pl.DataFrame:
    """Labels with what a baseline may know.

    Args:
        labels: A frame of :data:`proband.core.schema.LABELS`.
        subjects: As :func:`proband.evaluate.inputs.read_subjects` returns.

    Returns:
        ``labels`` plus age_years at prediction and female (1, 0 or null).
    """
    age = (pl.col("prediction_time") - pl.col("birth_time")).dt.total_microseconds() / MICROSECONDS_PER_YEAR
    known = subjects.select("subject_id", "birth_time", "female")
    return labels.join(known, on="subject_id", how="left", maintain_order="left").select(
        *labels.columns, age.alias("age_years"), "female"
    )


def cohort_frame(rows: pl.DataFrame, genotyped: Iterable[int] | None) -> pl.DataFrame:
    """The cohort table: one row per split and outcome.

    Args:
        rows: As :func:`with_age_and_sex` returns, all splits.
        genotyped: Subjects with scores; None when no genome is given.

    Returns:
        A frame of :data:`proband.evaluate.tables.COHORT`.
    """
    subject = pl.col("subject_id")
    has_genome = pl.lit(None, pl.Int64) if genotyped is None else _distinct(subject.is_in(list(genotyped)))
    table = rows.group_by("split", "outcome", maintain_order=True).agg(
        subject.n_unique().cast(pl.Int64).alias("num_subjects"),
        pl.len().cast(pl.Int64).alias("num_predictions"),
        _distinct(pl.col("female") == 1).alias("num_female"),
        _distinct(pl.col("female") == 0).alias("num_male"),
        has_genome.alias("num_genotyped"),
        _distinct(pl.col("event") == 1).alias("num_events"),
        _distinct(pl.col("event") == 2).alias("num_deaths"),
        pl.col("age_years").mean().alias("mean_age_years"),
        pl.col("age_years").std().alias("sd_age_years"),
        pl.col("time_years").median().alias("median_follow_up_years"),
    )
    order = {name: number for number, name in enumerate(SPLITS)}
    rank = pl.col("split").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    return COHORT.check(table.sort(rank, "outcome"), "cohort")


def _distinct(condition: pl.Expr) -> pl.Expr:
    """Number of subjects of whom a row meets the condition."""
    return pl.col("subject_id").filter(condition).n_unique().cast(pl.Int64)
