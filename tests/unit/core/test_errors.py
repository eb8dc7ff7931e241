from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import proband
from proband.core.errors import CheckpointError, ConfigError, DataError, ProbandError, near_matches, printable


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


def test_control_characters_are_escaped_and_long_texts_shortened() -> None:
    error = DataError("no such\x00code", found="\x1b[2Jgone\x9b \u202etxt.exe", remedy="é 漢 stays")
    assert str(error) == r"no such\x00code; found \x1b[2Jgone\x9b \u202etxt.exe; remedy: é 漢 stays"
    assert len(str(DataError("bad", found="x" * 10**6))) < 1000


@given(st.text())
def test_printable_text_goes_to_any_terminal(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert not {"\x1b", "\x00", "\x9b", "\u202e"} & set(shown)
    assert printable(shown) == shown


def test_every_message_says_what_was_expected_or_what_to_do() -> None:
    silent = [
        f"{path.name}:{call.lineno}"
        for path in sorted(Path(proband.__path__[0]).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and _says_only_what_is_wrong(call)
    ]
    assert silent == []


def _says_only_what_is_wrong(call: ast.Call) -> bool:
    """An error made of a text, with neither an expectation nor a remedy."""
    kinds = {kind.__name__ for kind in (DataError, ConfigError, CheckpointError)}
    is_error = isinstance(call.func, ast.Name) and call.func.id in kinds
    is_text = bool(call.args) and isinstance(call.args[0], ast.Constant | ast.JoinedStr)
    return is_error and is_text and not {word.arg for word in call.keywords} & {"expected", "remedy", None}
