from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proband.ehr.task.codesets import CodeSet


def test_select_is_the_union() -> None:
    chosen = CodeSet(codes=("A//1",), prefixes=("B//2",), regex=r"//9\d$")
    codes = ["A//1", "A//12", "B//2", "B//25", "C//99", "C//999"]
    assert chosen.select(codes) == ["A//1", "B//2", "B//25", "C//99"]


def test_prefixes_are_no_patterns() -> None:
    assert CodeSet(prefixes=("A.",)).select(["A.1", "AB1"]) == ["A.1"]


@given(st.lists(st.text(min_size=1), unique=True), st.lists(st.text(min_size=1), min_size=1))
def test_select_keeps_order_and_takes_only_what_is_listed(codes: list[str], listed: list[str]) -> None:
    assert CodeSet(codes=tuple(listed)).select(codes) == [code for code in codes if code in listed]


@pytest.mark.parametrize("regex", ["^((x+)+)+$", "(x*)*y", "(x|x)*$z"])
def test_no_expression_takes_long(regex: str) -> None:
    start = time.monotonic()
    assert CodeSet(regex=regex).select(["x" * 50_000 + "z", "A"]) == []
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("regex", ["(", "(?=a)b", r"(a)\1", "((a{999}){999}){999}", "a" * 1001])
def test_an_unusable_expression_is_refused(regex: str) -> None:
    with pytest.raises(ValidationError, match=r"bad regex|at most 1000 characters"):
        CodeSet(regex=regex)
