"""The rules that every subject's events must meet, whatever they were made from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.ehr.meds import BIRTH, DEATH, ENTRY, EVENTS

_ORDER = ("subject_id", "time", "code", "numeric_value", "unit")


@dataclass(frozen=True)
class Early:
    """The first event before the day of birth, by subject_id and time."""

    subject_id: int
    code: str


def tidy(frame: pl.DataFrame, assume_birth: bool) -> tuple[pl.DataFrame, Counter[str], Early | None]:
    """Apply the rules to whole subjects.

    Non-finite values become null; subjects without birth leave (or get one); a repeated birth leaves; what
    is on the day of birth before its hour, or opens an observation period before birth, moves to the birth;
    what is before that day leaves.

    Args:
        frame: Events of whole subjects, columns as :data:`proband.ehr.meds.EVENTS`.
        assume_birth: Give subjects without a birth one at their first dated event.

    Returns:
        The events in order of subject_id, time (nulls first), code, value and unit; counts of what was
        done; and the first event before birth, if any.
    """
    counts: Counter[str] = Counter()
    frame = _finite(frame, counts)
    frame = _with_birth(frame, assume_birth, counts)
    time, birth = pl.col("time"), pl.col("birth")
    opens = pl.col("code") == ENTRY
    early = frame.filter((time.dt.date() < birth.dt.date()) & ~opens)
    first = None
    if early.height:
        at = early.sort("subject_id", "time").row(0, named=True)
        first = Early(at["subject_id"], at["code"])
    kept = (time.is_null() | (time.dt.date() >= birth.dt.date()) | opens).fill_null(True)
    counts["num_before_birth"] = early.height
    counts["num_moved_to_birth"] = frame.filter(kept & (time < birth)).height
    frame = frame.filter(kept).with_columns(pl.when(time < birth).then(birth).otherwise(time).alias("time"))
    death = time.filter(pl.col("code") == DEATH).min().over("subject_id")
    counts["num_after_death"] = frame.filter(time.dt.date() > death.dt.date()).height
    return frame.select(EVENTS.names()).sort(_ORDER, nulls_last=False), counts, first


def _finite(frame: pl.DataFrame, counts: Counter[str]) -> pl.DataFrame:
    value = pl.col("numeric_value")
    counts["num_non_finite"] = frame.filter(value.is_not_null() & ~value.is_finite()).height
    return frame.with_columns(pl.when(value.is_finite()).then(value).alias("numeric_value"))


def _with_birth(frame: pl.DataFrame, assume_birth: bool, counts: Counter[str]) -> pl.DataFrame:
    """Add each subject's ``birth`` and leave exactly one birth row in place."""
    time, is_birth = pl.col("time"), pl.col("code") == BIRTH
    births = frame.group_by("subject_id").agg(
        time.filter(is_birth).min().alias("recorded"), time.filter(~is_birth).min().alias("first")
    )
    assumed = births.filter(pl.col("recorded").is_null() & pl.col("first").is_not_null())
    if assume_birth:
        counts["num_assumed_birth"] = assumed.height
        births = births.with_columns(pl.coalesce("recorded", "first").alias("recorded"))
    births = births.filter(pl.col("recorded").is_not_null()).select(
        "subject_id", pl.col("recorded").alias("birth")
    )
    others = frame.filter(~is_birth).join(births, on="subject_id")
    unborn = frame.join(births, on="subject_id", how="anti")
    counts["num_no_birth"] = unborn["subject_id"].n_unique()
    counts["num_events_no_birth"] = unborn.height
    num_births = frame.filter(is_birth).join(births, on="subject_id", how="semi").height
    counts["num_repeated_birth"] = num_births - births.height + counts["num_assumed_birth"]
    rows = births.select(
        "subject_id",
        pl.col("birth").alias("time"),
        pl.lit(BIRTH).alias("code"),
        pl.lit(None, pl.Float32).alias("numeric_value"),
        pl.lit(None, pl.String).alias("unit"),
        "birth",
    )
    return pl.concat([rows, others.select(rows.columns)])


def refuse_early(early: list[Early], count: int, where: object) -> None:
    """Raise the error about events before birth.

    Raises:
        DataError: Always; names the count, the first subject and its code.
    """
    first = min(early, key=lambda event: event.subject_id)
    raise DataError(
        "events before birth",
        where=where,
        found=f"{count} events, the first {first.code} of subject {first.subject_id}",
        expected="none before the day of birth",
        remedy="correct the births or pass --drop-before-birth",
    )


def repeated(subject_ids: list[np.ndarray]) -> int | None:
    """The smallest subject_id that is in more than one of the arrays; None where there is none."""
    if not subject_ids:
        return None
    values, times = np.unique(np.concatenate(subject_ids), return_counts=True)
    return int(values[times > 1][0]) if (times > 1).any() else None
