from __future__ import annotations

import polars as pl
import pytest

from proband.tokens.rollup import common_unknowns, parent_of, roll_up


def pairs(**subjects: int) -> pl.DataFrame:
    """subject_id, code pairs: so many subjects per code, all different people."""
    out, subject = [], 0
    for name, number in subjects.items():
        for _ in range(number):
            subject += 1
            out.append((subject, name.replace("__", "//").replace("_", ".")))
    return pl.DataFrame(out, schema={"subject_id": pl.Int64, "code": pl.String}, orient="row")


def test_rare_codes_climb_by_parents_then_prefix_then_to_unknown() -> None:
    parents = {"SNOMED//1": ["SNOMED//2"], "SNOMED//2": ["SNOMED//3"]}
    seen = pairs(
        SNOMED__1=1,
        SNOMED__2=1,
        SNOMED__3=3,
        SNOMED__9=2,
        ICD10CM__E11_65=2,
        ICD10CM__E11_9=3,
        LOINC__7=1,
        MEDS_DEATH=1,
    ).with_columns(pl.col("code").replace("MEDS.DEATH", "MEDS_DEATH"))
    rolled = roll_up(seen, parents, 5)
    assert rolled["ICD10CM//E11.65"] == rolled["ICD10CM//E11.9"] == "ICD10CM//E11"  # 2 + 3 subjects meet
    assert rolled["SNOMED//1"] == rolled["SNOMED//2"] == "SNOMED//3"  # 1 + 1 + 3 subjects are enough
    assert rolled["SNOMED//9"] == "SNOMED//UNKNOWN"
    assert rolled["LOINC//7"] == "LOINC//UNKNOWN"
    assert "MEDS_DEATH" not in rolled


def test_a_code_that_climbs_into_another_vocabulary_is_an_unknown_of_its_own() -> None:
    """As a model reads it that knows neither."""
    rolled = roll_up(pairs(RxNorm__999=2), {"RxNorm//999": ["ATC//V08CA01"]}, 5)
    assert rolled["RxNorm//999"] == "RxNorm//UNKNOWN"


def test_subjects_not_rows_are_counted() -> None:
    one_person = pl.DataFrame({"subject_id": [1] * 50, "code": ["X//1"] * 50})
    assert roll_up(one_person, {}, 2) == {"X//1": "X//UNKNOWN"}
    assert roll_up(pairs(X__1=2), {}, 2) == {}


def test_a_circle_of_parents_ends_in_unknown() -> None:
    rolled = roll_up(pairs(X__1=1), {"X//1": ["X//2"], "X//2": ["X//1"]}, 5)
    assert rolled["X//1"] == "X//UNKNOWN"


@pytest.mark.parametrize(
    ("code", "parent"),
    [
        ("ICD10CM//E11.65", "ICD10CM//E11.6"),
        ("ICD10CM//E11.6", "ICD10CM//E11"),
        ("ICD10CM//E", None),
        ("ATC//A10BA02", "ATC//A10BA0"),
        ("SNOMED//12", None),
        ("MEDS_DEATH", None),
    ],
)
def test_parents_by_prefix(code: str, parent: str | None) -> None:
    assert parent_of(code, {}) == parent


def test_a_vocabulary_of_few_subjects_has_no_unknown_of_its_own() -> None:
    codes = ["LAB//1", "LAB/2", "RARE//3", "LAB//1"]
    seen = pl.DataFrame({"subject_id": [1, 2, 3, 1], "code": codes})
    assert common_unknowns(seen, 2) == {"LAB//UNKNOWN", "UNKNOWN"}


def test_rare_codes_of_a_vocabulary_share_one_unknown_however_it_is_spelled() -> None:
    codes = ["SNOMED/1", "SNOMED//2", "Visit/ER", "fever", "chills", "ICD10CM/E11.9", "ICD10CM/E11.65"]
    people = pl.DataFrame({"subject_id": range(len(codes)), "code": codes})
    rolled = roll_up(people, {}, 2)
    assert list(rolled) == sorted([*codes, "ICD10CM/E11.6"])
    assert rolled == {
        "SNOMED/1": "SNOMED//UNKNOWN",
        "SNOMED//2": "SNOMED//UNKNOWN",
        "Visit/ER": "Visit//UNKNOWN",
        "fever": "UNKNOWN",
        "chills": "UNKNOWN",
        "ICD10CM/E11.9": "ICD10CM/E11",
        "ICD10CM/E11.65": "ICD10CM/E11",
        "ICD10CM/E11.6": "ICD10CM/E11",
    }


@pytest.mark.parametrize(
    ("code", "parent"),
    [
        ("ICD10CM/E11.9", "ICD10CM/E11"),
        ("ATC//A10BA02", "ATC//A10BA0"),
        ("DIAGNOSIS//ICD//9//25000", "DIAGNOSIS//ICD//9//2500"),
        ("ICD10CM//E", None),
        ("SNOMED/123", None),
        ("LAB//50912//mg/dL", None),
    ],
)
def test_parents_of_codes_of_other_pipelines(code: str, parent: str | None) -> None:
    assert parent_of(code, {}) == parent
