"""OMOP CDM 5.3 or 5.4 -> events, as one Ibis expression that any SQL backend can run.

Tables: https://ohdsi.github.io/CommonDataModel/cdm54.html. Only columns that both versions share are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proband.core.errors import DataError
from proband.ehr.columns import number, text, time_of, timestamp, whole
from proband.ehr.concepts import GENDER_CODES, concept_names, event_code
from proband.ehr.meds import BIRTH, DEATH, ENTRY, EXIT

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
class Domain:
    """Where an event table keeps what an event needs.

    Attributes:
        name: Vocabulary of codes that no standard concept stands for.
        prefix: Of the columns {prefix}_concept_id and {prefix}_source_value.
        time: Of the columns {time}_datetime and {time}_date.
        has_value: Whether value_as_number and a unit may be there.
    """

    name: str
    prefix: str
    time: str
    has_value: bool = False


DOMAINS = {
    "condition_occurrence": Domain("CONDITION", "condition", "condition_start"),
    "drug_exposure": Domain("DRUG", "drug", "drug_exposure_start"),
    "procedure_occurrence": Domain("PROCEDURE", "procedure", "procedure"),
    "measurement": Domain("MEASUREMENT", "measurement", "measurement", has_value=True),
    "observation": Domain("OBSERVATION", "observation", "observation", has_value=True),
    "visit_occurrence": Domain("VISIT", "visit", "visit_start"),
}


@dataclass(frozen=True)
class Part:
    """Events made from one OMOP table.

    Attributes:
        table: The table.
        rows: subject_id, time, code, numeric_value, unit; unknown persons and missing dates still there.
        is_static: Whether a null time is meant.
    """

    table: str
    rows: ibis.Table
    is_static: bool = False


def convert(tables: Mapping[str, ibis.Table]) -> list[Part]:
    """Every OMOP table's rows as MEDS events.

    Raises:
        DataError: A table lacks a column or has one of an unusable type.
    """
    import ibis

    names = concept_names(tables)
    parts = _person_events(tables["person"], names)
    parts += [
        Part(table, _domain_events(tables[table], table, domain, names))
        for table, domain in DOMAINS.items()
        if table in tables
    ]
    if "death" in tables:
        death = tables["death"]
        parts.append(Part("death", _special(death, "death", DEATH, time_of(death, "death", "death"))))
    if "observation_period" in tables:
        period, name = tables["observation_period"], "observation_period"
        parts.append(Part(name, _special(period, name, ENTRY, time_of(period, name, f"{name}_start"))))
        # The end date is the last day observed, so it ends with that day's last second.
        end = time_of(period, name, f"{name}_end").truncate("D") + ibis.interval(seconds=_LAST_SECOND_OF_DAY)
        parts.append(Part(name, _special(period, name, EXIT, end)))
    return parts


def events(parts: Sequence[Part], person: ibis.Table) -> ibis.Table:
    """The events of known persons with the time they need, by subject_id and time: one expression."""
    import ibis

    usable = [part.rows if part.is_static else part.rows.filter(lambda t: t.time.notnull()) for part in parts]
    known = person.select(subject_id=whole(person, "person", "person_id"))
    return (
        ibis.union(*usable)
        .semi_join(known, "subject_id")
        .order_by("subject_id", ibis.asc("time", nulls_first=True))
    )


def left_out(tables: Mapping[str, ibis.Table]) -> dict[str, dict[str, int]]:
    """Rows of each table, and what of them makes no event: persons not in person, else without a date.

    A row of observation_period makes two events, so it can be without a date twice.
    """
    import ibis

    known = tables["person"].select(known_id=whole(tables["person"], "person", "person_id"))
    stems = [(name, domain.time) for name, domain in DOMAINS.items()] + [("death", "death")]
    stems += [("observation_period", f"observation_period_{side}") for side in ("start", "end")]
    counted = []
    for name, stem in stems:
        if name in tables:
            table = tables[name]
            rows = table.select(id=whole(table, name, "person_id"), time=time_of(table, name, stem))
            joined = rows.left_join(known, rows.id == known.known_id)
            no_person, no_date = joined.known_id.isnull(), joined.time.isnull()
            one = joined.aggregate(
                num_rows=joined.count(),
                num_unknown_person=no_person.cast("int64").sum().fill_null(0),
                num_no_date=(~no_person & no_date).cast("int64").sum().fill_null(0),
            )
            counted.append(one.mutate(table=ibis.literal(name)))
    counts: dict[str, dict[str, int]] = {}
    for row in ibis.union(*counted).to_pyarrow().to_pylist():
        found = counts.setdefault(row["table"], {"num_unknown_person": 0, "num_no_date": 0})
        found["num_rows"] = int(row["num_rows"])
        for reason in ("num_unknown_person", "num_no_date"):
            found[reason] += int(row[reason])
    return counts


def check_keys(tables: Mapping[str, ibis.Table]) -> None:
    """Refuse a person or a concept that is there twice or has no id: each would repeat events or lose them.

    Raises:
        DataError: Names the first.
    """
    for name in ("person", "concept"):
        if name not in tables:
            continue
        ids = tables[name].select(id=whole(tables[name], name, f"{name}_id"))
        counted = ids.group_by("id").aggregate(times=lambda t: t.count())
        wrong = counted.filter(lambda t: (t.times > 1) | t.id.isnull()).order_by("id").limit(1)
        for first in wrong.to_pyarrow().to_pylist():
            if first["id"] is None:
                raise DataError(f"null {name}_id", where=f"table {name}", found=f"{first['times']} rows")
            found = f"{name}_id {first['id']} {first['times']} times"
            raise DataError(f"duplicate {name}", where=f"table {name}", found=found, expected="each once")


def _person_events(person: ibis.Table, names: ibis.Table | None) -> list[Part]:
    """Birth, and sex as a static code; a person without either has no such row."""
    import ibis

    birth = _special(person, "person", BIRTH, _birth_time(person)).filter(lambda t: t.time.notnull())
    sexed = _coded(person, "person", "gender", names)
    sex = sexed.mutate(
        code=ibis.cases(
            *((sexed.concept_id == concept, code) for concept, code in GENDER_CODES.items()),
            else_=event_code(sexed.concept_id, sexed.known, "GENDER", sexed.source),
        ),
        time=ibis.null("timestamp(6)"),
    )
    recorded = (sexed.concept_id.fill_null(0) != 0) | (sexed.source.fill_null("") != "")
    return [Part("person", birth), Part("person", _finished(sex.filter(recorded)), is_static=True)]


def _birth_time(person: ibis.Table) -> ir.TimestampColumn:
    """birth_datetime, else the date of year, month and day, of which the last two may lack and are then 1."""
    import ibis

    by_parts = ibis.null("timestamp(6)")
    if "year_of_birth" in person.columns:
        year = whole(person, "person", "year_of_birth")
        month, day = (
            whole(person, "person", name).fill_null(1) if name in person.columns else ibis.literal(1, "int64")
            for name in ("month_of_birth", "day_of_birth")
        )
        by_parts = ibis.ifelse(year.isnull(), None, ibis.date(year.fill_null(1), month, day)).cast(
            "timestamp(6)"
        )
    elif "birth_datetime" not in person.columns:
        raise DataError("missing column year_of_birth", where="table person")
    if "birth_datetime" not in person.columns:
        return by_parts
    return ibis.coalesce(timestamp(person, "person", "birth_datetime"), by_parts)


def _domain_events(table: ibis.Table, name: str, domain: Domain, names: ibis.Table | None) -> ibis.Table:
    """The events of a clinical table, with value and unit where the domain has them."""
    more = {"time": time_of(table, name, domain.time)}
    if domain.has_value:
        more["numeric_value"] = number(table, "value_as_number")
        more["unit_source"] = text(table, "unit_source_value")
        more["unit_id"] = whole(table, name, "unit_concept_id", required=False)
    coded = _coded(table, name, domain.prefix, names, **more)
    if domain.has_value:
        coded = _with_unit(coded, names)
    return _finished(
        coded.mutate(code=event_code(coded.concept_id, coded.known, domain.name, coded.source)),
    )


def _coded(
    table: ibis.Table, name: str, prefix: str, names: ibis.Table | None, **more: ir.Value
) -> ibis.Table:
    """subject_id, concept_id, source and ``more``, joined with the concept's code as ``known``."""
    import ibis

    rows = table.select(
        subject_id=whole(table, name, "person_id"),
        concept_id=whole(table, name, f"{prefix}_concept_id"),
        source=text(table, f"{prefix}_source_value"),
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


def _special(table: ibis.Table, name: str, code: str, time: ir.TimestampColumn) -> ibis.Table:
    import ibis

    return _finished(
        table.select(subject_id=whole(table, name, "person_id"), time=time, code=ibis.literal(code))
    )


def _finished(rows: ibis.Table) -> ibis.Table:
    """The columns of an event in their types, absent ones null."""
    import ibis

    return rows.select(
        **{
            name: (rows[name] if name in rows.columns else ibis.null(kind)).cast(kind)
            for name, kind in _EVENT_TYPES.items()
        }
    )
