"""Dates of birth of OMOP's person table, of which parts may lack or be in no calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proband.core.errors import DataError
from proband.ehr.meds.dataset import EARLIEST, LATEST_YEAR
from proband.ehr.omop.columns import REMEDY_OF_COLUMN, days_apart, evaluated, optional

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir

BIRTH_PARTS = ("year_of_birth", "month_of_birth", "day_of_birth")


def births(person: ibis.Table) -> ibis.Table:
    """person_id and time of birth of every person, null where none is known.

    The time is birth_datetime if it is of this age and of the year of year_of_birth, else the date of year,
    month and day. A month or day that lacks or that no calendar has is taken as 1; a year before 1800 or
    after 2200 is none.

    Raises:
        DataError: The table has neither year_of_birth nor birth_datetime.
    """
    given = _given(person)
    return given.select(person_id=given.person_id, time=_time(given))


def mended_births(person: ibis.Table) -> dict[str, int]:
    """Persons whose date of birth had to be mended, by reason.

    Returns:
        num_impossible_birth, where a year, month or day of it is in no calendar, and num_conflicting_birth,
        where birth_datetime is of another year than year_of_birth.
    """
    counts = {"num_impossible_birth": 0, "num_conflicting_birth": 0}
    if "year_of_birth" not in person.columns:
        return counts
    given = _given(person)
    year, month, day = (given[part] for part in BIRTH_PARTS)
    conflicts = _of_other_year(given.exact, year, _by_parts(given))
    given = evaluated(
        given, year=year, month=month, day=day, exact=given.exact, born=_time(given), conflicts=conflicts
    )
    year, month, day, born = given.year, given.month, given.day, given.born
    odd = ~year.between(EARLIEST.year, LATEST_YEAR) | ~month.between(1, 12) | ~day.between(1, 31)
    rolled = (day > 1) & _is_month(month) & (born.month() == month) & (born.day() != day)
    rolled &= given.exact.isnull()
    impossible = odd.fill_null(False) | rolled.fill_null(False)
    rows = given.select(num_impossible_birth=impossible, num_conflicting_birth=given.conflicts)
    found = rows.aggregate(**{name: rows[name].ifelse(1, 0).sum() for name in counts})
    return {name: int(found.to_pyarrow().to_pylist()[0][name] or 0) for name in counts}


def _given(person: ibis.Table) -> ibis.Table:
    """person_id, the parts of the date of birth, and ``exact``, its time; null where a column lacks."""
    if not {"year_of_birth", "birth"} & set(person.columns):
        found = ", ".join(person.columns[:12])
        raise DataError(
            "missing column year_of_birth", where="table person", found=found, remedy=REMEDY_OF_COLUMN
        )
    parts = {part: optional(person, part, "int64") for part in BIRTH_PARTS}
    return evaluated(
        person, person_id=person.person_id, exact=optional(person, "birth", "timestamp(6)"), **parts
    )


def _time(given: ibis.Table) -> ir.TimestampColumn:
    import ibis

    of_this_age = given.exact.year().between(EARLIEST.year, LATEST_YEAR).fill_null(False)
    by_parts = _by_parts(given)
    exact = ibis.ifelse(
        of_this_age & ~_of_other_year(given.exact, given.year_of_birth, by_parts), given.exact, None
    )
    return ibis.coalesce(exact, by_parts)


def _of_other_year(
    exact: ir.TimestampColumn, year: ir.IntegerColumn, by_parts: ir.TimestampColumn
) -> ir.BooleanColumn:
    """Whether a time is of another year than the parts, and not for its time zone alone."""
    return ((exact.year() != year) & days_apart(exact, by_parts)).fill_null(False)


def _by_parts(given: ibis.Table) -> ir.TimestampColumn:
    """Midnight of the day of year, month and day; null where the year lacks or is impossible."""
    import ibis

    year, month, day = (given[part] for part in BIRTH_PARTS)
    of_year = year.between(EARLIEST.year, LATEST_YEAR)
    first = ibis.date(of_year.ifelse(year, EARLIEST.year), _is_month(month).ifelse(month, 1), 1)
    within = day.between(1, (first + ibis.interval(months=1) - ibis.interval(days=1)).day())
    later = within.fill_null(False).ifelse(day, 1) - 1
    by_parts = first.cast("timestamp(6)") + later.as_interval("D")
    return ibis.ifelse(of_year.fill_null(False), by_parts, None)


def _is_month(month: ir.IntegerColumn) -> ir.BooleanColumn:
    return month.between(1, 12).fill_null(False)
