"""What followed each prediction time: the labels that risks are trained on and judged by."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import polars as pl

from proband.core.schema import LABELS
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.ehr.cohort import prediction_times, read_shards
from proband.ehr.meds import read_codes
from proband.ehr.outcomes import Task, require_known

OUTCOME, DIED, CENSORED = 1, 2, 0


def labels(meds: Path, task: Task, splits: Collection[str] | None = None) -> pl.DataFrame:
    """Label every subject at every prediction time of the task, for each outcome.

    New onset only: who has a code of the outcome at or before the prediction time is not at risk and gets
    no row; nor does who gets it within the task's blanking gap.

    Args:
        meds: A MEDS folder, as ``proband ehr`` writes it.
        task: The task.
        splits: Splits wanted; default all.

    Returns:
        A frame of :data:`proband.core.schema.LABELS`, sorted by subject_id, prediction_time, outcome.

    Raises:
        ConfigError: The task names codes that the folder does not hold.
        DataError: A shard is unusable or a wanted split has no subject.
    """
    known = read_codes(meds)
    require_known(task, known)
    codes = {name: outcome.select(known) for name, outcome in task.outcomes.items()}
    frames = [label_events(events, spans, task, codes) for events, spans in read_shards(meds, splits)]
    return LABELS.check(pl.concat(frames).sort("subject_id", "prediction_time", "outcome"), meds)


def label_events(
    events: pl.DataFrame, spans: pl.DataFrame, task: Task, codes: dict[str, list[str]]
) -> pl.DataFrame:
    """Label the subjects of one shard.

    An outcome at the very exit counts; so does one on the calendar day of death, whose hour is often not
    recorded. What comes after exit or after that day is not used.

    Args:
        events: Whole subjects' events, columns subject_id, time, code.
        spans: Their follow-up with ``split``; subjects that are not in it get no labels.
        task: The task.
        codes: The codes of each outcome.

    Returns:
        A frame of :data:`proband.core.schema.LABELS`.
    """
    at = spans.join(prediction_times(spans, task), on="subject_id")
    frames = [LABELS.empty()]
    for name, members in codes.items():
        onsets = (
            events.filter(pl.col("code").is_in(members) & pl.col("time").is_not_null())
            .group_by("subject_id")
            .agg(pl.col("time").min().alias("onset"))
        )
        frames.append(_label(at.join(onsets, on="subject_id", how="left"), name, task.gap_days))
    return pl.concat(frames)


def _label(at: pl.DataFrame, outcome: str, gap_days: float) -> pl.DataFrame:
    time, onset, death = pl.col("prediction_time"), pl.col("onset"), pl.col("death_time")
    gap = pl.duration(microseconds=round(gap_days * 86_400_000_000), time_unit="us")
    in_follow_up = (onset <= pl.col("exit_time")) | (onset.dt.date() == death.dt.date())
    happened = in_follow_up.fill_null(False)
    event = pl.when(happened).then(OUTCOME).when(death.is_not_null()).then(DIED).otherwise(CENSORED)
    until = pl.when(happened).then(onset).otherwise(pl.col("exit_time"))
    return at.filter(onset.is_null() | (onset > time + gap)).select(
        "subject_id",
        "prediction_time",
        pl.lit(outcome).alias("outcome"),
        "split",
        ((until - time).dt.total_microseconds() / MICROSECONDS_PER_YEAR).alias("time_years"),
        event.cast(pl.Int8).alias("event"),
    )
