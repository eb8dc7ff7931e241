"""What becomes of each row of the OMOP tables: events, or left out and counted by reason; or refused.

What is wrong with one row is counted, with the first example; what shows that a table was exported in another
form (dates that are not ISO 8601, ids that are no whole numbers) is refused by table, column and value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from proband.core.errors import DataError
from proband.ehr.omop.columns import (
    ISO_8601,
    PLAIN_TIME,
    conflicting,
    evaluated,
    is_reversed,
    nonblank,
    number,
    time_columns,
    time_of,
    whole,
)

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir

    from proband.ehr.omop.tables import Source

REASONS = ("num_unknown_person", "num_no_date", "num_impossible_date")
"""Why rows make no event: a person whom person does not hold, no date, a day that no calendar has. Each row
and time counts under the first that applies."""

MENDED = ("num_unreadable_value", "num_conflicting_date")
"""What is mended, and the row stays: a value that is no number; a {stem}_datetime more than a day from
{stem}_date, which is taken instead."""

REVERSED = "num_reversed_period"
"""A row of observation_period that ends before the day it starts."""

_UNREADABLE_VALUE, _CONFLICTING_DATE = MENDED
_OF_ROWS = (REVERSED, _CONFLICTING_DATE)
_ISO = "ISO 8601, such as 2012-03-05 or 2012-03-05T23:30:00-05:00"


def accounts(
    tables: Mapping[str, ibis.Table], sources: list[Source]
) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Count what of each table makes no event.

    Args:
        tables: The OMOP tables.
        sources: Which of them are read, and where their dates, ids and values stand.

    Returns:
        Table -> num_rows, num_events and the counts of :data:`REASONS` and of values that are no numbers;
        and for each reason that occurs its first example. A row of observation_period makes two events, so
        it can be without a date twice.

    Raises:
        DataError: A date is not ISO 8601 or an id no whole number; names table, column and value.
    """
    person = tables["person"]
    known = person.select(known_id=whole(person, "person", "person_id"))
    counts: dict[str, dict[str, int]] = {}
    examples: dict[str, str] = {}
    for source in sources:
        table = tables[source.table]
        unreadable = _unreadable(table, source)
        found = _aggregate(table, source, known, unreadable)
        _refuse_unreadable(found, source, unreadable)
        if source.times:
            counts[source.table] = _counts(found, source, examples)
    return counts, examples


def _counts(found: Mapping[str, Any], source: Source, examples: dict[str, str]) -> dict[str, int]:
    """The counts of one table; fills in ``examples`` where there is none yet."""
    name = source.table
    counts = {"num_rows": int(found["num_rows"]), "num_events": 0, **dict.fromkeys(REASONS, 0)}
    for stem in source.times:
        left = 0
        for reason in REASONS:
            one = int(found[f"{reason} {stem}"] or 0)
            counts[reason] += one
            left += one
            if one:
                examples.setdefault(reason, f"table {name}, person_id {found[f'first {reason} {stem}']}")
        counts["num_events"] += counts["num_rows"] - left
    for reason in _OF_ROWS:
        if reason in found:
            counts[reason] = int(found[reason] or 0)
            if counts[reason]:
                examples.setdefault(reason, f"table {name}, person_id {found[f'first {reason}']}")
    counts["num_events"] -= len(source.times) * counts.get(REVERSED, 0)
    if source.value:
        counts[_UNREADABLE_VALUE] = int(found[_UNREADABLE_VALUE] or 0)
        if counts[_UNREADABLE_VALUE]:
            examples.setdefault(_UNREADABLE_VALUE, f"table {name}, {source.value} {found['first value']!r}")
    return counts


def _aggregate(
    table: ibis.Table, source: Source, known: ibis.Table, unreadable: Mapping[str, ir.StringColumn]
) -> dict[str, Any]:
    """What is counted in one table, and the first of each, in one pass over it."""
    odd = {f"unreadable {column}": values for column, values in unreadable.items()}
    if not (source.times or odd):
        return {}
    rows = evaluated(table, **odd, **_of_each_row(table, source))
    if source.times:
        rows = rows.left_join(known, rows.id == known.known_id)
    wanted: dict[str, ir.Value] = {"num_rows": rows.count()}
    for column in odd:
        wanted |= {column: rows[column].count(), f"first {column}": rows[column].min()}
    if source.times:
        wanted |= _reasons(rows, source)
    return rows.aggregate(**wanted).to_pyarrow().to_pylist()[0]


def _of_each_row(table: ibis.Table, source: Source) -> dict[str, ir.Value]:
    """id, times, whether a time was given, values that are no numbers, dates that disagree."""
    import ibis

    if not source.times:
        return {}
    name = source.table
    columns: dict[str, ir.Value] = {"id": whole(table, name, "person_id")}
    for stem in source.times:
        time = columns[f"time {stem}"] = time_of(table, name, stem)
        given = ibis.or_(*(_given(table, one) for one in time_columns(table, name, stem)))
        columns[f"given {stem}"] = ibis.ifelse(time.notnull(), True, given)
    if source.value:
        columns["odd"] = _odd_number(table, name, source.value)
    columns[_CONFLICTING_DATE] = ibis.or_(
        *(conflicting(table, name, stem) for stem in source.times + source.ends)
    )
    return columns


def _reasons(rows: ibis.Table, source: Source) -> dict[str, ir.Value]:
    """Sums and first examples of what :func:`_counts` reads."""
    stranger = rows.known_id.isnull()
    wanted: dict[str, ir.Value] = {}
    for stem in source.times:
        dated, given = rows[f"time {stem}"].notnull(), rows[f"given {stem}"]
        reasons = (stranger, ~stranger & ~dated & ~given, ~stranger & ~dated & given)
        for reason, applies in zip(REASONS, reasons, strict=True):
            wanted[f"{reason} {stem}"] = applies.ifelse(1, 0).sum()
            wanted[f"first {reason} {stem}"] = rows.id.min(where=applies)
    of_rows = {_CONFLICTING_DATE: rows[_CONFLICTING_DATE]}
    if source.table == "observation_period":
        of_rows[REVERSED] = ~stranger & is_reversed(*(rows[f"time {stem}"] for stem in source.times))
    for reason, applies in of_rows.items():
        wanted |= {reason: applies.ifelse(1, 0).sum(), f"first {reason}": rows.id.min(where=applies)}
    if source.value:
        wanted |= {_UNREADABLE_VALUE: rows.odd.count(), "first value": rows.odd.min()}
    return wanted


def _given(table: ibis.Table, column: str) -> ir.BooleanColumn:
    values = table[column]
    return (nonblank(values) if values.type().is_string() else values).notnull()


def _odd_number(table: ibis.Table, name: str, column: str) -> ir.StringColumn:
    """The text of values that are no numbers, all else null."""
    import ibis

    if column not in table.columns or not table[column].type().is_string():
        return ibis.null("string")
    plain = nonblank(table[column])
    return ibis.ifelse(number(table, name, column).isnull(), plain, None)


def _unreadable(table: ibis.Table, source: Source) -> dict[str, ir.StringColumn]:
    """By column of dates or ids: the text that is no date of ISO 8601 or no whole number, all else null."""
    import ibis

    odd: dict[str, ir.StringColumn] = {}
    for column in [f"{stem}_{kind}" for stem in source.times + source.ends for kind in ("datetime", "date")]:
        if column in table.columns and table[column].type().is_string():
            plain = nonblank(table[column])
            other = ibis.ifelse(plain.re_search(ISO_8601), None, plain)
            odd[column] = ibis.ifelse(table[column].re_search(PLAIN_TIME), None, other)
    for column in [one for one in source.ids if one in table.columns]:
        kind = table[column].type()
        if not kind.is_integer() or kind.is_uint64():
            plain = nonblank(table[column].cast("string"))
            odd[column] = ibis.ifelse(whole(table, source.table, column).notnull(), None, plain)
    return odd


def _refuse_unreadable(found: Mapping[str, Any], source: Source, columns: Iterable[str]) -> None:
    """Refuse a table with dates that are not ISO 8601, or ids that are no whole numbers."""
    for column in columns:
        if found[f"unreadable {column}"]:
            raise DataError(
                f"unreadable {column}",
                where=f"table {source.table}",
                found=f"{found[f'first unreadable {column}']!r}, one of {found[f'unreadable {column}']} rows",
                expected="a whole number below 2^63" if column in source.ids else _ISO,
                remedy="export the table again in that form",
            )
