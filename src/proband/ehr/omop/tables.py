"""Which OMOP tables make events, and where each keeps what an event needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proband.ehr.meds.dataset import DISCHARGE
from proband.ehr.omop.births import BIRTH_PARTS
from proband.ehr.omop.tablefiles import ASKED_TABLES

if TYPE_CHECKING:
    import ibis


@dataclass(frozen=True)
class Domain:
    """Where an event table keeps what an event needs.

    Attributes:
        name: Vocabulary of codes that no standard concept stands for.
        prefix: Of the columns {prefix}_concept_id and {prefix}_source_value.
        time: Of the columns {time}_datetime and {time}_date.
        has_value: Whether value_as_number and a unit may be there.
        end: Like ``time``, of an end that makes an event of its own if its day is later; None without.
        end_code: Before the row's code, the code of that event.
        before_code: Before the code of the row, for tables that repeat others in another form.
    """

    name: str
    prefix: str
    time: str
    has_value: bool = False
    end: str | None = None
    end_code: str = ""
    before_code: str = ""


DOMAINS = {
    "condition_occurrence": Domain("CONDITION", "condition", "condition_start"),
    "drug_exposure": Domain("DRUG", "drug", "drug_exposure_start"),
    "procedure_occurrence": Domain("PROCEDURE", "procedure", "procedure"),
    "measurement": Domain("MEASUREMENT", "measurement", "measurement", has_value=True),
    "observation": Domain("OBSERVATION", "observation", "observation", has_value=True),
    "visit_occurrence": Domain("VISIT", "visit", "visit_start", end="visit_end", end_code=DISCHARGE),
    "visit_detail": Domain("VISIT", "visit_detail", "visit_detail_start", before_code="VISIT_DETAIL//"),
    "drug_era": Domain("DRUG", "drug", "drug_era_start", before_code="DRUG_ERA//"),
    "condition_era": Domain("CONDITION", "condition", "condition_era_start", before_code="CONDITION_ERA//"),
}
INPATIENT = (9201, 262)
"""OMOP's visits to a ward, straight and by way of an emergency room; they end even on their first day."""


@dataclass(frozen=True)
class Source:
    """A table whose rows must make events, as :mod:`proband.ehr.omop.accounts` counts them.

    Attributes:
        table: The table.
        times: Stems of the columns {stem}_datetime and {stem}_date, one for each event of a row.
        ends: Stems of times that a row may lack.
        ids: Columns of whole numbers.
        value: Column of measured values, if the table may have one.
    """

    table: str
    times: tuple[str, ...]
    ends: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    value: str | None = None


def sources(tables: Mapping[str, ibis.Table], asked: Sequence[str] = ()) -> list[Source]:
    """Those of the tables that are read, ``asked`` being those read only where asked for; person first."""
    period = "observation_period"
    declared = [Source("person", (), ("birth", "death"), ("person_id", "gender_concept_id", *BIRTH_PARTS))]
    declared += [
        Source(
            table,
            (domain.time,),
            () if domain.end is None else (domain.end,),
            (f"{domain.prefix}_concept_id", *(("unit_concept_id",) if domain.has_value else ())),
            "value_as_number" if domain.has_value else None,
        )
        for table, domain in DOMAINS.items()
        if table not in ASKED_TABLES or table in asked
    ]
    declared += [Source("death", ("death",)), Source(period, (f"{period}_start", f"{period}_end"))]
    return [source for source in declared if source.table in tables]
