"""Follow-up of each subject, and the times at which a task predicts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.files.tables import read_parquet
from proband.core.schema import TIME
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.ehr.meds.dataset import BIRTH, DEATH, ENTRY, EXIT, SUBJECT_SPLITS, list_shards, read_shard
from proband.ehr.outcomes import Task

DEATH_GRACE_DAYS = 30
"""Days after the last end of observation within which a death still ends follow-up: registries write the end
of a period at the last contact, which death follows."""


def follow_up(events: pl.DataFrame) -> pl.DataFrame:
    """When each subject's record begins and ends.

    entry is the first OBSERVATION_PERIOD//START or else the first dated event after birth is set aside, and
    exit the last OBSERVATION_PERIOD//END or else the last dated event; death ends follow-up earlier. A death
    more than :data:`DEATH_GRACE_DAYS` after the last end of observation is no event of follow-up: of those
    who lived on nothing is known after it either, so counting it would overstate deaths. Subjects without a
    birth are left out. With a birth alone, entry = exit = birth: no follow-up.

    Args:
        events: Whole subjects' events, columns subject_id, time, code.

    Returns:
        subject_id, birth_time, entry_time, exit_time and death_time (null for who was alive at exit), sorted
        by subject_id.
    """
    time, code = pl.col("time"), pl.col("code")
    spans = (
        events.lazy()
        .filter(time.is_not_null())
        .group_by("subject_id")
        .agg(
            time.filter(code == BIRTH).min().alias("birth_time"),
            time.filter(code == DEATH).min().alias("death_time"),
            time.filter(code == ENTRY).min().alias("first_entry"),
            time.filter(code == EXIT).max().alias("last_exit"),
            time.filter(code != BIRTH).min().alias("first_event"),
            time.max().alias("last_event"),
        )
    )
    death, last_exit = pl.col("death_time"), pl.col("last_exit")
    within = last_exit.is_null() | (death <= last_exit + pl.duration(days=DEATH_GRACE_DAYS))
    death = pl.when(within).then(death)
    leaves = pl.coalesce(death, "last_exit", "last_event")
    enters = pl.coalesce("first_entry", "first_event", "birth_time")
    return (
        spans.filter(pl.col("birth_time").is_not_null())
        .select(
            "subject_id",
            "birth_time",
            pl.min_horizontal(enters, leaves).alias("entry_time"),
            leaves.alias("exit_time"),
            death.alias("death_time"),
        )
        .sort("subject_id")
        .collect()
    )


def prediction_times(follow_up: pl.DataFrame, task: Task) -> pl.DataFrame:
    """The task's prediction times that fall into follow-up: entry + washout <= time < exit.

    Args:
        follow_up: As :func:`follow_up` returns.
        task: The task.

    Returns:
        subject_id and prediction_time, sorted, each pair once.
    """
    time = pl.col("prediction_time")
    within = (time >= _ready(task)) & (time < pl.col("exit_time"))
    wanted = _wanted_times(follow_up, task).filter(within).select("subject_id", "prediction_time")
    return wanted.unique().sort("subject_id", "prediction_time").collect()


def _ready(task: Task) -> pl.Expr:
    return pl.col("entry_time") + _years(task.washout_years)


def _wanted_times(follow_up: pl.DataFrame, task: Task) -> pl.LazyFrame:
    """``follow_up`` once per time at which the task would predict, whether or not that is in follow-up."""
    kind, frame = task.prediction, follow_up.lazy()
    if kind.every_years is not None:
        return _repeated_times(follow_up, task, round(kind.every_years * MICROSECONDS_PER_YEAR)).lazy()
    if kind.file is not None:
        return frame.join(kind.dates.lazy(), on="subject_id")
    if kind.years_after_entry is not None:
        times = [pl.col("entry_time") + _years(years) for years in kind.years_after_entry]
    elif kind.age_years is not None:
        times = [pl.col("birth_time") + _years(years) for years in kind.age_years]
    else:
        times = [pl.lit(day).cast(TIME) for day in kind.date or ()]
    return pl.concat([frame.with_columns(time.alias("prediction_time")) for time in times])


def _repeated_times(follow_up: pl.DataFrame, task: Task, step: int) -> pl.DataFrame:
    """Every ``step`` microseconds from entry and washout, the first in any case, others before exit."""
    span = (pl.col("exit_time") - _ready(task)).dt.total_microseconds()
    numbers = follow_up.select((span - 1).clip(0) // step + 1).to_series().to_numpy()
    row = np.repeat(np.arange(follow_up.height), numbers)
    number = np.arange(len(row)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    later = pl.duration(microseconds=pl.lit(pl.Series(number * step)), time_unit="us")
    return follow_up[row].with_columns((_ready(task) + later).alias("prediction_time"))


def never_predicted(follow_up: pl.DataFrame, task: Task) -> dict[str, int]:
    """How many subjects have no prediction time in their follow-up, and why.

    What decides is a subject's last wanted time before exit: there is none, it lies before entry, or between
    entry and the end of the washout.

    Args:
        follow_up: As :func:`follow_up` returns.
        task: The task.

    Returns:
        Subjects ``before_entry``, ``in_washout`` and ``after_exit``.
    """
    time, entry = pl.col("prediction_time"), pl.col("entry_time")
    last = (
        _wanted_times(follow_up, task)
        .group_by("subject_id", "entry_time")
        .agg(time.filter(time < pl.col("exit_time")).max())
        .collect()
    )
    reasons = {
        "before_entry": time < entry,
        "in_washout": (time >= entry) & (time < _ready(task)),
        "after_exit": time.is_null(),
    }
    return {name: last.filter(reason).height for name, reason in reasons.items()}


def person_time(follow_up: pl.DataFrame, task: Task, horizon_years: float | int) -> tuple[float, float]:
    """How much of the time that risks to a horizon speak of was observed.

    After each prediction time a subject is observed until exit or the horizon; who dies is observed to the
    horizon, as nothing is missing.

    Args:
        follow_up: As :func:`follow_up` returns, ``death_time`` null for the living.
        task: The task.
        horizon_years: The horizon.

    Returns:
        Observed person-time within the horizon, a share of all; and the longest follow-up after a prediction
        time, in years. Both NaN where there is no prediction time.
    """
    at = prediction_times(follow_up, task).join(follow_up, on="subject_id")
    if at.is_empty():
        return float("nan"), float("nan")
    followed = (pl.col("exit_time") - pl.col("prediction_time")).dt.total_microseconds()
    years = followed / MICROSECONDS_PER_YEAR
    observed = pl.when(pl.col("death_time").is_null()).then(years).otherwise(horizon_years)
    share, longest = at.select(observed.clip(0, horizon_years).mean(), longest=years.max()).row(0)
    return share / horizon_years, longest


def _years(years: float) -> pl.Expr:
    return pl.duration(microseconds=round(years * MICROSECONDS_PER_YEAR), time_unit="us")


def read_shards(
    meds: Path, splits: Collection[str] | None = None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Each shard's events and the follow-up of its subjects with their ``split``.

    Args:
        meds: A MEDS folder.
        splits: Splits wanted; default all.

    Raises:
        DataError: A shard is unusable, a subject's split is not known, or a wanted split has no subject.
    """
    table = _subject_splits(meds)
    missing = set(splits or ())
    for shard in list_shards(meds):
        if splits is not None and shard.split is not None and shard.split not in splits:
            continue
        events = read_shard(shard.path)
        spans = _with_split(follow_up(events), shard.split, table, shard.path)
        if splits is not None:
            spans = spans.filter(pl.col("split").is_in(list(splits)))
        missing -= set(spans["split"].unique())
        yield events, spans
    if missing:
        remedy = "split the subjects otherwise: proband ehr --splits"
        raise DataError("no subject in split", where=meds, found=", ".join(sorted(missing)), remedy=remedy)


def _subject_splits(meds: Path) -> pl.DataFrame | None:
    path = meds / SUBJECT_SPLITS
    return read_parquet(path, ["subject_id", "split"]) if path.is_file() else None


def _with_split(
    spans: pl.DataFrame, split: str | None, table: pl.DataFrame | None, where: Path
) -> pl.DataFrame:
    if split is not None:
        return spans.with_columns(pl.lit(split).alias("split"))
    spans = (
        spans.join(table, on="subject_id", how="left")
        if table is not None
        else spans.with_columns(pl.lit(None, pl.String).alias("split"))
    )
    if spans["split"].null_count():
        found = f"{spans['split'].null_count()} subjects without one"
        raise DataError("unknown split", where=where, found=found, remedy="run proband ehr on the folder")
    return spans


def read_follow_up(meds: Path, splits: Collection[str] | None = None) -> pl.DataFrame:
    """Follow-up of a MEDS folder's subjects, with their split.

    Args:
        meds: A MEDS folder, as ``proband ehr`` writes it.
        splits: Splits wanted; default all.

    Returns:
        As :func:`follow_up` plus ``split``, sorted by subject_id.
    """
    return pl.concat([spans for _, spans in read_shards(meds, splits)]).sort("subject_id")
