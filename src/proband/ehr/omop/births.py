"""Dates of birth of OMOP's person table, of which parts may lack or be in no calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proband.core.errors import DataError
from proband.ehr.meds.dataset import EARLIEST, LATEST_YEAR
from proband.ehr.omop.columns import timestamp, whole

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir

BIRTH_PARTS = ("year_of_birth", "month_of_birth", "day_of_birth")


def birth_time(person: ibis.Table) -> ir.TimestampColumn:
    """birth_datetime if it is of this age, else the date of year, month and day.

    A month or day that lacks or that no calendar has is taken as 1; a year before 1800 or after 2200 is none.
    """
    import ibis

    by_parts = ibis.null("timestamp(6)")
    if "year_of_birth" in person.columns:
        year, month, day = _birth_parts(person)
        of_year = year.between(EARLIEST.year, LATEST_YEAR)
        first = ibis.date(of_year.ifelse(year, EARLIEST.year), _is_month(month).ifelse(month, 1), 1)
        within = day.between(1, (first + ibis.interval(months=1) - ibis.interval(days=1)).day())
        later = within.fill_null(False).ifelse(day, 1) - 1
        exact = first.cast("timestamp(6)") + later.as_interval("D")
        by_parts = ibis.ifelse(of_year.fill_null(False), exact, None)
    elif "birth_datetime" not in person.columns:
        raise DataError("missing column year_of_birth", where="table person")
    if "birth_datetime" not in person.columns:
        return by_parts
    exact = timestamp(person, "person", "birth_datetime")
    of_this_age = exact.year().between(EARLIEST.year, LATEST_YEAR).fill_null(False)
    return ibis.coalesce(ibis.ifelse(of_this_age, exact, None), by_parts)


def _birth_parts(person: ibis.Table) -> list[ir.IntegerColumn]:
    return [whole(person, "person", part, required=False) for part in BIRTH_PARTS]


def _is_month(month: ir.IntegerColumn) -> ir.BooleanColumn:
    return month.between(1, 12).fill_null(False)


def impossible_births(person: ibis.Table) -> int:
    """Persons whose date of birth had to be mended: a year, month or day of it is in no calendar."""
    if "year_of_birth" not in person.columns:
        return 0
    year, month, day = _birth_parts(person)
    born = birth_time(person)
    odd = ~year.between(EARLIEST.year, LATEST_YEAR) | ~month.between(1, 12) | ~day.between(1, 31)
    rolled = (day > 1) & _is_month(month) & (born.month() == month) & (born.day() != day)
    if "birth_datetime" in person.columns:
        rolled &= timestamp(person, "person", "birth_datetime").isnull()
    rows = person.select(odd=odd.fill_null(False) | rolled.fill_null(False))
    return int(rows.odd.ifelse(1, 0).sum().to_pyarrow().as_py() or 0)
