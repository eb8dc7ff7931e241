"""Ends of follow-up that no record supports: cut at the last record of anybody, or at a given date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from proband.core.running.progress import say
from proband.ehr.meds.dataset import BIRTH, ENTRY, EVENTS, EXIT

YEAR = timedelta(days=366)
"""By how much an end of follow-up may be later than the last record of anybody."""

_MOST_YEARS = 5


@dataclass(frozen=True)
class Ends:
    """What one piece of the events says about ends of follow-up.

    Attributes:
        days: Its records, as :func:`record_days` gives.
        last_end: Its latest end of a period, if any.
        files: Where its events are.
    """

    days: pl.DataFrame
    last_end: datetime | None
    files: list[Path]


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
    silent_days = late.select(pl.col("day").diff().dt.total_days().max()).item() or 0
    return min(max(YEAR, timedelta(days=2 * silent_days)), _MOST_YEARS * YEAR)


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


def cut_unsupported(
    pieces: Sequence[Ends], counts: Counter[str], write: Callable[[pl.DataFrame, Path], None]
) -> date | None:
    """Cut ends that are too long after the last record of anybody, in the files that have any, and say so.

    Args:
        pieces: All events of the source.
        counts: Gets ``num_ends_cut``.
        write: Writes a file anew.

    Returns:
        The day at which ends were cut; None where nothing was.
    """
    days = pl.concat([piece.days for piece in pieces]).group_by("day").agg(pl.col("len").sum())
    latest = max((piece.last_end for piece in pieces if piece.last_end is not None), default=None)
    if days.is_empty() or latest is None:
        return None
    last: date = days.select(pl.col("day").max()).item()
    tail, at = longest_tail(days), last_second(last)
    if latest - at <= YEAR:
        return None
    beyond = f"observation periods beyond the last record of anybody, in {last:%Y-%m}"
    if latest - at <= tail:
        say(f"ehr: {beyond}, by up to {(latest - at).days / 365.25:.1f} years; kept, as the source is sparse")
        return None
    for piece in pieces:
        if piece.last_end is not None and piece.last_end > at + tail:
            for path in piece.files:
                write(cut_ends(pl.read_parquet(path), at, tail, counts), path)
    longer = f"{tail.days / 365.25:.0f} years" if tail > YEAR else "a year"
    num = counts["num_ends_cut"]
    say(f"ehr: {num:,} {beyond}, by more than {longer}; cut there (--follow-up-end DATE sets the end)")
    return last
