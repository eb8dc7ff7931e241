"""Ends of follow-up that no record supports: cut at the last record of anybody, or at a given date."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta

import polars as pl

from proband.ehr.meds import BIRTH, ENTRY, EVENTS, EXIT

YEAR = timedelta(days=366)
"""By how much an end of follow-up may be later than the last record of anybody."""

_MOST_YEARS = 5


def last_second(day: date) -> datetime:
    """The end of a day, as ends of observation periods are written."""
    return datetime.combine(day, time(23, 59, 59))


def record_days(events: pl.DataFrame) -> pl.DataFrame:
    """How many records each day has, births and periods aside: day and len."""
    dated = pl.col("time").is_not_null() & ~pl.col("code").is_in([BIRTH, ENTRY, EXIT])
    return events.filter(dated).group_by(pl.col("time").dt.date().alias("day")).len()


def last_end(events: pl.DataFrame) -> datetime | None:
    """The latest end of a period; None where there is none."""
    return events.select(pl.col("time").filter(pl.col("code") == EXIT).max()).item()


def longest_tail(days: pl.DataFrame) -> timedelta:
    """How long after its last record a source may still have followed anybody.

    A year; in a source so sparse that it was silent for longer before, twice its longest silence since the
    median of its records, but no more than five years.

    Args:
        days: Of the whole source, as :func:`record_days` gives, one row per day.
    """
    ordered = days.sort("day")
    late = ordered.filter(pl.col("len").cum_sum() * 2 >= pl.col("len").sum())
    silence = late["day"].diff().max() or timedelta(0)
    return min(max(YEAR, 2 * silence), _MOST_YEARS * YEAR)


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
