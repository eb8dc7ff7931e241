from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from proband.ehr.outcomes import Task
from proband.ehr.selection import Selection

T = datetime(2000, 1, 1)


def task(outcomes: dict) -> Task:
    return Task(outcomes=outcomes, prediction={"age_years": 50}, horizons_years=[1])


def test_every_line_says_its_codes_and_subjects(events: Callable) -> None:
    outcomes = {
        "diabetes": {"codes": ["S//1", "S//2"], "prefixes": ["ICD//E11", "ICD//E13"], "regex": "E1[13]$"},
        "twice": {"steps": [{"codes": "S//1"}, {"prefixes": "S//"}]},
    }
    known = ["ICD//E11", "ICD//E11.9", "ICD//E13", "S//1"]
    selection = Selection(task(outcomes), known)
    selection.add(
        events((1, T, "S//1"), (1, T, "S//1"), (1, T, "ICD//E11.9"), (2, T, "ICD//E11"), (3, T, "S//1")),
        [1, 2],
    )
    selection.add(events((4, T, "ICD//E13"), (5, None, "ICD//E13")), [4, 5])
    assert selection.report() == [
        "task: diabetes: codes (2 listed) selects 1 codes in 1 subjects",
        "task: diabetes: prefix ICD//E11 selects 2 codes in 2 subjects",
        "task: diabetes: prefix ICD//E13 selects 1 codes in 1 subjects",
        "task: diabetes: regex E1[13]$ selects 2 codes in 2 subjects",
        "task: twice, step 1: codes (1 listed) selects 1 codes in 1 subjects",
        "task: twice, step 2: prefix S// selects 1 codes in 1 subjects",
    ]


def test_of_many_lines_those_of_the_fewest_subjects_are_said(events: Callable) -> None:
    outcomes = {f"x{i}": {"codes": f"A//{i}"} for i in range(50)}
    selection = Selection(task(outcomes), [f"A//{i}" for i in range(50)])
    selection.add(events(*((1, T, f"A//{i}") for i in range(49))), [1])
    report = selection.report()
    assert len(report) == 41
    assert report[0] == "task: x49: codes (1 listed) selects 1 codes in 0 subjects"
    assert report[-1] == "task: 10 more lines select codes in more subjects"


@pytest.mark.parametrize("regex", [r"(a+)+$", r"(a|a)*b", r"(.*)*\d"])
def test_no_pattern_hangs(regex: str) -> None:
    chosen = task({"x": {"regex": regex}}).outcomes["x"]
    assert chosen.select(["a" * 5000 + "!"]) == []
