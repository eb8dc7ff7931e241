from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.errors import ConfigError
from proband.ehr.outcomes import CodeSet, Task, load_task, require_known, save_task

GOOD = """
outcomes:
  type_2_diabetes: {codes: [SNOMED//44054006]}
  cancer: {prefixes: ["ICD10CM//C"], regex: "^SNOMED//36340600"}
prediction: {years_after_entry: 2}
horizons_years: [5, 1, 10]
washout_years: 0.5
gap_days: 30
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "task.yaml"
    path.write_text(text)
    return path


def test_a_task_file_is_read(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, GOOD))
    assert list(task.outcomes) == ["type_2_diabetes", "cancer"]
    assert task.prediction.years_after_entry == (2.0,)
    assert task.horizons_years == (1.0, 5.0, 10.0)
    assert (task.washout_years, task.gap_days) == (0.5, 30.0)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ("{age_years: 50}", (50.0,)),
        ("{age_years: [40, 50]}", (40.0, 50.0)),
        ("{date: 2015-01-01}", (date(2015, 1, 1),)),
    ],
)
def test_each_kind_of_prediction_time(tmp_path: Path, prediction: str, expected: tuple) -> None:
    task = load_task(write(tmp_path, GOOD.replace("{years_after_entry: 2}", prediction)))
    given_times = [getattr(task.prediction, name) for name in ("years_after_entry", "age_years", "date")]
    assert [value for value in given_times if value is not None] == [expected]


@pytest.mark.parametrize(
    "prediction", ["{years_after_entry: 2}", "{age_years: [40, 50]}", "{date: 2015-01-01}"]
)
def test_a_saved_task_is_read_back(tmp_path: Path, prediction: str) -> None:
    task = load_task(write(tmp_path, GOOD.replace("{years_after_entry: 2}", prediction)))
    save_task(task, tmp_path / "again.yaml")
    assert load_task(tmp_path / "again.yaml") == task


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("washout_years", "washout_year", "unknown key washout_year; .*did you mean washout_years"),
        ("codes:", "code:", "unknown key outcomes.type_2_diabetes.code; .*did you mean codes"),
        ('"^SNOMED//36340600"', '"("', r"outcomes.cancer: bad regex '\('"),
        ("{codes: [SNOMED//44054006]}", "{}", "names no code"),
        ("{codes: [SNOMED//44054006]}", "{codes: ['']}", "empty code"),
        ("[5, 1, 10]", "[0, 1]", "horizons_years.0: Input should be greater than 0.*found 0"),
        ("[5, 1, 10]", "[-1]", "horizons_years.0: Input should be greater than 0"),
        ("[5, 1, 10]", "[.inf]", "horizons_years.0: Input should be .*finite"),
        ("[5, 1, 10]", "[]", "horizons_years: "),
        (
            "{years_after_entry: 2}",
            "{years_after_entry: 2, age_years: 50}",
            "exactly one of .*, found years_after",
        ),
        ("{years_after_entry: 2}", "{}", "exactly one of .*, found none"),
        ("{years_after_entry: 2}", "{age_years: []}", "prediction.age_years"),
        ("{years_after_entry: 2}", "{date: soon}", "prediction.date"),
        ("gap_days: 30", "gap_days: -1", "gap_days: .*found -1"),
        ("prediction: {years_after_entry: 2}", "", "prediction: Field required"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message) as caught:
        load_task(write(tmp_path, GOOD.replace(old, new)))
    assert "task.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no task"),
        ("- a", "no task"),
        ("a: [", "unreadable task file"),
        ("outcomes: {}\nprediction: {age_years: 50}\nhorizons_years: [1]", "no outcome"),
        ("prediction: {age_years: 50}\nhorizons_years: [1]", "no outcome"),
    ],
)
def test_what_is_no_task(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task(write(tmp_path, text))


def test_a_missing_task_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing task file"):
        load_task(tmp_path / "none.yaml")


def test_select_is_the_union() -> None:
    chosen = CodeSet(codes=("A//1",), prefixes=("B//2",), regex=r"//9\d$")
    codes = ["A//1", "A//12", "B//2", "B//25", "C//99", "C//999"]
    assert chosen.select(codes) == ["A//1", "B//2", "B//25", "C//99"]


def test_prefixes_are_no_patterns() -> None:
    assert CodeSet(prefixes=("A.",)).select(["A.1", "AB1"]) == ["A.1"]


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), unique=True), st.lists(st.text(min_size=1), min_size=1))
def test_select_keeps_order_and_takes_only_what_is_listed(codes: list[str], listed: list[str]) -> None:
    assert CodeSet(codes=tuple(listed)).select(codes) == [code for code in codes if code in listed]


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"codes": ["SNOMED//44054007"]}, "unknown codes of outcome x.*did you mean SNOMED//44054006"),
        ({"codes": ["ZZZ", "YYY"]}, "2 that no event has, first ZZZ"),
        ({"prefixes": ["ICD"]}, "first ICD"),
        ({"regex": "^ICD"}, "first \\^ICD"),
    ],
)
def test_codes_that_no_event_has(outcome: dict, message: str) -> None:
    task = Task(outcomes={"x": outcome}, prediction={"age_years": 50}, horizons_years=[1])
    with pytest.raises(ConfigError, match=message):
        require_known(task, ["SNOMED//44054006", "LOINC//1"])


def test_codes_absent_beside_present_ones_are_said(capsys: pytest.CaptureFixture) -> None:
    task = Task(
        outcomes={"x": {"codes": ["LOINC//1", "ZZZ"]}}, prediction={"age_years": 50}, horizons_years=[1]
    )
    require_known(task, ["LOINC//1"])
    assert "outcome x lists 1 codes that no event has, first ZZZ" in capsys.readouterr().err


def test_known_codes_pass() -> None:
    task = Task(
        outcomes={"x": {"codes": ["SNOMED//44054006"], "prefixes": ["LOINC"], "regex": "1$"}},
        prediction={"age_years": 50},
        horizons_years=[1],
    )
    require_known(task, ["SNOMED//44054006", "LOINC//1"])


def test_a_rare_outcome_may_be_absent_and_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(
        outcomes={"rare": {"codes": ["A//9"], "may_be_absent": True}, "common": {"codes": ["A//1"]}},
        prediction={"years_after_entry": 1},
        horizons_years=[1],
    )
    require_known(task, ["A//1"])
    assert "no event has a code of outcome rare" in capsys.readouterr().err
