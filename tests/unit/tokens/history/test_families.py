from __future__ import annotations

import numpy as np

from proband.tokens.history.families import code_families
from vocabularies import vocabulary_named


def families(*codes: str, edges: dict[str, tuple[float, ...]] | None = None) -> dict[str, list[set[str]]]:
    """Per code the members of its families, from the narrowest."""
    names = ("PADDING", "MEDS_BIRTH", *codes)
    table = code_families(vocabulary_named(names, edges or {}, {}, (), (), 1440))
    assert (table[:2] == 0).all()
    members = {
        number: {names[at] for at in np.flatnonzero((table == number).any(1))} for number in np.unique(table)
    }
    return {name: [members[n] for n in row if n] for name, row in zip(names, table.tolist(), strict=True)}


def test_branches_of_icd_are_families_and_so_is_the_kind() -> None:
    codes = ("ICD10CM//E11.2", "ICD10CM//E11.65", "ICD10CM//E10", "ICD10CM//I10", "LOINC//1")
    found = families(*codes)
    kind = set(codes[:4])
    assert found["ICD10CM//E11.2"] == [set(codes[:2]), set(codes[:3]), kind]
    assert found["ICD10CM//E10"] == [set(codes[:3]), kind]
    assert found["ICD10CM//I10"] == [kind]
    assert found["LOINC//1"] == []


def test_value_bins_belong_to_their_code() -> None:
    codes = ("LOINC//1", "LOINC//1//Q1", "LOINC//1//Q2", "LOINC//2")
    found = families(*codes, edges={"LOINC//1": (5.0,)})
    assert found["LOINC//1//Q2"] == found["LOINC//1"] == [set(codes[:3]), set(codes)]
    assert found["LOINC//2"] == [set(codes)]


def test_a_code_that_stands_for_rarer_ones_is_of_their_family() -> None:
    codes = ("ICD10//E1", "ICD10//E10", "ICD10//E11", "ICD10//Z")
    assert families(*codes)["ICD10//E1"] == [set(codes[:3]), set(codes)]


def test_unknown_tokens_have_no_prefixes() -> None:
    codes = ("ICD10//U07", "ICD10//UNKNOWN", "ICD10//E10")
    found = families(*codes)
    assert found["ICD10//UNKNOWN"] == found["ICD10//U07"] == [set(codes)]
