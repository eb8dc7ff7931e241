"""Columns of OMOP tables in the types that MEDS needs, whatever a file or database made of them.

Blanks and quotes around text go, and empty text is null; so are the words for nothing that databases export
where a number or a date is due. A value that cannot be read is null here: :mod:`proband.ehr.omop.accounts`
refuses or counts it.

What is spelled in the plain way, as nearly all values are, is told by one pattern and passes by the others,
which cost ten times as much.

The expressions mean the same on every engine. Text is matched by a regular expression before it is cast,
since not every engine has a cast that gives null; the patterns keep to what RE2, Java and PostgreSQL have in
common: no look-around, options at the very start, no more than 255 repeats.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from proband.core.errors import DataError
from proband.core.text.isotimes import ISO_8601

if TYPE_CHECKING:
    import ibis
    import ibis.expr.datatypes as dt
    import ibis.expr.types as ir

_SPELLED = r"\1-\2\3-\4 \5:\6:\7@\8:\9@"
_NOTHING = r"(?i)^(NULL|\\N|NA|NAN|NONE)$"

_LEAP = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    r"(?:0[1-9]|[1-9][0-9])[0-9]{2}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    rf"|(?:0[13578]|1[02])-31)|{_LEAP}-02-29"
)
_INSTANT = (
    rf"^(?:{_DAY}) (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{{1,6}})?"
    r"[+-](?:0[0-9]|1[0-5]):[0-5][0-9]$"
)
"""A day of the calendar, an hour of the day and an offset, as :func:`_utc` spells them."""
_LAST_DAY = "9999-12-31"
_PLAIN_DAY = rf"^(?:{_DAY})$"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?"
PLAIN_TIME = rf"^(?:{_DAY})(?:[T ]{_CLOCK})?$"
"""A day of the calendar, with or without a time of the day, in the plain spelling."""
_PLAIN_INTEGER = "^[0-9]{1,18}$"
_PLAIN_NUMBER = "^-?[0-9]{1,15}(?:[.][0-9]{1,15})?$"

FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31)
"""Times beyond these, such as infinity, are taken as these: not every engine and file can hold them."""

_NANOSECONDS, _ZONED_NANOSECONDS = 9, "TIMESTAMPTZ_NS"
_ESCAPE_BYTES = ("duckdb", "postgres")
"""Engines that cast bytes to text as escapes, such as \\xC3 or \\x4531; others read them as UTF-8."""
REMEDY_OF_COLUMN = "export the table with it"
_LARGEST = 9.2e18
_MOST = str(2**63 - 1)
_INTEGER = "|".join(
    ["[0-9]{1,18}", _MOST]
    + [f"{_MOST[:i]}[0-{int(d) - 1}][0-9]{{{18 - i}}}" for i, d in enumerate(_MOST) if d != "0"]
)
_EXPONENT = "|".join(f"[0-9]{{1,3}}(?:[.][0-9]{{0,{k}}})?[eE][+]?0*{k}" for k in range(16))
_DIGITS = f"^([+-]?0*(?:{_INTEGER}))(?:[.]0*)?$"
_EXPONENTIAL = f"^[+-]?(?:{_EXPONENT})$"
_NUMBER = (
    r"^[+-]?(?:(?:[0-9]{1,250}[.]?[0-9]{0,250}|[.][0-9]{1,250})"
    r"|(?:[0-9]{1,20}[.]?[0-9]{0,20}|[.][0-9]{1,20})[eE][+-]?0*[0-9]{1,2})$"
)


def evaluated(table: ibis.Table, **columns: ir.Value) -> ibis.Table:
    """``columns`` of ``table`` as a table whose expressions are not written out again wherever they are used.

    Ibis merges one select into the next, and so repeats an expression as often as its column is used; it does
    not merge past a limit, and a limit of all rows is none in SQL.
    """
    return table.select(**columns).limit(None)


def is_reversed(start: ir.TimestampColumn, end: ir.TimestampColumn) -> ir.BooleanColumn:
    """Whether a period ends before the day it starts; not where one of them lacks."""
    return (end < start.truncate("D")).fill_null(False)


def days_apart(first: ir.TimestampColumn, second: ir.TimestampColumn) -> ir.BooleanColumn:
    """Whether two times are of days that are not the same and not neighbours, as time zones make them."""
    return first.date().delta(second.date(), unit="day").abs() > 1


def timestamp(table: ibis.Table, name: str, column: str) -> ir.TimestampColumn:
    """A date, timestamp or text column as microseconds without a time zone (UTC where it had one).

    Text is read as ISO 8601; a day that is in no calendar, such as 30 February, is null. What is finer than a
    microsecond is cut.

    Raises:
        DataError: The column is of another type.
    """
    values = table[column]
    kind = values.type()
    if kind.is_string():
        return _utc(values)
    if _has_nanoseconds(kind):
        return _within_calendar(_floored(values))
    if not (kind.is_timestamp() or kind.is_date()):
        expected = "a date or timestamp"
        raise DataError(f"wrong type of {column}", where=f"table {name}", found=kind, expected=expected)
    return _within_calendar(values.cast("timestamp(6)"))


def _has_nanoseconds(kind: dt.DataType) -> bool:
    """Whether a type is of nanoseconds, which DuckDB alone has; ibis knows none with a time zone."""
    return (kind.is_timestamp() and kind.scale == _NANOSECONDS) or _ZONED_NANOSECONDS in str(kind)


def _floored(values: ir.Column) -> ir.TimestampColumn:
    """Nanoseconds as the microsecond they lie in, without a time zone; a cast alone rounds to the nearest."""
    import ibis

    since_1970 = ibis.udf.scalar.builtin(name="epoch_ns", signature=((values.type(),), "int64"))(_builtin)
    made = ibis.udf.scalar.builtin(name="make_timestamp_ns", signature=(("int64",), "timestamp(9)"))(_builtin)
    count = since_1970(values)
    beyond = (count % 1000 + 1000) % 1000  # the remainder of what is before 1970 is negative
    nearest = values.cast("timestamp(6)" if values.type().is_timestamp() else "timestamp('UTC', 6)")
    # Infinity has no count.
    return ibis.coalesce(made(count - beyond).cast("timestamp(6)"), nearest.cast("timestamp(6)"))


def _builtin(_: object) -> None:
    """What the engine has by another name."""


def _within_calendar(values: ir.TimestampColumn) -> ir.TimestampColumn:
    """The times, none before :data:`FIRST` or after :data:`LAST`."""
    import ibis

    first, last = (ibis.literal(bound).cast("timestamp(6)") for bound in (FIRST, LAST))
    return ibis.cases((values < first, first), (values > last, last), else_=values)


def _utc(values: ir.StringColumn) -> ir.TimestampColumn:
    """ISO 8601 text as a time in UTC; null where its day or hour is in no calendar.

    The text is spelled in the one way that databases read, in steps of which each uses the one before once:
    an expression that repeated its parts would grow beyond what a database can plan. What is finer than a
    microsecond is cut, and of the last day of the year 9999 the one before is made, since an offset could
    lead beyond it.
    """
    import ibis

    spelled = nonblank(values).re_replace(ISO_8601, _SPELLED)
    zoned = spelled.replace(" ::@", " 00:00:00@").replace("@:@", "@+00:00@").replace(":@", ":00@")
    cut = zoned.replace(",", ".").re_replace("([.][0-9]{6})[0-9]*@", r"\1@").replace("@", "")
    rare = cut.replace(_LAST_DAY, "9999-12-30").re_extract(_INSTANT, 0).nullif("")
    is_last = values.startswith(_LAST_DAY)
    readable = ibis.cases(
        (~is_last & values.re_search(_PLAIN_DAY), values + " 00:00:00+00:00"),
        (~is_last & values.re_search(PLAIN_TIME), values.replace("T", " ") + "+00:00"),
        else_=rare,
    )
    return readable.try_cast("timestamp('UTC', 6)").cast("timestamp(6)")


def whole(table: ibis.Table, name: str, column: str) -> ir.IntegerColumn:
    """A column of ids or years as 64-bit integers, null where a value is no whole number.

    A whole number may be written as ``100000.0`` or ``1e+05``.

    Raises:
        DataError: The column is missing, or neither numeric nor text.
    """
    import ibis

    _require(table, name, column)
    values = _numeric(table, name, column, "integer")
    if values.type().is_integer():
        if values.type().is_uint64():
            values = ibis.ifelse(values <= int(_MOST), values, None)
        return values.cast("int64")
    if values.type().is_string():
        spelled = nonblank(values)
        digits = spelled.re_extract(_DIGITS, 1).nullif("").try_cast("int64")
        exponential = spelled.re_extract(_EXPONENTIAL, 0).nullif("").try_cast("decimal(38, 9)")
        rare = ibis.coalesce(digits, exponential.cast("int64"))
        return ibis.ifelse(values.re_search(_PLAIN_INTEGER), values.try_cast("int64"), rare)
    largest = ibis.literal(_MOST).cast("decimal(38, 0)") if values.type().is_decimal() else _LARGEST
    bounded = ibis.ifelse(values.between(-largest, largest), values, None)
    return ibis.ifelse(bounded == bounded.floor(), bounded.try_cast("int64"), None)


def number(table: ibis.Table, name: str, column: str) -> ir.FloatingColumn:
    """A column of measured values; null where a value is no number.

    Raises:
        DataError: The column is neither numeric nor text.
    """
    import ibis

    values = _numeric(table, name, column, "a number")
    if values.type().is_string():
        rare = nonblank(values).re_extract(_NUMBER, 0).nullif("")
        values = ibis.ifelse(values.re_search(_PLAIN_NUMBER), values, rare)
    return values.try_cast("float64")


def _numeric(table: ibis.Table, name: str, column: str, expected: str) -> ir.Column:
    """A column of numbers, or of the text of numbers."""
    values = table[column]
    kind = values.type()
    if not (kind.is_numeric() or kind.is_string()):
        raise DataError(f"wrong type of {column}", where=f"table {name}", found=kind, expected=expected)
    return values


def text(table: ibis.Table, name: str, column: str) -> ir.StringColumn:
    """A column of text, without blanks and quotes around it; null where nothing is left.

    Raises:
        DataError: The column is missing, or of bytes that the engine would not read as UTF-8.
    """
    _require(table, name, column)
    values = table[column]
    if values.type().is_binary() and table.get_backend().name in _ESCAPE_BYTES:
        remedy = "export the column as text"
        raise DataError(
            f"wrong type of {column}", where=f"table {name}", found="bytes", expected="text", remedy=remedy
        )
    return trimmed(values.cast("string"))


def optional(table: ibis.Table, column: str, kind: str) -> ir.Value:
    """A column, null of a type where the table has none of that name."""
    import ibis

    return table[column] if column in table.columns else ibis.null(kind)


def _require(table: ibis.Table, name: str, column: str) -> None:
    if column not in table.columns:
        found = ", ".join(table.columns[:12])
        raise DataError(
            f"missing column {column}", where=f"table {name}", found=found, remedy=REMEDY_OF_COLUMN
        )


def trimmed(values: ir.StringColumn) -> ir.StringColumn:
    """Text without blanks and a pair of quotes around it; null where nothing is left."""
    import ibis

    bare = values.strip()
    quoted = bare.re_replace(r'(?s)^"(.*)"$', r"\1").strip()
    return ibis.ifelse(bare.startswith('"'), quoted, bare).nullif("").nullif("\\N")


def nonblank(values: ir.StringColumn) -> ir.StringColumn:
    """Text of a number or a date; null where it is empty or a word for nothing."""
    return trimmed(values).re_replace(_NOTHING, "").nullif("")
