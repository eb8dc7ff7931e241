from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.synth.care import concepts
from proband.synth.care.concepts import ancestors, concept_table, descendants, meds_code
from proband.synth.care.events.everyday import CONDITIONS, PROCEDURES
from proband.synth.care.events.laboratory import SLIPS, UNCODED_MARKER
from proband.synth.care.practice import PANELS, PRACTICE
from proband.synth.traits import BIOMARKER_NAMES, BIOMARKERS, DISEASE_NAMES, DISEASES, TREATMENTS

IDS = tuple(one for one in concept_table()["concept_id"] if one)
NEVER_SUBDIVIDED = {"epilepsy", "gout"}
"""Diseases for which no more specific concept is in the table."""


@pytest.fixture(scope="module")
def domain() -> dict[int, str]:
    return dict(concept_table().select("concept_id", "domain_id").rows())


def test_every_concept_named_exists_with_its_domain(domain: dict[int, str]) -> None:
    for row in (*DISEASES, *CONDITIONS):
        assert domain[row.concept_id] == "Condition"
    for marker in BIOMARKERS:
        assert domain[marker.unit_concept_id] == "Unit"
        if marker.name != UNCODED_MARKER:
            assert domain[marker.concept_id] == "Measurement", marker.name
    assert [marker.name for marker in BIOMARKERS if not marker.concept_id] == [UNCODED_MARKER]
    drugs = {row.drug_concept_id for row in (*TREATMENTS, *CONDITIONS)} - {0}
    assert {domain[drug] for drug in drugs} == {"Drug"}
    procedures = {row.concept_id for row in PROCEDURES}
    procedures |= {concept for practice in PRACTICE.values() for concept, _ in practice.procedures}
    assert {domain[one] for one in procedures} == {"Procedure"}
    kinds = (concepts.OUTPATIENT, concepts.INPATIENT, concepts.EMERGENCY, concepts.EMERGENCY_INPATIENT)
    assert {domain[kind] for kind in kinds} == {"Visit"}
    assert {domain[one] for one in (concepts.NEVER_SMOKED, concepts.SMOKER)} == {"Observation"}


def test_every_concept_is_of_use(domain: dict[int, str]) -> None:
    """A concept is recorded, or stands above one that is."""
    forms = {below for row in DISEASES for below in (row.concept_id, *descendants(row.concept_id))}
    drugs = {row.drug_concept_id for row in (*TREATMENTS, *CONDITIONS)} - {0}
    forms |= drugs | {below for drug in drugs for below in descendants(drug)}
    forms |= {row.concept_id for row in (*CONDITIONS, *PROCEDURES, *BIOMARKERS)}
    forms |= {concept for practice in PRACTICE.values() for concept, _ in practice.procedures}
    forms |= {above for above, below, _ in ancestors() if below in forms}
    unused = {one for one in IDS if domain[one] in ("Condition", "Drug", "Procedure", "Measurement")} - forms
    assert unused == set()


def test_ids_and_codes_are_unique_and_well_formed() -> None:
    table = concept_table()
    assert table["concept_id"].is_unique().all()
    assert table.select("vocabulary_id", "concept_code").is_unique().all()
    conditions = table.filter(pl.col("domain_id") == "Condition")["source_value"].drop_nulls()
    assert len(conditions) > 80
    assert all(re.fullmatch(r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?", code) for code in conditions)
    snomed = table.filter(pl.col("vocabulary_id") == "SNOMED")["concept_code"]
    assert all(verhoeff(code) == 0 for code in snomed)
    loinc = table.filter(pl.col("vocabulary_id") == "LOINC")["concept_code"]
    assert all(luhn(code.replace("-", "")) for code in loinc)


_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTE = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def verhoeff(code: str) -> int:
    """The check of an SCTID (Verhoeff's dihedral code); 0 for one without a slip of the pen."""
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_DIHEDRAL[check][int(_PERMUTE[place % 8][int(digit)])])
    return check


def luhn(code: str) -> bool:
    """The check of a LOINC code (Luhn, modulus 10)."""
    total = sum(int(digit) for digit in code[-1::-2])
    return (total + sum(sum(divmod(2 * int(digit), 10)) for digit in code[-2::-2])) % 10 == 0


def test_the_checks_find_a_slip() -> None:
    assert verhoeff("44054006") == 0
    assert verhoeff("44054007") != 0
    assert luhn("45484")
    assert not luhn("45485")


@given(st.sampled_from(IDS))
def test_ancestors_are_closed_and_counted_by_the_shortest_way(concept: int) -> None:
    above = {one: levels for one, below, levels in ancestors() if below == concept}
    assert above[concept] == 0
    for one, levels in above.items():
        for higher, below, more in ancestors():
            if below == one:
                assert above[higher] <= levels + more
    assert all(concept in descendants(one) for one, levels in above.items() if levels)


def test_outcomes_never_overlap_one_another_nor_everyday_conditions() -> None:
    codes = [{row.concept_id, *descendants(row.concept_id)} for row in DISEASES]
    assert len(set().union(*codes)) == sum(len(one) for one in codes)
    assert not set().union(*codes) & {row.concept_id for row in CONDITIONS}
    specific = {row.name for row in DISEASES if not descendants(row.concept_id)}
    assert specific == NEVER_SUBDIVIDED


def test_practice_names_what_there_is() -> None:
    assert tuple(PRACTICE) == DISEASE_NAMES
    assert sorted(name for panel in PANELS.values() for name in panel.markers) == sorted(BIOMARKER_NAMES)
    assert set(SLIPS) <= set(BIOMARKER_NAMES)
    for practice in PRACTICE.values():
        assert {*practice.workup, *practice.follow_up} <= set(PANELS)


def test_a_code_as_events_name_it() -> None:
    assert meds_code(concepts.OUTPATIENT) == "Visit//OP"
    assert descendants(316139) == (319835, 4229440)
