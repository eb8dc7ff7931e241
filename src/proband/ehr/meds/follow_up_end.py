"""Ends of follow-up that no record supports: cut at the last supported record, or at a given date.

The last supported record is the last before the source falls silent: before the first silence of more than
a year after which less than 3% of its records come, where all deaths and ends of visits of one day count
once. A single record of 2102, or every open visit ending on 2099-12-31, comes after such a silence. See
:func:`supported`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from proband.core.errors import ConfigError
from proband.core.running.progress import say
from proband.ehr.meds.dataset import BIRTH, DEATH, DISCHARGE, ENTRY, EVENTS, EXIT

YEAR = timedelta(days=366)
"""By how much an end of follow-up may be later than the last supported record."""

_MOST_YEARS = 5
_LEAST_SHARE_AFTER = 0.03
"""Share of a source's records that make a silence before them a gap, and not the end of the source."""

_MONTH, _LEAST_SHARE_OF_MONTH = "31d", 1e-4
"""In a source of millions of records a few of them have any wrong date: so sparse a month is silent."""


@dataclass(frozen=True)
class Ends:
    """What one piece of the events says about ends of follow-up.

    Attributes:
        days: Its records, as :func:`record_days` gives.
        last_end: Its latest end of a period, if any.
        last_open: Its latest record of a subject without an end of a period, if any.
        files: Where its events are.
    """

    days: pl.DataFrame
    last_end: datetime | None
    last_open: datetime | None
    files: list[Path]

    def latest(self) -> datetime | None:
        """The latest end of follow-up of its subjects; None where nothing is dated."""
        return max((one for one in (self.last_end, self.last_open) if one is not None), default=None)


def last_second(day: date) -> datetime:
    """The end of a day, as ends of observation periods are written."""
    return datetime.combine(day, time(23, 59, 59))


def record_days(events: pl.DataFrame) -> pl.DataFrame:
    """How many records each day has, births and periods aside.

    Returns:
        day; len, all of them; and num_deaths_and_discharges, the deaths and ends of visits among them, for
        which one day far ahead may stand for "not yet".
    """
    code = pl.col("code")
    is_such = (code == DEATH) | code.str.starts_with(DISCHARGE)
    dated = pl.col("time").is_not_null() & ~code.is_in([BIRTH, ENTRY, EXIT])
    by_day = events.filter(dated).group_by(pl.col("time").dt.date().alias("day"))
    return by_day.agg(pl.len(), is_such.sum().alias("num_deaths_and_discharges"))


def first_after_birth(events: pl.DataFrame) -> datetime | None:
    """The first start of a period, or record; None where there is nothing but births."""
    return events.select(pl.col("time").filter(pl.col("code") != BIRTH).min()).item()


def refuse_before_records(firsts: Sequence[datetime], end: date) -> None:
    """Refuse an end of follow-up before anybody's start: nobody would be followed.

    Args:
        firsts: Of each piece of the source, as :func:`first_after_birth` gives.
        end: Last day of follow-up.

    Raises:
        ConfigError: Everything starts later.
    """
    if firsts and min(firsts) > last_second(end):
        raise ConfigError(
            "everybody's records and periods start after the end of follow-up",
            where="--follow-up-end",
            found=f"{end}, first start {min(firsts):%Y-%m-%d}",
            remedy="give the last day that the records cover, or leave it out",
        )


def last_end(events: pl.DataFrame) -> datetime | None:
    """The latest end of a period; None where there is none."""
    return events.select(pl.col("time").filter(pl.col("code") == EXIT).max()).item()


def last_open(events: pl.DataFrame) -> datetime | None:
    """The latest record of a subject without an end of a period; None where there is none."""
    return _without_end(events).select(pl.col("time").max()).item()


def _without_end(events: pl.DataFrame) -> pl.DataFrame:
    """The events of subjects that have no end of a period."""
    return events.filter(~(pl.col("code") == EXIT).any().over("subject_id"))


def num_open(events: pl.DataFrame) -> int:
    """Periods that start and do not end: by how many starts outnumber ends, summed over subjects."""
    code = pl.col("code")
    missing = (code == ENTRY).sum().cast(pl.Int64) - (code == EXIT).sum()
    by_subject = events.group_by("subject_id").agg(missing.clip(lower_bound=0).alias("missing"))
    return int(by_subject["missing"].sum())


def supported(days: pl.DataFrame) -> tuple[date, timedelta]:
    """The day of the last supported record, and how long after it the source may still have followed anybody.

    The latter, the tail, is a year; in a source so sparse that it was silent for longer before, twice its
    longest silence since the median of its records, but no more than five years. A silence longer than the
    tail ends the source, if less than 3% of the records come after it; all deaths and ends of visits of one
    day count once. Days whose month has less than one in ten thousand of the records of a usual month (the
    median) are silent.

    Args:
        days: Of the whole source, as :func:`record_days` gives, one row per day; at least one.
    """
    in_month = pl.col("len").rolling_sum_by("day", _MONTH)
    ordered = days.sort("day").filter(in_month >= in_month.median() * _LEAST_SHARE_OF_MONTH)
    late = pl.col("len").cum_sum() * 2 >= pl.col("len").sum()
    silence = pl.col("day").diff().dt.total_days()
    longest = pl.when(late.shift(1)).then(silence).fill_null(0).cum_max()
    tail = (2 * longest).clip(YEAR.days, _MOST_YEARS * YEAR.days)
    such = pl.col("num_deaths_and_discharges")
    counted = pl.col("len") - such + such.clip(upper_bound=1)
    few_after = counted.sum() - counted.cum_sum() < _LEAST_SHARE_AFTER * counted.sum()
    is_last = pl.col("day") == pl.col("day").max()
    is_last |= ((silence.shift(-1) > tail) & few_after).fill_null(False)
    last = ordered.select("day", tail=tail, is_last=is_last).filter("is_last").row(0)
    return last[0], timedelta(days=last[1])


def without_later_deaths(events: pl.DataFrame, at: datetime, counts: Counter[str]) -> pl.DataFrame:
    """Leave out deaths after ``at``: of those who lived on, nothing after it counts either.

    Args:
        events: Whole subjects' events.
        at: The end of follow-up.
        counts: Gets ``num_deaths_after_end``.
    """
    late = (pl.col("code") == DEATH) & (pl.col("time") > at)
    kept = events.filter(~late.fill_null(False))
    counts["num_deaths_after_end"] += events.height - kept.height
    return kept


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


def end_open(events: pl.DataFrame, at: datetime, tolerance: timedelta, counts: Counter[str]) -> pl.DataFrame:
    """End the follow-up of subjects without an end of a period, but with a record later than ``at``.

    It ends with their last record up to ``at``.

    Args:
        events: Whole subjects' events, sorted, each with a birth.
        at: The end of follow-up.
        tolerance: Records later by no more than this end follow-up as others do.
        counts: Gets ``num_ends_added``.
    """
    time = pl.col("time")
    last = (
        _without_end(events)
        .group_by("subject_id")
        .agg(
            time.max().alias("latest"),
            time.filter(time <= at).max(),
            birth=time.filter(pl.col("code") == BIRTH).min(),
        )
    )
    late = last.filter(pl.col("latest") > at + tolerance)
    ends = late.select("subject_id", pl.coalesce("time", "birth").alias("time"), pl.lit(EXIT).alias("code"))
    counts["num_ends_added"] += ends.height
    return pl.concat([events, ends], how="diagonal").sort(EVENTS.names(), nulls_last=False)


def cut_unsupported(
    pieces: Sequence[Ends], counts: Counter[str], write: Callable[[pl.DataFrame, Path], None]
) -> date | None:
    """Cut ends that are too long after the last supported record, in the files that have any, and say so.

    Args:
        pieces: All events of the source.
        counts: Gets ``num_ends_cut``, ``num_ends_added`` and ``num_unsupported_records``.
        write: Writes a file anew.

    Returns:
        The day at which ends were cut; None where nothing was.
    """
    days = pl.concat([piece.days for piece in pieces]).group_by("day").agg(pl.exclude("day").sum())
    latest = max((one for piece in pieces if (one := piece.latest()) is not None), default=None)
    if days.is_empty() or latest is None:
        return None
    last, tail = supported(days)
    at = last_second(last)
    _say_unsupported(days.filter(pl.col("day") > last), last, counts)
    if latest - at <= YEAR:
        return None
    beyond = f"observation periods beyond the last record of anybody, in {last:%Y-%m}"
    if latest - at <= tail:
        say(f"ehr: {beyond}, by up to {(latest - at).days / 365.25:.1f} years; kept, as the source is sparse")
        return None
    for piece in pieces:
        if (one := piece.latest()) is not None and one > at + tail:
            for path in piece.files:
                events = cut_ends(pl.read_parquet(path), at, tail, counts)
                write(end_open(events, at, tail, counts), path)
    _say_cut(beyond, tail, counts)
    return last


def _say_unsupported(after: pl.DataFrame, last: date, counts: Counter[str]) -> None:
    """Count and say records that come after the last supported one."""
    counts["num_unsupported_records"] = num = int(after["len"].sum())
    if num:
        first: date = after.select(pl.col("day").min()).item()
        say(
            f"ehr: {num:,} records dated after {last}, the last before a silence of the whole source, "
            f"the first of {first}; kept, but prolong no follow-up (num_unsupported_records)"
        )


def _say_cut(beyond: str, tail: timedelta, counts: Counter[str]) -> None:
    """Say what was cut, of periods and of subjects without one."""
    longer = f"{tail.days / 365.25:.0f} years" if tail > YEAR else "a year"
    remedy = "(--follow-up-end DATE sets the end)"
    if num := counts["num_ends_cut"]:
        say(f"ehr: {num:,} {beyond}, by more than {longer}; cut there {remedy}")
    if num := counts["num_ends_added"]:
        say(f"ehr: {num:,} subjects without a period have such records; their follow-up ends before {remedy}")
