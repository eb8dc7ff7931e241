from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from proband.core.errors import ConfigError, DataError
from proband.ehr.outcomes import Task, load_task, require_known, save_task, task_files

GOOD = """
outcomes:
  type_2_diabetes: {codes: [SNOMED//44054006]}
  cancer: {prefixes: ["ICD10CM//C"], regex: "^SNOMED//36340600"}
prediction: {years_after_entry: 2}
horizons_years: [5, 1, 10]
washout_years: 0.5
gap_days: 30
"""


PATTERNS = """
outcomes:
  type_2_diabetes: {codes: [SNOMED//44054006]}
  high_hba1c: {codes: LOINC//4548-4, above: 6.5}
  readmission: {steps: [{codes: VISIT//DISCHARGE}, {prefixes: VISIT//INPATIENT, within_days: 30}]}
  anaemia: {steps: [{codes: LAB//HB, below: 100}, {codes: LAB//HB, below: 100, after_days: 7}]}
prediction: {years_after_entry: 2}
horizons_years: [1]
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
        ("{every_years: 0.5}", 0.5),
    ],
)
def test_each_kind_of_prediction_time(tmp_path: Path, prediction: str, expected: object) -> None:
    task = load_task(write(tmp_path, GOOD.replace("{years_after_entry: 2}", prediction)))
    given_times = [getattr(task.prediction, name) for name in type(task.prediction).model_fields]
    assert [value for value in given_times if value is not None] == [expected]


@pytest.mark.parametrize(
    "prediction",
    ["{years_after_entry: 2}", "{age_years: [40, 50]}", "{date: 2015-01-01}", "{every_years: 0.5}"],
)
def test_a_saved_task_is_read_back(tmp_path: Path, prediction: str) -> None:
    task = load_task(write(tmp_path, PATTERNS.replace("{years_after_entry: 2}", prediction)))
    save_task(task, tmp_path / "again.yaml")
    assert load_task(tmp_path / "again.yaml") == task


def test_a_task_with_dates_of_subjects_is_saved_with_them(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("subject_id,prediction_time\n5,2015-03-31\n")
    path = write(tmp_path, GOOD.replace("{years_after_entry: 2}", "{file: index.csv}"))
    task = load_task(path)
    assert task_files(path) == [path, tmp_path / "index.csv"]
    (tmp_path / "out").mkdir()
    save_task(task, tmp_path / "out" / "task.yaml")
    again = load_task(tmp_path / "out" / "task.yaml")
    assert again.prediction.dates.rows() == [(5, datetime(2015, 3, 31))]
    assert "index.csv" not in (tmp_path / "out" / "task.yaml").read_text()
    save_task(again, tmp_path / "task2.yaml")
    assert load_task(tmp_path / "task2.yaml") == again
    (tmp_path / "index.csv").write_text("subject_id,prediction_time\n5,2015-04-01\n")
    assert load_task(path).prediction != task.prediction
    (tmp_path / "index.csv").unlink()
    with pytest.raises(DataError, match="missing file"):
        load_task(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("washout_years", "washout_year", "unknown key washout_year; .*did you mean washout_years"),
        ("codes:", "code:", "unknown key outcomes.type_2_diabetes.code; .*did you mean codes"),
        ('"^SNOMED//36340600"', '"("', r"outcomes.cancer: bad regex '\('"),
        ("{codes: [SNOMED//44054006]}", "{}", "names no code"),
        ("{codes: [SNOMED//44054006]}", "{codes: ['']}", "empty code"),
        ("[5, 1, 10]", "[0, 1]", "horizons_years item 1; .*found 0; expected greater than 0"),
        ("[5, 1, 10]", "[-1]", "horizons_years item 1; .*expected greater than 0"),
        ("[5, 1, 10]", "[.inf]", "horizons_years item 1; .*expected .*finite"),
        ("type_2_diabetes:", "' ':", "unusable name in outcomes; .*found ' '; expected a name that is not"),
        ("type_2_diabetes:", "250:", "unusable name in outcomes; .*found 250; expected text, in quotes"),
        ("{codes: [SNOMED//44054006]}", "{codes: 5}", "unusable outcomes.type_2_diabetes.codes; .*a list"),
        ("[5, 1, 10]", "[]", "unusable horizons_years; "),
        (
            "{years_after_entry: 2}",
            "{years_after_entry: 2, age_years: 50}",
            "exactly one of .*, found years_after",
        ),
        ("{years_after_entry: 2}", "{}", "exactly one of .*, found none"),
        ("{years_after_entry: 2}", "{age_years: []}", "prediction.age_years"),
        ("{years_after_entry: 2}", "{date: soon}", "prediction.date"),
        (
            "{years_after_entry: 2}",
            "{every_years: 0}",
            "unusable prediction.every_years; .*found 0.*greater than or equal to 0.01",
        ),
        ("gap_days: 30", "gap_days: -1", "unusable gap_days; .*found -1"),
        ("prediction: {years_after_entry: 2}", "", "missing key prediction; .*expected When to predict"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message) as caught:
        load_task(write(tmp_path, GOOD.replace(old, new)))
    assert "task.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{codes: VISIT//DISCHARGE}, ", "", "unusable outcomes.readmission.steps; .*at least 2 items"),
        (
            "after_days: 7",
            "after_day: 7",
            "unknown key outcomes.anaemia.steps item 2.after_day; .*after_days",
        ),
        ("after_days: 7", "after_days: -7", "unusable outcomes.anaemia.steps item 2.after_days; .*found -7"),
        ("after_days: 7", "after_days: 7, within_days: 5", "after_days 7 is more than within_days 5"),
        ("within_days: 30", "within_days: 0", "within_days; .*greater than 0"),
        ("VISIT//DISCHARGE", "VISIT//DISCHARGE, within_days: 30", "the first step follows none"),
        ("above: 6.5", "above: 6.5, below: 6.5", "no value is above 6.5 and below 6.5"),
        (
            "above: 6.5",
            "above: high",
            "unusable outcomes.high_hba1c.above; .*'high'; expected a number",
        ),
        ("above: 6.5", "within_days: 30", "unknown key outcomes.high_hba1c.within_days; .*remove it"),
        ("VISIT//DISCHARGE}", "''}", "outcomes.readmission.steps item 1: holds an empty code"),
    ],
)
def test_one_line_says_what_is_wrong_with_a_pattern(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in PATTERNS
    with pytest.raises(ConfigError, match=message) as caught:
        load_task(write(tmp_path, PATTERNS.replace(old, new)))
    assert not {"\n", "<"} & set(str(caught.value))


def test_patterns_are_read(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, PATTERNS))
    assert [len(outcome.steps) for outcome in task.outcomes.values()] == [1, 1, 2, 2]
    assert task.outcomes["anaemia"].steps[1].after_days == 7
    assert task.outcomes["high_hba1c"].steps[0].above == 6.5


def test_outcomes_may_be_a_panel_beside_the_task_file(tmp_path: Path) -> None:
    (tmp_path / "panel.csv").write_text("outcome,code\nstroke,SNOMED//1\nstroke,SNOMED//2\ngout,SNOMED//3\n")
    path = write(tmp_path, "outcomes: panel.csv\nprediction: {age_years: 50}\nhorizons_years: 1")
    task = load_task(path)
    assert {name: outcome.codes for name, outcome in task.outcomes.items()} == {
        "stroke": ("SNOMED//1", "SNOMED//2"),
        "gout": ("SNOMED//3",),
    }
    assert task_files(path) == [path, tmp_path / "panel.csv"]
    save_task(task, tmp_path / "whole.yaml")
    assert load_task(tmp_path / "whole.yaml") == task
    assert task_files(tmp_path / "whole.yaml") == [tmp_path / "whole.yaml"]


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


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"codes": ["SNOMED//44054007"]}, "unknown codes of outcome x.*did you mean SNOMED//44054006"),
        ({"codes": ["ZZZ", "YYY"]}, "2 that no event has, first ZZZ"),
        ({"prefixes": ["ICD"]}, "first ICD"),
        ({"regex": "^ICD"}, "first \\^ICD"),
        (
            {"steps": [{"codes": "LOINC//1"}, {"codes": "LOINC//2"}]},
            "outcome x; .*first LOINC//2; .*LOINC//1",
        ),
    ],
)
def test_codes_that_no_event_has(outcome: dict, message: str) -> None:
    task = Task(outcomes={"x": outcome}, prediction={"age_years": 50}, horizons_years=[1])
    with pytest.raises(ConfigError, match=message):
        require_known(task, ["SNOMED//44054006", "LOINC//1"])


def test_all_unknown_outcomes_are_named_at_once() -> None:
    outcomes = {name: {"codes": f"Z//{name}"} for name in ("x", "y", "z")} | {"known": {"codes": "LOINC//1"}}
    task = Task(outcomes=outcomes, prediction={"age_years": 50}, horizons_years=[1])
    with pytest.raises(ConfigError, match=r"outcome x; .*first Z//x; the same of 2 more outcomes: y, z"):
        require_known(task, ["LOINC//1"])


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


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (
            {"prefixes": ["ICD10CM//E11", "ICD10CM//E13*"]},
            r"first ICD10CM//E13\*; .*prefixes: \[ICD10CM//E13\]",
        ),
        ({"prefixes": ["ICD10CM//E11", "ICD10//E13"]}, "first ICD10//E13; remedy: did you mean ICD10CM//E1"),
        ({"codes": ["ICD10CM//E11.9"], "regex": "^icd"}, r"first \^icd; remedy: .*may_be_absent"),
        (
            {"codes": ["ICD10CM//E1.9"], "prefixes": ["ICD10CM//E11"]},
            "first ICD10CM//E1.9; remedy: did you mean",
        ),
    ],
)
def test_every_line_of_an_outcome_must_select_something(line: dict, named: str) -> None:
    task = Task(outcomes={"x": line}, prediction={"age_years": 50}, horizons_years=[1])
    with pytest.raises(
        ConfigError, match=f"unknown codes of outcome x; .*found 1 that no event has, {named}"
    ):
        require_known(task, ["ICD10CM//E11.9", "ICD10CM//E13.9", "LOINC//1"])


def test_a_line_that_may_be_absent_is_said(capsys: pytest.CaptureFixture) -> None:
    line = {"prefixes": ["A//", "B//"], "may_be_absent": True}
    require_known(Task(outcomes={"x": line}, prediction={"age_years": 50}, horizons_years=[1]), ["A//1"])
    assert "outcome x names 1 lines that no event has, first B//" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("regex", "complaint"), [("(?=a)", "look-around"), (r"(a)\1", "backreferences"), ("(", "unclosed group")]
)
def test_a_regex_that_no_linear_time_engine_runs_is_refused(
    tmp_path: Path, regex: str, complaint: str
) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(
        f"outcomes: {{x: {{regex: '{regex}'}}}}\nprediction: {{age_years: 50}}\nhorizons_years: 1"
    )
    with pytest.raises(ConfigError, match=f"bad regex .*{complaint}") as caught:
        load_task(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "outcomes: " + "{a: " * 50_000,
        "prediction: {date: 2020-13-45}",
        f"horizons_years: {'9' * 5000}",
        "!!python/object/apply:os.system [ls]",
        "[1, 2]",
        "\x00",
        "outcomes: {a: {codes: [A]}}\nprediction: {every_years: 1.0e-9}\nhorizons_years: 1",
        "outcomes: {a: {codes: [A]}}\nprediction: {every_years: .nan}\nhorizons_years: 1",
    ],
)
def test_a_hostile_task_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "task.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_task(tmp_path / "task.yaml")
    assert "task.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
