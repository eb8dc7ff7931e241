"""The dates at which subjects are embedded: of a task, of a table, or the end of follow-up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from proband.core.errors import ConfigError, DataError
from proband.core.running.progress import say
from proband.core.text.predictiontimes import COLUMNS
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.ehr.cohort import prediction_times
from proband.ehr.outcomes import load_task
from proband.ehr.task.dates import read_subject_dates
from proband.tokens.dataset import TokenStore


@dataclass(frozen=True)
class Dates:
    """Subjects and dates, sorted by both.

    Attributes:
        frame: subject_id and prediction_time.
        rows: Rows of the tokens folder.
        minutes: Ages in minutes, rounded down.
    """

    frame: pl.DataFrame
    rows: Int64[np.ndarray, " dates"]
    minutes: Int64[np.ndarray, " dates"]

    def __len__(self) -> int:
        return len(self.rows)


def read_dates(store: TokenStore, split: str, task: Path | None, table: Path | None) -> Dates:
    """The dates asked for.

    Args:
        store: The records.
        split: Whose: "all", or a split.
        task: Task file, whose prediction times within follow-up are taken.
        table: Parquet or text file with subject_id and prediction_time; neither, the end of follow-up.

    Raises:
        ConfigError: Both are given.
        DataError: The table is not usable, or names a subject that is not in the tokens folder or a date
            before birth; or there is no date.
    """
    if task and table:
        raise ConfigError("--task and --dates", remedy="give one of them")
    subjects = store.follow_up(None if split == "all" else split)
    if table:
        asked = _of_table(table, store, subjects)
    elif task:
        asked = prediction_times(subjects, load_task(task))
    else:
        asked = subjects.select("subject_id", pl.col("exit_time").alias("prediction_time"))
    if asked.is_empty():
        raise DataError("no date to embed anybody at", where=f"split {split}", remedy="give other dates")
    found = asked.unique().sort("subject_id", "prediction_time")
    found = found.join(subjects, on="subject_id", maintain_order="left")
    since_birth = (pl.col("prediction_time") - pl.col("birth_time")).dt.total_microseconds()
    minutes = found.select(since_birth // MICROSECONDS_PER_MINUTE).to_series().to_numpy().astype(np.int64)
    if (minutes < 0).any():
        bad = int(np.argmax(minutes < 0))
        raise DataError(
            "a date before birth",
            where=table or task,
            found=f"subject {found['subject_id'][bad]}, {found['prediction_time'][bad]}",
            expected=f"{found['birth_time'][bad]} or later",
            remedy="leave it out, or look into the birth date",
        )
    rows = found["row"].to_numpy().astype(np.int64)
    minutes = before_death(store, rows, minutes)
    num_late = int((found["prediction_time"] > found["exit_time"]).sum())
    if num_late:
        say(f"embed: {num_late:,} dates lie after the end of follow-up, where nothing more is known")
    return Dates(found.select(COLUMNS), rows, minutes)


def before_death(
    store: TokenStore, rows: Int64[np.ndarray, " dates"], minutes: Int64[np.ndarray, " dates"]
) -> Int64[np.ndarray, " dates"]:
    """Ages of dates, of those at or after a death the minute before it: after it nothing more is expected of
    anybody, so that no state there has been learnt, and it would tell the dead from the living."""
    died = store.died[rows]
    before = np.minimum(minutes, store.exit[rows].astype(np.int64) - 1).clip(min=0)
    return np.where(died, before, minutes)


def _of_table(path: Path, store: TokenStore, subjects: pl.DataFrame) -> pl.DataFrame:
    """The rows of a table that are of ``subjects``.

    Raises:
        DataError: It is not usable, or names somebody who is in no split.
    """
    frame = read_subject_dates(path)
    stranger = frame.filter(~pl.col("subject_id").is_in(store.subject_ids.tolist()))["subject_id"]
    if len(stranger):
        found = f"{stranger.n_unique():,} that are not in the tokens folder, first {stranger[0]}"
        raise DataError("unknown subjects", where=path, found=found, remedy="leave them out of the table")
    return frame.filter(pl.col("subject_id").is_in(subjects["subject_id"].to_list()))
