"""ACES configurations: the rows and labels of ACES itself, the task, and what is refused."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from proband.core.errors import ConfigError, DataError
from proband.ehr import ehr
from proband.ehr.aces.cohort import ROWS, cohort
from proband.ehr.aces.config import load_aces
from proband.ehr.aces.stage import LABEL_FILE, TASK_FILE, aces, task_of
from proband.ehr.labels import labels
from proband.ehr.outcomes import load_task

REFERENCE = Path(__file__).parents[3] / "reference" / "aces"
NAMES = ("imminent", "mortality", "onset")
KNOWN = ["MEDS_BIRTH", "MEDS_DEATH", "DISCHARGE//HOME", "LAB//GLU", "ICD10//E11.9"]
LAB = "LAB//GLU"
UP_TO = {"code": LAB, "value_max": 1, "value_max_inclusive": True}
HIGH = {
    "predicates__death": {"code": {"regex": "^MEDS_DEATH"}},
    "predicates__high": {"code": LAB, "value_min": 11},
    "predicates__higher": {"code": {"regex": "GLU$"}, "value_min": 11, "value_max": None},
    "predicates__sugar": {"expr": "or(high, higher)"},
    "windows__input__has": {"sugar": "(None, 0)"},
    "windows__target__label": "sugar",
}
"""Changes of a configuration: the first value above 11."""


@pytest.fixture(scope="module")
def meds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aces")
    (folder / "source" / "data" / "train").mkdir(parents=True)
    shutil.copy(REFERENCE / "events.parquet", folder / "source" / "data" / "train" / "0.parquet")
    ehr(folder / "source", folder / "meds", workers=1)
    return folder / "meds"


def written(folder: Path, name: str, **changes: Any) -> Path:
    """A configuration with values changed at places such as ``windows__target__end``; ... removes a key."""
    content = copy.deepcopy(yaml.safe_load((REFERENCE / f"{name}.yaml").read_text()))
    for place, value in changes.items():
        *above, key = place.split("__")
        part = content
        for step in above:
            part = part[step]
        if value is ...:
            del part[key]
        else:
            part[key] = value
    (folder / "aces.yaml").write_text(yaml.safe_dump(content))
    return folder / "aces.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_rows_and_labels_are_those_of_aces(name: str) -> None:
    theirs = pl.read_csv(REFERENCE / f"{name}.tsv", separator="\t", try_parse_dates=True).cast(dict(ROWS))
    ours = cohort(pl.read_parquet(REFERENCE / "events.parquet"), load_aces(REFERENCE / f"{name}.yaml"))
    assert theirs["boolean_value"].n_unique() == 2
    assert ours.equals(theirs)


@pytest.mark.parametrize(
    ("name", "changes"), [*((name, {}) for name in NAMES), ("mortality", HIGH)], ids=[*NAMES, "values"]
)
def test_the_task_asks_what_the_label_file_answers(
    name: str, changes: dict[str, Any], meds: Path, tmp_path: Path
) -> None:
    """Rows at which follow-up has ended, at the last event or death, have no label; none of them is true."""
    aces(written(tmp_path, name, **changes), meds, tmp_path / "out")
    task = load_task(tmp_path / "out" / TASK_FILE)
    theirs = pl.read_parquet(tmp_path / "out" / LABEL_FILE)
    ours = labels(meds, task, report=False)
    both = theirs.join(ours, on=["subject_id", "prediction_time"], how="left")
    case = (pl.col("event") == 1) & (pl.col("time_years") <= task.horizons_years[0])
    assert both.drop_nulls("event").filter(case != pl.col("boolean_value")).is_empty()
    assert not both.filter(pl.col("event").is_null())["boolean_value"].any()
    assert ours.height > 0.8 * theirs.height
    assert theirs["boolean_value"].any()


def test_counts_in_a_window_by_hand(tmp_path: Path) -> None:
    """Events on the bounds count or not as the window says; two rows of one time stamp count twice."""
    at = [datetime(2020, 1, day) for day in (1, 2, 2, 3)]
    events = pl.DataFrame(
        {
            "subject_id": [1] * 4,
            "time": at,
            "code": ["A", "B", "B", "MEDS_DEATH"],
            "numeric_value": [None] * 4,
        },
        schema_overrides={"time": pl.Datetime("us"), "numeric_value": pl.Float32},
    )

    def rows(**has: Any) -> int:
        gap = {"start": "trigger", "end": "start + 1d", "start_inclusive": False, "end_inclusive": True} | has
        content = {
            "predicates": {"a": {"code": "A"}, "b": {"code": "B"}, "death": {"code": "MEDS_DEATH"}},
            "trigger": "a",
            "windows": {
                "gap": gap | {"index_timestamp": "start"},
                "target": {
                    "start": "trigger", "end": "start + 2d", "start_inclusive": False, "end_inclusive": True,
                    "label": "death",
                },
            },
        }  # fmt: skip
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
        found = cohort(events, load_aces(tmp_path / "a.yaml"))
        assert found["boolean_value"].all()
        return found.height

    assert rows(has={"b": "(2, 2)", "_ANY_EVENT": "(1, 1)"}) == 1
    assert rows(has={"b": "(2, 2)"}, end_inclusive=False) == 0
    assert rows(has={"b": "(0, 0)"}, end_inclusive=False) == 1
    assert rows(has={"_ANY_EVENT": "(2, 2)"}, start_inclusive=True) == 1
    assert rows(has={"b": "(None, 0)"}, end="start + 23 hours, 59 minutes") == 1


def test_a_window_that_is_open_to_an_end_of_the_record_needs_an_event(tmp_path: Path) -> None:
    """As in es-aces 0.7.3: none of three visits but that whose record goes on after the target has a row."""
    events = pl.DataFrame(
        [
            (subject, datetime(2020, 1, 1) + timedelta(days=day), code)
            for subject, last in ((1, 10), (2, 40), (3, 0))
            for day, code in ((0, "V"), (last, "DX"))
        ],
        schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String},
        orient="row",
    ).with_columns(numeric_value=pl.lit(None, pl.Float32))
    bounds = {"start_inclusive": False, "end_inclusive": True}
    content = {
        "predicates": {"dx": {"code": "DX"}, "visit": {"code": "V"}},
        "trigger": "visit",
        "windows": {
            "input": bounds
            | {"start": None, "end": "trigger", "index_timestamp": "end", "start_inclusive": True},
            "target": bounds | {"start": "input.end", "end": "start + 30d", "label": "dx"},
            "after": bounds | {"start": "target.end", "end": None, "has": {"dx": "(None, 1)"}},
        },
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
    assert cohort(events, load_aces(tmp_path / "a.yaml"))["subject_id"].to_list() == [2]


def test_predicates_of_a_dataset_stand_in_for_the_configurations(tmp_path: Path) -> None:
    path = written(tmp_path, "mortality", predicates__discharge="???")
    with pytest.raises(ConfigError, match=r"undefined predicate discharge.*--predicates"):
        load_aces(path)
    ours = tmp_path / "predicates.yaml"
    ours.write_text("predicates:\n  discharge: {code: {regex: '^DISCHARGE//'}}\n")
    events = pl.read_parquet(REFERENCE / "events.parquet")
    plain = cohort(events, load_aces(REFERENCE / "mortality.yaml"))
    assert cohort(events, load_aces(path, ours)).equals(plain)


REFUSED = [
    # an event ends the window: in-hospital mortality
    ("mortality", {"windows__target__end": "start -> discharge"}, r"windows.target.end is of no.*aces-cli"),
    ("mortality", {"windows__target__label": "discharge"}, "who has discharge by the prediction"),
    ("onset", {"windows__record__has": {}}, "who has diabetes by the prediction time is not kept out"),
    ("onset", {"windows__gap__has": {}}, "who has diabetes between the prediction time and the target"),
    ("mortality", {"windows__target__end": "start + 1 month"}, "windows.target.end is of no form"),
    ("mortality", {"windows__target__end": None}, "windows.target is no horizon"),
    ("mortality", {"windows__target__start_inclusive": True}, "expected start_inclusive: false"),
    ("mortality", {"windows__input__start_inclusive": False}, "windows.input.start_inclusive is of no form"),
    ("mortality", {"windows__input__index_timestamp": "start"}, "input.index_timestamp is of no form"),
    ("mortality", {"windows__input__index_timestamp": ...}, "no task without index_timestamp.*exactly one"),
    ("mortality", {"windows__target__label": ...}, "no task without label; .*found 0 windows with label"),
    ("mortality", {"windows__target__label": "_ANY_EVENT"}, "the label _ANY_EVENT is no set of codes"),
    ("mortality", HIGH | {"predicates__high": {"code": LAB, "value_min": 9}}, "sugar is no set of codes"),
    ("mortality", HIGH | {"predicates__sugar": UP_TO}, "label sugar is no set of codes"),
    ("onset", {"windows__target__label": "odd"}, "the label odd is no set of codes"),
    ("mortality", {"windows__target__start": "inputs.end"}, "unusable boundary windows.target.start"),
    ("mortality", {"windows__input__end": "target.start"}, "unusable boundary windows"),
    ("mortality", {"windows__input__has": {"_ANY_EVENT": "five"}}, r"unusable windows.input.has._ANY_EVENT"),
    ("mortality", {"windows__input__has": {"dead": "(1, None)"}}, "undefined predicate dead.*death"),
    ("mortality", {"windows__input__starts": "trigger"}, "unknown key windows.input.starts.*start"),
    ("mortality", {"predicates__death": {"code": "A", "colour": "red"}},
     "unknown key predicates.death.colour; .*remedy: without it other rows.*aces-cli"),
    ("mortality", {"predicates__death": {"code": "A", "static": True}},
     "death.static is of no form.*aces-cli"),
    ("mortality", {"predicates__death": {"code": "A", "other_cols": {"ward": "ICU"}}},
     "death.other_cols is of no form.*found {'ward': 'ICU'}.*aces-cli"),
    ("mortality", {"patient_demographics": {"male": {"code": "GENDER//M"}}}, "demographics is of no form"),
    ("mortality", {"predicates__death": {"code": {"regex": "("}}}, "predicates.death.code: bad regex"),
    ("mortality", {"predicates__death": {"expr": "not(discharge)"}}, "unusable predicate death.*either code"),
    ("onset", {"predicates__odd": {"expr": "or(odd, high)"}}, "predicate odd is made of itself"),
    ("mortality", {"trigger": "time", "predicates__time": {"code": "A"}}, "the name of a column"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "message"), REFUSED)
def test_what_a_task_cannot_say_is_refused_in_one_line(
    name: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, name, **changes)
    with pytest.raises(ConfigError, match=message) as refused:
        task_of(load_aces(path), KNOWN)
    assert "\n" not in str(refused.value)
    assert "aces.yaml" in str(refused.value)


def test_a_regex_that_selects_death_alone_is_of_what_comes_once(tmp_path: Path) -> None:
    asked = load_aces(written(tmp_path, "mortality", predicates__death={"code": {"regex": "MEDS_DEATH.*"}}))
    assert task_of(asked, KNOWN).outcomes["death"].regex == "MEDS_DEATH.*"
    with pytest.raises(ConfigError, match="who has death by the prediction time is not kept out"):
        task_of(asked, [*KNOWN, "MEDS_DEATH//OTHER"])


def test_keys_of_predicates_that_choose_nothing_are_passed_over(tmp_path: Path) -> None:
    plain = load_aces(written(tmp_path, "mortality", predicates__death={"code": "MEDS_DEATH"}))
    said = {"code": "MEDS_DEATH", "static": False, "other_cols": {}}
    assert load_aces(written(tmp_path, "mortality", predicates__death=said)) == plain


def test_no_row_and_unknown_codes_are_said(meds: Path, tmp_path: Path) -> None:
    never = written(tmp_path, "mortality", windows__input__has={"_ANY_EVENT": "(9999, None)"})
    with pytest.raises(DataError, match="no trigger makes a row"):
        aces(never, meds, tmp_path / "out")
    absent = written(
        tmp_path,
        "mortality",
        predicates__death={"code": "MEDS_DEAD"},
        windows__input__has={"death": "(None, 0)"},
    )
    with pytest.raises(ConfigError, match=r"unknown codes of outcome death.*MEDS_DEATH"):
        aces(absent, meds, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_line(meds: Path, tmp_path: Path) -> None:
    words = ["aces", str(REFERENCE / "mortality.yaml"), str(meds), str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "proband", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "aces: 500 rows of 153 subjects, 174 true" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        LABEL_FILE,
        "manifest.json",
        TASK_FILE,
    ]
