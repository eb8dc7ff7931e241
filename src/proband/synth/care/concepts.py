"""Codes of the synthetic records: OMOP concepts and the hierarchy above them.

``concepts.csv`` holds concept ids and codes of the OHDSI standardised vocabularies
(https://athena.ohdsi.org), some names shortened. ``parents`` are the next concepts above, among those of the
table: a simplified part of the vocabularies' hierarchy. ``source_value`` is the ICD-10-CM code that a clinic
would have entered, empty where no single one fits.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

FEMALE, MALE = 8532, 8507
OUTPATIENT, INPATIENT, EMERGENCY, EMERGENCY_INPATIENT = 9202, 9201, 9203, 262
FROM_EHR = 32817
NEVER_SMOKED, EX_SMOKER, SMOKER = 4144272, 4310250, 42709996
NO_CONCEPT = 0
"""OMOP's concept of what has no standard concept; the source value says what it is."""

_PATH = Path(__file__).with_name("concepts.csv")


@cache
def concept_table() -> pl.DataFrame:
    """Every concept used: id, name, domain, vocabulary, class, code, parents and source_value (or null)."""
    return pl.read_csv(_PATH, infer_schema=False).with_columns(pl.col("concept_id").cast(pl.Int32))


@cache
def _parents() -> dict[int, tuple[int, ...]]:
    rows = concept_table().select("concept_id", "parents").rows()
    return {concept: tuple(int(one) for one in (above or "").split()) for concept, above in rows}


@cache
def ancestors() -> tuple[tuple[int, int, int], ...]:
    """(ancestor, descendant, least levels between) of all pairs, each concept its own ancestor at 0."""
    rows = []
    for concept in (one for one in _parents() if one != NO_CONCEPT):
        level, found = [concept], {concept: 0}
        while level:
            level = [above for one in level for above in _parents()[one] if above not in found]
            found |= dict.fromkeys(level, max(found.values()) + 1)
        rows += [(above, concept, levels) for above, levels in found.items()]
    return tuple(sorted(rows))


@cache
def descendants(concept_id: int) -> tuple[int, ...]:
    """The concepts below one, at any level, itself left out.

    >>> descendants(4185932)
    (321318, 4329847)
    """
    return tuple(below for above, below, levels in ancestors() if above == concept_id and levels)


def meds_code(concept_id: int) -> str:
    """``VOCABULARY//concept_code`` of a concept, as ``proband ehr`` names it.

    >>> meds_code(201826)
    'SNOMED//44054006'
    """
    row = concept_table().row(by_predicate=pl.col("concept_id") == concept_id, named=True)
    return f"{row['vocabulary_id']}//{row['concept_code']}"
