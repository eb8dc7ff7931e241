"""The rules that every subject's events must meet, whatever they were made from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.sex import female_of
from proband.ehr.meds.dataset import BIRTH, DEATH, EARLIEST, ENTRY, EVENTS, EXIT, LATEST_YEAR

_ORDER = ("subject_id", "time", "code", "numeric_value", "unit")


@dataclass(frozen=True)
class Early:
    """The first event before the day of birth, by subject_id and time."""

    subject_id: int
    code: str


class Tidied(NamedTuple):
    """What the rules made of whole subjects' events.

    Attributes:
        events: In order of subject_id, time (nulls first), code, value and unit.
        counts: What was done, by reason.
        early: The first event before birth, if any.
        examples: The first row left out for each reason that occurred.
    """

    events: pl.DataFrame
    counts: Counter[str]
    early: Early | None
    examples: dict[str, str]


def tidy(frame: pl.DataFrame, assume_birth: bool, latest_year: int = LATEST_YEAR) -> Tidied:
    """Apply the rules to whole subjects.

    Dates before 1800 or after ``latest_year`` leave, but the ends of periods; a sex that has a date loses it;
    non-finite values become null; subjects without birth leave (or get one); a repeated birth leaves; of
    several deaths the first dated stays; what is on the day of birth before its hour, or opens or closes an
    observation period before birth, moves to the birth; what else is before that day leaves.

    Args:
        frame: Events of whole subjects, columns as :data:`proband.ehr.meds.dataset.EVENTS`.
        assume_birth: Give subjects without a birth one at their first dated event.
        latest_year: Last year that is believed.
    """
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    frame = _possible(frame, latest_year, counts, examples)
    frame = _finite(_without_dated_sex(frame, counts), counts)
    frame = _one_death(frame, counts, examples)
    frame = _with_birth(frame, assume_birth, counts, examples)
    time, birth = pl.col("time"), pl.col("birth")
    bounds = pl.col("code").is_in([ENTRY, EXIT])
    early = frame.filter((time.dt.date() < birth.dt.date()) & ~bounds)
    first = None
    if early.height:
        at = early.sort("subject_id", "time").row(0, named=True)
        first = Early(at["subject_id"], at["code"])
        _note(early, "num_before_birth", examples)
    kept = (time.is_null() | (time.dt.date() >= birth.dt.date()) | bounds).fill_null(True)
    counts["num_before_birth"] = early.height
    counts["num_moved_to_birth"] = frame.filter(kept & (time < birth)).height
    frame = frame.filter(kept).with_columns(pl.when(time < birth).then(birth).otherwise(time).alias("time"))
    death = time.filter(pl.col("code") == DEATH).min().over("subject_id")
    after = frame.filter(time.dt.date() > death.dt.date())
    counts["num_after_death"] = after.height
    counts["num_records_after_death"] = after.filter(~bounds).height
    return Tidied(frame.select(EVENTS.names()).sort(_ORDER, nulls_last=False), counts, first, examples)


def _note(left: pl.DataFrame, reason: str, examples: dict[str, str]) -> None:
    """Keep the first row left out for a reason."""
    if left.height:
        first = left.select("subject_id", "code").row(0, named=True)
        examples[reason] = f"subject_id {first['subject_id']}, code {first['code']}"


def _possible(
    frame: pl.DataFrame, latest_year: int, counts: Counter[str], examples: dict[str, str]
) -> pl.DataFrame:
    """Leave out rows dated before 1800 or after the latest year; ends of periods come to that year's end."""
    time, is_end = pl.col("time"), pl.col("code") == EXIT
    last = pl.lit(datetime(latest_year, 12, 31, 23, 59, 59), EVENTS["time"])
    frame = frame.with_columns(pl.when(is_end & (time > last)).then(last).otherwise(time).alias("time"))
    outside = ((time < EARLIEST) | (time > last)).fill_null(False)
    left = frame.filter(outside)
    counts["num_impossible_date"] = left.height
    _note(left, "num_impossible_date", examples)
    return frame.filter(~outside) if left.height else frame


def _without_dated_sex(frame: pl.DataFrame, counts: Counter[str]) -> pl.DataFrame:
    """Sex belongs to no time: some pipelines write it at birth."""
    said = [code for code in frame["code"].unique() if female_of(code) is not None]
    dated = pl.col("code").is_in(said) & pl.col("time").is_not_null()
    counts["num_undated_sex"] = frame.filter(dated).height
    counts["num_subjects_with_sex"] = frame.filter(pl.col("code").is_in(said))["subject_id"].n_unique()
    return frame.with_columns(pl.when(~dated).then(pl.col("time")).alias("time"))


def _one_death(frame: pl.DataFrame, counts: Counter[str], examples: dict[str, str]) -> pl.DataFrame:
    """Of several deaths of a subject, the first that has a date, or else the first."""
    deaths = frame.with_row_index("row").filter(pl.col("code") == DEATH)
    if deaths["subject_id"].n_unique() == deaths.height:
        return frame
    deaths = deaths.sort("time", nulls_last=True, maintain_order=True)
    again = deaths.filter(~pl.col("subject_id").is_first_distinct())
    counts["num_repeated_death"] = again.height
    _note(again.sort("row"), "num_repeated_death", examples)
    return frame.with_row_index("row").join(again.select("row"), on="row", how="anti").drop("row")


def _finite(frame: pl.DataFrame, counts: Counter[str]) -> pl.DataFrame:
    value = pl.col("numeric_value")
    counts["num_non_finite"] = frame.filter(value.is_not_null() & ~value.is_finite()).height
    return frame.with_columns(pl.when(value.is_finite()).then(value).alias("numeric_value"))


def _with_birth(
    frame: pl.DataFrame, assume_birth: bool, counts: Counter[str], examples: dict[str, str]
) -> pl.DataFrame:
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
    _note(unborn, "num_events_no_birth", examples)
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
