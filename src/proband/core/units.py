"""The only conversions of time in proband.

MEDS holds int64 microseconds since 1970 (negative before), tokens hold int32 minutes since birth, reports
speak of years. A year is 365.25 days everywhere.
"""

from __future__ import annotations

DAYS_PER_YEAR = 365.25
MINUTES_PER_DAY = 1440
MINUTES_PER_YEAR = DAYS_PER_YEAR * MINUTES_PER_DAY
MICROSECONDS_PER_MINUTE = 60_000_000
MICROSECONDS_PER_DAY = MINUTES_PER_DAY * MICROSECONDS_PER_MINUTE
MICROSECONDS_PER_YEAR = int(MINUTES_PER_YEAR * MICROSECONDS_PER_MINUTE)


def years_to_minutes(years: int | float) -> int:
    """Whole minutes nearest to ``years``.

    >>> years_to_minutes(1)
    525960
    """
    return round(years * MINUTES_PER_YEAR)
