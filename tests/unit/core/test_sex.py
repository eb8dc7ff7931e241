from __future__ import annotations

import pytest

from proband.core.sex import female_of


@pytest.mark.parametrize(
    ("code", "female"),
    [
        *((f"{kind}{slash}{value}", 1.0)
          for kind in ("Gender", "GENDER", "Sex", "SEX", "sex")
          for slash in ("/", "//")
          for value in ("F", "f", "female", "Female", "8532")),
        *((f"{kind}//{value}", 0.0) for kind in ("Gender", "SEX") for value in ("M", "MALE", "male", "8507")),
        ("OMOP//8532", 1.0),
        ("OMOP_CONCEPT/8507", 0.0),
        ("OMOP//F", None),
        ("Gender//UNKNOWN", None),
        ("Gender///F", None),
        ("SEX//F//observed", None),
        ("GENDERED//F", None),
        ("F", None),
    ],
)  # fmt: skip
def test_sex_is_read_however_it_is_spelled(code: str, female: float | None) -> None:
    assert female_of(code) == female
