"""Dates and times in text, as ISO 8601 spells them (https://www.iso.org/standard/70907.html)."""

from __future__ import annotations

import polars as pl

from proband.core.schema import TIME
from proband.core.text.textvalues import AROUND

ISO_8601 = (
    r"(?i)^(\d{4})(?:-(\d{2})-|(\d{2}))(\d{2})"
    r"(?:[T ]+(\d{2}):?(\d{2})(?::?(\d{2}(?:[.,]\d+)?))? ?(?:Z|UTC|GMT|([+-]\d{2})(?::?(\d{2}))?)?)?$"
)
"""A date, or a date and time with or without an offset from UTC. Groups: year, month between hyphens, month
without, day, hour, minute, second, hours and minutes of the offset."""

_LATEST_OFFSET_HOURS, _MINUTES, _FIRST_YEAR = 15, 60, "0100"
_SECOND_CHARACTERS = len("59.123456")


def utc_of(values: pl.Series) -> pl.Series:
    """Text as microseconds in UTC; null where it is not ISO 8601, or its day or hour is in no calendar.

    Blanks and quotes around it go; years are 0100 to 9999, hours 00 to 23, seconds below 60, and what is
    finer than a microsecond is cut. The tables of OMOP are read alike, by an engine.

    >>> utc_of(pl.Series([" 2015-03-31 23:00 ", "2015-03-31T23:00-05", "31.3.2015"])).to_list()
    [datetime.datetime(2015, 3, 31, 23, 0), datetime.datetime(2015, 4, 1, 4, 0), None]
    """
    part = pl.col("parts").struct.field
    year, dashed, plain, day, hour, minute, second, hours, minutes = (part(str(at)) for at in range(1, 10))
    text = values.str.strip_chars(AROUND).alias("text").to_frame()
    found = text.select(pl.col("text").str.extract_groups(ISO_8601).alias("parts"))
    clock = second.fill_null("00").str.replace(",", ".", literal=True).str.slice(0, _SECOND_CHARACTERS)
    spelled = pl.format(
        "{}-{}-{} {}:{}:{}",
        year, pl.coalesce(dashed, plain), day, hour.fill_null("00"), minute.fill_null("00"), clock,
    )  # fmt: skip
    local = spelled.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    numbers = [one.fill_null("0").cast(pl.Int64, strict=False) for one in (hours, minutes)]
    offset = pl.duration(
        minutes=_MINUTES * numbers[0]
        + pl.when(hours.str.starts_with("-")).then(-numbers[1]).otherwise(numbers[1])
    )
    is_offset = (numbers[0].abs() <= _LATEST_OFFSET_HOURS) & (numbers[1] < _MINUTES)
    is_time = is_offset & ~clock.str.starts_with("60") & (year >= _FIRST_YEAR)
    return found.select(pl.when(is_time).then(local - offset).cast(TIME).alias(values.name)).to_series()
