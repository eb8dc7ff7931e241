from __future__ import annotations

import pytest

from proband.core.errors import CheckpointError, ConfigError, DataError, ProbandError, near_matches


def test_a_message_is_one_line_with_all_its_parts() -> None:
    error = DataError("bad\nrow", where="a.csv", found="x\n y", expected=3, remedy="mend it")
    assert str(error) == "bad row; in a.csv; found x y; expected 3; remedy: mend it"


def test_parts_not_given_are_left_out_but_zero_is_not() -> None:
    assert str(ConfigError("wrong", found=0)) == "wrong; found 0"


@pytest.mark.parametrize("kind", [DataError, ConfigError, CheckpointError])
def test_every_error_is_caught_as_one(kind: type[ProbandError]) -> None:
    with pytest.raises(ProbandError):
        raise kind("wrong")


def test_near_matches_is_empty_when_nothing_is_near() -> None:
    assert near_matches("SNOMED//44054006", ["LOINC//4548-4", "xyz"]) == ""
    assert near_matches("SNOMED//4405400", ["SNOMED//44054006"]) == "did you mean SNOMED//44054006?"
