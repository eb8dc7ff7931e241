"""The columns of OMOP tables that are read, in their types, and beside them what could not be read.

Events and counts then read these. On DuckDB, tables of text are written to files in their types: dates and
numbers in text take far longer to read than all that follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from proband.core.errors import DataError
from proband.core.text.isotimes import ISO_8601
from proband.ehr.omop.columns import (
    PLAIN_TIME,
    days_apart,
    evaluated,
    nonblank,
    number,
    text,
    timestamp,
    whole,
)
from proband.ehr.omop.engines.stream import spilled
from proband.ehr.omop.tables import Source

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir

CONFLICTING = "conflicting"
"""Column of whether a {stem}_datetime is more than a day from its {stem}_date, which is taken instead."""


def typed(
    tables: Mapping[str, ibis.Table], declared: Sequence[Source], folder: Path
) -> dict[str, ibis.Table]:
    """The declared tables as :func:`in_types` gives them, all others as they are.

    Args:
        tables: The OMOP tables, by name.
        declared: Those of which columns are read.
        folder: For the files.

    Raises:
        DataError: As of :func:`in_types`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = dict(tables)
    for source in declared:
        table = tables[source.table]
        if _is_text(table, source):
            path = folder / f"{source.table}.parquet"
            found[source.table] = spilled(_combined(evaluated(table, **_single(table, source)), source), path)
        else:
            found[source.table] = in_types(table, source)
    return found


def in_types(table: ibis.Table, source: Source) -> ibis.Table:
    """The columns of a table that are read.

    Returns:
        Ids (int64), texts and the value (float64) by their names; each time by its stem (microseconds, UTC),
        with ``given_{stem}``, whether anything is recorded for it; ``odd_{column}`` for every column of
        dates, ids and values that may hold text that is none, null but for that text; :data:`CONFLICTING`.
        What the table may lack and lacks is absent.

    Raises:
        DataError: A column that is needed lacks, or one is of a type that cannot be read.
    """
    return _combined(table.select(**_single(table, source)), source)


def given(stem: str) -> str:
    """Name of the column of whether anything is recorded for a time."""
    return f"given_{stem}"


def odd(column: str) -> str:
    """Name of the column of what could not be read in another."""
    return f"odd_{column}"


def date_columns(source: Source) -> list[str]:
    """Columns of dates that a table may have."""
    return [f"{stem}_{kind}" for stem in source.times + source.ends for kind in ("datetime", "date")]


def _is_text(table: ibis.Table, source: Source) -> bool:
    """Whether dates or numbers are text."""
    columns = (*source.ids, *source.other_ids, source.value, *date_columns(source))
    return any(table[column].type().is_string() for column in columns if column in table.columns)


def _single(table: ibis.Table, source: Source) -> dict[str, ir.Value]:
    """Every column by itself: dates by their own names, with whether anything is recorded in them."""
    name = source.table
    columns: dict[str, ir.Value] = {}
    for column in source.ids + tuple(one for one in source.other_ids if one in table.columns):
        columns[column] = whole(table, name, column)
    for column in source.texts + tuple(one for one in source.other_texts if one in table.columns):
        columns[column] = text(table, name, column)
    if source.value in table.columns:
        columns[source.value] = number(table, name, source.value)
    for column in date_columns(source):
        if column in table.columns:
            columns[column] = timestamp(table, name, column)
            columns[given(column)] = _is_given(table[column], columns[column])
    return columns | _odd(table, source)


def _combined(rows: ibis.Table, source: Source) -> ibis.Table:
    """The columns of :func:`_single` with those of dates made into times."""
    import ibis

    stems = {stem: _columns_of(rows, source, stem) for stem in source.times + source.ends}
    dates = {name for present in stems.values() for column in present for name in (column, given(column))}
    made: dict[str, ir.Value] = {}
    for stem, present in stems.items():
        if present:
            made[stem] = _time(*(rows[column] for column in present))
            made[given(stem)] = ibis.or_(*(rows[given(column)] for column in present))
    if source.times:
        both = [present for present in stems.values() if len(present) > 1]
        apart = (days_apart(*(rows[column] for column in present)).fill_null(False) for present in both)
        made[CONFLICTING] = ibis.or_(ibis.literal(False), *apart)
    return rows.select(*(name for name in rows.columns if name not in dates), **made)


def _columns_of(table: ibis.Table, source: Source, stem: str) -> list[str]:
    """Those of {stem}_datetime and {stem}_date that are there.

    Raises:
        DataError: Neither is there, and the time is needed.
    """
    present = [column for column in (f"{stem}_datetime", f"{stem}_date") if column in table.columns]
    if not present and stem in source.times:
        expected = f"{stem}_date or {stem}_datetime"
        raise DataError("missing column", where=f"table {source.table}", expected=expected)
    return present


def _time(exact: ir.TimestampColumn, day: ir.TimestampColumn | None = None) -> ir.TimestampColumn:
    """The exact time where it is not null and within a day of the day, else the day."""
    import ibis

    if day is None:
        return exact
    return ibis.coalesce(ibis.ifelse(days_apart(exact, day).fill_null(False), None, exact), day)


def _is_given(values: ir.Column, read: ir.TimestampColumn) -> ir.BooleanColumn:
    """Whether anything is recorded, if only what could not be read."""
    import ibis

    if not values.type().is_string():
        return values.notnull()
    return ibis.ifelse(read.notnull(), True, nonblank(values).notnull())


def _odd(table: ibis.Table, source: Source) -> dict[str, ir.Value]:
    """By column of dates, ids and values: the text that is no date of ISO 8601, no whole number or no number,
    all else null."""
    import ibis

    found: dict[str, ir.Value] = {}
    for column in date_columns(source):
        if column in table.columns and table[column].type().is_string():
            plain = nonblank(table[column])
            other = ibis.ifelse(plain.re_search(ISO_8601), None, plain)
            found[odd(column)] = ibis.ifelse(table[column].re_search(PLAIN_TIME), None, other)
    for column in [one for one in source.checked_ids if one in table.columns]:
        kind = table[column].type()
        if not kind.is_integer() or kind.is_uint64():
            plain = nonblank(table[column].cast("string"))
            found[odd(column)] = ibis.ifelse(whole(table, source.table, column).notnull(), None, plain)
    if source.value in table.columns and table[source.value].type().is_string():
        plain = nonblank(table[source.value])
        is_none = number(table, source.table, source.value).isnull()
        found[odd(source.value)] = ibis.ifelse(is_none, plain, None)
    return found
