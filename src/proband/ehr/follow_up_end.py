"""Ends of follow-up that no record supports: cut at the last record of anybody, or at a given date."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta

import polars as pl

from proband.ehr.meds import BIRTH, ENTRY, EVENTS, EXIT

LONGEST_SILENCE = timedelta(days=366)
"""By how much an end of follow-up may be later than the last record of anybody."""


def last_second(day: date) -> datetime:
    """The end of a day, as ends of observation periods are written."""
    return datetime.combine(day, time(23, 59, 59))


def last_times(events: pl.DataFrame) -> tuple[datetime | None, datetime | None]:
    """The latest record, birth and periods aside, and the latest end of a period; each None where absent."""
    moment, code = pl.col("time"), pl.col("code")
    record = ~code.is_in([BIRTH, ENTRY, EXIT])
    return events.select(moment.filter(record).max(), end=moment.filter(code == EXIT).max()).row(0)


def unsupported_after(record: datetime | None, end: datetime | None) -> datetime | None:
    """Where ends are to be cut if the latest of them is more than a year after the last record; else None."""
    if record is None or end is None or end - record <= LONGEST_SILENCE:
        return None
    return last_second(record.date())


def cut_ends(events: pl.DataFrame, at: datetime, tolerance: timedelta, counts: Counter[str]) -> pl.DataFrame:
    """Move starts and ends of periods that are later than ``at`` and ``tolerance`` to ``at``.

    Nothing moves to before the subject's birth.

    Args:
        events: Whole subjects' events, sorted, each with a birth.
        at: The end of follow-up.
        tolerance: What is later by no more than this stays.
        counts: Gets ``num_ends_cut``.

    Returns:
        The events, sorted as before.
    """
    moment, code = pl.col("time"), pl.col("code")
    birth = moment.filter(code == BIRTH).min().over("subject_id")
    late = code.is_in([ENTRY, EXIT]) & (moment > at + tolerance)
    counts["num_ends_cut"] += events.filter(late & (code == EXIT)).height
    moved = pl.max_horizontal(pl.lit(at, EVENTS["time"]), birth)
    cut = events.with_columns(pl.when(late).then(moved).otherwise(moment).alias("time"))
    return cut.sort(EVENTS.names(), nulls_last=False)


def add_ends(events: pl.DataFrame, at: datetime, counts: Counter[str]) -> pl.DataFrame:
    """Give every subject without an end of a period one at ``at``, if born by then.

    Args:
        events: Whole subjects' events, sorted, each with a birth.
        at: The end of follow-up.
        counts: Gets ``num_ends_added``.
    """
    has_end = events.filter(pl.col("code") == EXIT).select("subject_id")
    born = events.filter((pl.col("code") == BIRTH) & (pl.col("time") <= at))
    lacking = born.join(has_end, on="subject_id", how="anti")
    ends = lacking.with_columns(pl.lit(at, EVENTS["time"]).alias("time"), pl.lit(EXIT).alias("code"))
    counts["num_ends_added"] += ends.height
    return pl.concat([events, ends]).sort(EVENTS.names(), nulls_last=False)
