"""OMOP CDM 5.3 or 5.4 -> events, as one Ibis expression that any SQL backend can run.

Tables: https://ohdsi.github.io/CommonDataModel/cdm54.html. Only columns that both versions share are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proband.core.errors import DataError
from proband.ehr.meds.dataset import BIRTH, DEATH, ENTRY, EXIT
from proband.ehr.omop.births import births
from proband.ehr.omop.columns import evaluated, is_reversed, optional
from proband.ehr.omop.concepts import GENDER_CODES, concept_names, event_code
from proband.ehr.omop.tablefiles import ASKED_TABLES
from proband.ehr.omop.tables import DOMAINS, INPATIENT, PERSON_ID, Domain

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir

_LAST_SECOND_OF_DAY = 86_399
_EVENT_TYPES = {
    "subject_id": "int64",
    "time": "timestamp(6)",
    "code": "string",
    "numeric_value": "float64",
    "unit": "string",
}


@dataclass(frozen=True)
class Part:
    """Events made from one OMOP table.

    Attributes:
        table: The table.
        rows: subject_id, time, code, numeric_value, unit, and ``usable``, whether the row is an event: one
            without the date it needs, or a stay that has not ended, is none. Unknown persons still there.
    """

    table: str
    rows: ibis.Table


def convert(tables: Mapping[str, ibis.Table], asked: Sequence[str] = ()) -> list[Part]:
    """Every OMOP table's rows as MEDS events.

    Args:
        tables: The OMOP tables, in types (:mod:`proband.ehr.omop.typed`).
        asked: Those of :data:`proband.ehr.omop.tablefiles.ASKED_TABLES` to read.

    Raises:
        DataError: person has neither year_of_birth nor birth_datetime.
    """
    names = concept_names(tables)
    parts = _person_events(tables["person"], names)
    for table, domain in DOMAINS.items():
        if table in tables and (table not in ASKED_TABLES or table in asked):
            parts += _domain_parts(tables[table], table, domain, names)
    if (name := table_of_deaths(tables)) is not None:
        dead = tables[name]
        parts.append(Part(name, _special(dead, DEATH, dead.death)))
    if "observation_period" in tables:
        parts += _period_events(tables["observation_period"])
    return parts


def table_of_deaths(tables: Mapping[str, ibis.Table]) -> str | None:
    """death, or without it person, if that has death_datetime, as in CDM 6; None without either.

    Args:
        tables: The OMOP tables, in types.
    """
    if "death" in tables:
        return "death"
    return "person" if "death" in tables["person"].columns else None


def without_empty_deaths(tables: Mapping[str, ibis.Table]) -> dict[str, ibis.Table]:
    """The tables without a death of no rows, where person has death_datetime: such an export has only that.

    Args:
        tables: The OMOP tables, as they are in the source.
    """
    is_in_person = "death" in tables and "death_datetime" in tables["person"].columns
    if is_in_person and not tables["death"].limit(1).count().to_pyarrow().as_py():
        return {name: table for name, table in tables.items() if name != "death"}
    return dict(tables)


def events(parts: Sequence[Part], person: ibis.Table, after: int | None = None) -> ibis.Table:
    """Rows of known persons, in no order: one expression. Those that are ``usable`` are events.

    The rest is left out by :func:`in_order`, once the rows have been computed: databases move a filter to
    where the columns are made, and would read each date twice.

    Args:
        parts: Of :func:`convert`.
        person: The person table.
        after: Leave out subjects up to this one.
    """
    import ibis

    rows = [part.rows for part in parts]
    known = person.select(subject_id=PERSON_ID)
    if after is not None:
        known = known.filter(known.subject_id > after)
        rows = [one.filter(one.subject_id > after) for one in rows]
    return ibis.union(*rows).semi_join(known, "subject_id")


def in_order(rows: ibis.Table) -> ibis.Table:
    """The usable rows of :func:`events` by subject_id and time, those without a time first."""
    import ibis

    return rows.filter(rows.usable).drop("usable").order_by("subject_id", ibis.asc("time", nulls_first=True))


def check_keys(tables: Mapping[str, ibis.Table]) -> None:
    """Refuse a person or a concept that is there twice or has no id: each would repeat events or lose them.

    Raises:
        DataError: Names the first.
    """
    for name in ("person", "concept"):
        if name not in tables:
            continue
        ids = tables[name].select(id=f"{name}_id")
        counted = ids.group_by("id").aggregate(times=lambda t: t.count())
        wrong = counted.filter(lambda t: (t.times > 1) | t.id.isnull()).order_by("id").limit(1)
        for first in wrong.to_pyarrow().to_pylist():
            if first["id"] is None:
                found = f"{first['times']} rows"
                raise DataError(
                    f"null {name}_id", where=f"table {name}", found=found, expected="one in every row"
                )
            found = f"{name}_id {first['id']} {first['times']} times"
            raise DataError(f"duplicate {name}", where=f"table {name}", found=found, expected="each once")


def _person_events(person: ibis.Table, names: ibis.Table | None) -> list[Part]:
    """Birth, and sex as a static code; a person without either has no such row."""
    import ibis

    born = births(person)
    birth = _special(born, BIRTH, born.time)
    sexed = _coded(person, "gender", names)
    sex = sexed.mutate(
        code=ibis.cases(
            *((sexed.concept_id == concept, code) for concept, code in GENDER_CODES.items()),
            else_=event_code(sexed.concept_id, sexed.known, "GENDER", sexed.source),
        ),
        time=ibis.null("timestamp(6)"),
    )
    recorded = (sexed.concept_id.fill_null(0) != 0) | (sexed.source.fill_null("") != "")
    return [Part("person", birth), Part("person", _finished(sex, recorded))]


def _period_events(period: ibis.Table) -> list[Part]:
    """Start and end of every period that does not end before it starts."""
    import ibis

    name = "observation_period"
    rows = evaluated(
        period, subject_id=period[PERSON_ID], start=period[f"{name}_start"], end=period[f"{name}_end"]
    )
    forward = ~is_reversed(rows.start, rows.end)
    # The end date is the last day observed, so it ends with that day's last second.
    last = rows.end.truncate("D") + ibis.interval(seconds=_LAST_SECOND_OF_DAY)
    return [
        Part(name, _finished(rows.mutate(time=time, code=ibis.literal(code)), time.notnull() & forward))
        for code, time in ((ENTRY, rows.start), (EXIT, last))
    ]


def _domain_parts(table: ibis.Table, name: str, domain: Domain, names: ibis.Table | None) -> list[Part]:
    """The events of a clinical table, with value and unit where the domain has them, and of its ends."""
    import ibis

    more = {"time": table[domain.time]}
    if domain.has_value:
        more["numeric_value"] = optional(table, "value_as_number", "float64")
        more["unit_source"] = optional(table, "unit_source_value", "string")
        more["unit_id"] = optional(table, "unit_concept_id", "int64")
    has_end = domain.end is not None and domain.end in table.columns
    if has_end:
        more["end"] = table[domain.end]
    coded = _coded(table, domain.prefix, names, **more)
    if domain.has_value:
        coded = _with_unit(coded, names)
    code = event_code(coded.concept_id, coded.known, domain.name, coded.source)
    coded = coded.mutate(code=ibis.literal(domain.before_code) + code)
    parts = [Part(name, _finished(coded))]
    if has_end:
        first, last = coded.time.truncate("D"), coded.end.truncate("D")
        has_ended = (last > first) | ((last == first) & coded.concept_id.isin(INPATIENT))
        ended = coded.mutate(
            code=ibis.literal(domain.end_code) + coded.code,
            # An end of the same day without an hour is midnight, before a start that has one.
            time=ibis.greatest(coded.end, coded.time),
            has_ended=has_ended.fill_null(False),
        )
        parts.append(Part(name, _finished(ended, ended.has_ended)))
    return parts


def _coded(table: ibis.Table, prefix: str, names: ibis.Table | None, **more: ir.Value) -> ibis.Table:
    """subject_id, concept_id, source and ``more``, joined with the concept's code as ``known``."""
    import ibis

    rows = evaluated(
        table,
        subject_id=table[PERSON_ID],
        concept_id=table[f"{prefix}_concept_id"],
        source=optional(table, f"{prefix}_source_value", "string"),
        **more,
    )
    if names is None:
        return rows.mutate(known=ibis.null("string"))
    concept = names.select(known_id="concept_id", known="code")
    return rows.left_join(concept, rows.concept_id == concept.known_id).drop("known_id")


def _with_unit(rows: ibis.Table, names: ibis.Table | None) -> ibis.Table:
    """``unit``: the code of the unit's concept (UCUM), else as recorded."""
    import ibis

    if names is None:
        return rows.mutate(unit=rows.unit_source)
    units = names.filter(names.concept_id != 0).select(known_unit="concept_id", unit_code="concept_code")
    joined = rows.left_join(units, rows.unit_id == units.known_unit)
    return joined.mutate(unit=ibis.coalesce(joined.unit_code, joined.unit_source))


def _special(table: ibis.Table, code: str, time: ir.TimestampColumn) -> ibis.Table:
    import ibis

    return _finished(evaluated(table, subject_id=table[PERSON_ID], time=time, code=ibis.literal(code)))


def _finished(rows: ibis.Table, usable: ir.BooleanColumn | None = None) -> ibis.Table:
    """The columns of an event in their types, absent ones null, and which rows are usable: if not told, those
    with a time."""
    columns = {name: optional(rows, name, kind).cast(kind) for name, kind in _EVENT_TYPES.items()}
    return rows.select(**columns, usable=rows.time.notnull() if usable is None else usable)
