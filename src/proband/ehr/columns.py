"""Columns of OMOP tables in the types that MEDS needs, whatever a file or database made of them.

Text (of CSV files) is trimmed, and empty text is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proband.core.errors import DataError

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir


def time_of(table: ibis.Table, name: str, stem: str) -> ir.TimestampColumn:
    """{stem}_datetime where there is one and it is not null, else {stem}_date.

    Raises:
        DataError: The table has neither.
    """
    import ibis

    present = [column for column in (f"{stem}_datetime", f"{stem}_date") if column in table.columns]
    if not present:
        expected = f"{stem}_date or {stem}_datetime"
        raise DataError("missing column", where=f"table {name}", expected=expected)
    return ibis.coalesce(*(timestamp(table, name, column) for column in present))


def timestamp(table: ibis.Table, name: str, column: str) -> ir.TimestampColumn:
    """A date, timestamp or text column as microseconds without a time zone (UTC where it had one).

    Raises:
        DataError: The column is of another type.
    """
    values = table[column]
    kind = values.type()
    if kind.is_string():
        values = values.strip().nullif("")
    elif not (kind.is_timestamp() or kind.is_date() or kind.is_null()):
        expected = "a date or timestamp"
        raise DataError(f"wrong type of {column}", where=f"table {name}", found=kind, expected=expected)
    return values.cast("timestamp(6)")


def whole(table: ibis.Table, name: str, column: str, required: bool = True) -> ir.IntegerColumn:
    """A column of ids or years as 64-bit integers.

    Raises:
        DataError: The column is required and missing, or neither numeric nor text.
    """
    import ibis

    if column not in table.columns:
        if required:
            raise DataError(f"missing column {column}", where=f"table {name}")
        return ibis.null("int64")
    values = table[column]
    if values.type().is_string():
        values = values.strip().nullif("")
    elif not (values.type().is_numeric() or values.type().is_null()):
        raise DataError(
            f"wrong type of {column}", where=f"table {name}", found=values.type(), expected="integer"
        )
    return values.cast("int64")


def number(table: ibis.Table, column: str) -> ir.FloatingColumn:
    """A column of measured values; null where the table has no such column."""
    import ibis

    if column not in table.columns:
        return ibis.null("float64")
    values = table[column]
    return (values.strip().nullif("") if values.type().is_string() else values).cast("float64")


def text(table: ibis.Table, column: str) -> ir.StringColumn:
    """A column of text; null where the table has no such column."""
    import ibis

    if column not in table.columns:
        return ibis.null("string")
    return table[column].cast("string").strip().nullif("")
