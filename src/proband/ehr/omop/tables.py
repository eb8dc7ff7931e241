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
PERSON_ID = "person_id"
INPATIENT = (9201, 262)
"""OMOP's visits to a ward, straight and by way of an emergency room; they end even on their first day."""


@dataclass(frozen=True)
class Source:
    """Which columns of a table are read; :mod:`proband.ehr.omop.typed` reads them.

    Attributes:
        table: The table.
        times: Stems of the columns {stem}_datetime and {stem}_date, of which one must be there; each row
            makes an event for each.
        ends: Stems of times that the table may lack.
        ids: Columns of whole numbers that must be there.
        other_ids: Those that the table may lack.
        texts: Columns of text that must be there.
        other_texts: Those that the table may lack.
        value: Column of measured values, which the table may lack; empty where it is none.
    """

    table: str
    times: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    ids: tuple[str, ...] = (PERSON_ID,)
    other_ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    other_texts: tuple[str, ...] = ()
    value: str = ""

    @property
    def checked_ids(self) -> tuple[str, ...]:
        """Those of which text that is no whole number is refused; rows of unknown persons are counted."""
        return tuple(one for one in self.ids + self.other_ids if one != PERSON_ID or self.table == "person")


def sources(tables: Mapping[str, ibis.Table], asked: Sequence[str] = ()) -> list[Source]:
    """Those of the tables that are read, ``asked`` being those read only where asked for; person first."""
    period = "observation_period"
    declared = [
        _PERSON,
        *(
            _of_domain(table, one)
            for table, one in DOMAINS.items()
            if table not in ASKED_TABLES or table in asked
        ),
        Source("death", ("death",)),
        Source(period, (f"{period}_start", f"{period}_end")),
        _CONCEPT,
    ]
    return [source for source in declared if source.table in tables]


_PERSON = Source(
    "person",
    ends=("birth", "death"),
    ids=(PERSON_ID, "gender_concept_id"),
    other_ids=BIRTH_PARTS,
    other_texts=("gender_source_value",),
)
_CONCEPT = Source(
    "concept",
    ids=("concept_id",),
    texts=("vocabulary_id", "concept_code"),
    other_texts=("concept_name",),
)


def _of_domain(table: str, domain: Domain) -> Source:
    source = f"{domain.prefix}_source_value"
    return Source(
        table,
        times=(domain.time,),
        ends=() if domain.end is None else (domain.end,),
        ids=(PERSON_ID, f"{domain.prefix}_concept_id"),
        other_ids=("unit_concept_id",) if domain.has_value else (),
        other_texts=(source, "unit_source_value") if domain.has_value else (source,),
        value="value_as_number" if domain.has_value else "",
    )
