"""What becomes of each row of the OMOP tables: events, or left out and counted by reason; or refused.

What is wrong with one row is counted, with the first example; what shows that a table was exported in another
form (dates that are not ISO 8601, ids that are no whole numbers) is refused by table, column and value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from proband.core.errors import DataError
from proband.ehr.omop.columns import evaluated, is_reversed
from proband.ehr.omop.tables import PERSON_ID
from proband.ehr.omop.typed import CONFLICTING, date_columns, given, odd

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
    tables: Mapping[str, ibis.Table], sources: Sequence[Source]
) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Count what of each table makes no event.

    Args:
        tables: The OMOP tables, in types (:mod:`proband.ehr.omop.typed`).
        sources: Which of them are read, and where their dates, ids and values stand.

    Returns:
        Table -> num_rows, num_events and the counts of :data:`REASONS` and of values that are no numbers;
        and for each reason that occurs its first example. A row of observation_period makes two events, so
        it can be without a date twice.

    Raises:
        DataError: A date is not ISO 8601 or an id no whole number; names table, column and value.
    """
    known = tables["person"].select(known_id=PERSON_ID)
    counts: dict[str, dict[str, int]] = {}
    examples: dict[str, str] = {}
    for source in sources:
        table = tables[source.table]
        found = _aggregate(table, source, known)
        _refuse_unreadable(found, source)
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
            one = int(found[f"{reason}_{stem}"] or 0)
            counts[reason] += one
            left += one
            if one:
                examples.setdefault(reason, f"table {name}, person_id {found[f'first_{reason}_{stem}']}")
        counts["num_events"] += counts["num_rows"] - left
    for reason in _OF_ROWS:
        if reason in found:
            counts[reason] = int(found[reason] or 0)
            if counts[reason]:
                examples.setdefault(reason, f"table {name}, person_id {found[f'first_{reason}']}")
    counts["num_events"] -= len(source.times) * counts.get(REVERSED, 0)
    if source.value:
        counts[_UNREADABLE_VALUE] = found.get(odd(source.value), 0)
        if counts[_UNREADABLE_VALUE]:
            first = found[f"first_{odd(source.value)}"]
            examples.setdefault(_UNREADABLE_VALUE, f"table {name}, {source.value} {first!r}")
    return counts


def _aggregate(table: ibis.Table, source: Source, known: ibis.Table) -> dict[str, Any]:
    """What is counted in one table, and the first of each, in one pass over it."""
    columns = [odd(column) for column in (*date_columns(source), *source.checked_ids, source.value)]
    unread = [column for column in columns if column in table.columns]
    if not (source.times or unread):
        return {}
    needed = [*unread, *source.times, *map(given, source.times)]
    needed += [PERSON_ID, CONFLICTING] if source.times else []
    rows = evaluated(table, **{column: table[column] for column in needed})
    if source.times:
        rows = rows.left_join(known, rows[PERSON_ID] == known.known_id)
    wanted: dict[str, ir.Value] = {"num_rows": rows.count()}
    for column in unread:
        wanted |= {column: rows[column].count(), f"first_{column}": rows[column].min()}
    if source.times:
        wanted |= _reasons(rows, source)
    return rows.aggregate(**wanted).to_pyarrow().to_pylist()[0]


def _reasons(rows: ibis.Table, source: Source) -> dict[str, ir.Value]:
    """Sums and first examples of what :func:`_counts` reads."""
    stranger = rows.known_id.isnull()
    wanted: dict[str, ir.Value] = {}
    for stem in source.times:
        dated, recorded = rows[stem].notnull(), rows[given(stem)]
        reasons = (stranger, ~stranger & ~dated & ~recorded, ~stranger & ~dated & recorded)
        for reason, applies in zip(REASONS, reasons, strict=True):
            wanted[f"{reason}_{stem}"] = applies.ifelse(1, 0).sum()
            wanted[f"first_{reason}_{stem}"] = rows[PERSON_ID].min(where=applies)
    of_rows = {_CONFLICTING_DATE: rows[CONFLICTING]}
    if source.table == "observation_period":
        of_rows[REVERSED] = ~stranger & is_reversed(*(rows[stem] for stem in source.times))
    for reason, applies in of_rows.items():
        wanted |= {reason: applies.ifelse(1, 0).sum(), f"first_{reason}": rows[PERSON_ID].min(where=applies)}
    return wanted


def _refuse_unreadable(found: Mapping[str, Any], source: Source) -> None:
    """Refuse a table with dates that are not ISO 8601, or ids that are no whole numbers."""
    for column in (*date_columns(source), *source.checked_ids):
        if times := found.get(odd(column)):
            raise DataError(
                f"unreadable {column}",
                where=f"table {source.table}",
                found=f"{found[f'first_{odd(column)}']!r}, one of {times} rows",
                expected="a whole number below 2^63" if column in source.checked_ids else _ISO,
                remedy="export the table again in that form",
            )
