"""Labels of a file are read, or refused in one line, and become labels of a task."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import ConfigError, DataError
from proband.ehr.labels import label_events
from proband.ehr.outcomes import load_task, save_task, task_files
from proband.ehr.task.labelled import read_labels

DAY = datetime(2001, 3, 4)
TASK = "outcomes: {dies_here: {labels: labels.csv}}\nhorizons_years: 1\n"
SPANS = pl.DataFrame(
    {
        "subject_id": [1, 2, 3],
        "birth_time": [datetime(1950, 1, 1)] * 3,
        "entry_time": [datetime(2000, 1, 1)] * 3,
        "exit_time": [datetime(2001, 3, 20)] * 3,
        "death_time": [None, datetime(2001, 3, 20), None],
        "split": ["train", "train", "held_out"],
    },
    schema_overrides={"death_time": pl.Datetime("us")},
)


def table(tmp_path: Path, *rows: str, name: str = "labels.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(["subject_id,prediction_time,boolean_value", *rows]) + "\n")
    return path


def test_labels_become_labels_of_a_task_over_the_whole_horizon(tmp_path: Path) -> None:
    table(
        tmp_path,
        "1,2001-03-04,true",
        "2,2001-03-04,false",
        "3,2001-03-04,1",
        "3,2001-03-21,1",
        "9,2001-03-04,1",
    )
    (tmp_path / "task.yaml").write_text(TASK)
    task = load_task(tmp_path / "task.yaml")
    nothing = pl.DataFrame(schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String})
    found = label_events(nothing, SPANS, task, {"dies_here": []})
    # True counts in the middle of the year; false as followed to its end, though the record ends before it
    # and subject 2 dies; what lies after exit, and who is not in the data, has no label.
    assert found.select("subject_id", "time_years", "event", "split").rows() == [
        (1, 0.5, 1, "train"),
        (2, 1.0, 0, "train"),
        (3, 0.5, 1, "held_out"),
    ]


def test_a_task_of_labels_is_kept_with_its_labels(tmp_path: Path) -> None:
    table(tmp_path, "1,2001-03-04,true", "2,2001-03-05,false")
    (tmp_path / "task.yaml").write_text(TASK)
    task = load_task(tmp_path / "task.yaml")
    assert task_files(tmp_path / "task.yaml") == [tmp_path / "task.yaml", tmp_path / "labels.csv"]
    (tmp_path / "kept").mkdir()
    save_task(task, tmp_path / "kept" / "task.yaml")
    again = load_task(tmp_path / "kept" / "task.yaml")
    assert again.outcomes["dies_here"].frame.equals(task.labelled["dies_here"].frame)
    assert again.prediction.dates.rows() == [(1, DAY), (2, DAY + timedelta(days=1))]


def test_a_folder_of_shards_is_one_table(tmp_path: Path) -> None:
    for number, subjects in enumerate([[4, 1], [2]]):
        rows = {"subject_id": subjects, "prediction_time": [DAY] * len(subjects)}
        frame = pl.DataFrame(rows).with_columns(boolean_value=pl.lit(number == 0))
        (tmp_path / "labels" / "train").mkdir(parents=True, exist_ok=True)
        frame.write_parquet(tmp_path / "labels" / "train" / f"{number}.parquet")
    assert read_labels(tmp_path / "labels").rows() == [(1, DAY, True), (2, DAY, False), (4, DAY, True)]
    (tmp_path / "task.yaml").write_text(TASK.replace("labels.csv", "labels"))
    assert load_task(tmp_path / "task.yaml").prediction.dates.height == 3
    assert len(task_files(tmp_path / "task.yaml")) == 3


@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from(["true", "FALSE", " 1", "0", "1.0", ""])), min_size=1
    )
)
def test_each_label_is_read_once_and_none_is_invented(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    first = dict(reversed(rows))
    written = [f"{subject},2001-03-04,{value}" for subject, value in first.items()]
    path = table(folder, *written, written[0])
    known = {one: text.strip().lower() in ("true", "1", "1.0") for one, text in first.items() if text}
    if not known:
        with pytest.raises(DataError, match="no labels"):
            read_labels(path)
        return
    assert read_labels(path).rows() == [(one, DAY, known[one]) for one in sorted(known)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,2001-03-04,maybe"], "unusable boolean_value.*'maybe'"),
        (["1,2001-03-04,true", "1,2001-03-04,false"], "two labels of one subject"),
        (["1,2001-03-04,"], "no labels"),
        (["1,someday,true"], "unusable prediction_time"),
        (["1,2001-03-04,true", "2,2001-03-04"], "another length"),
    ],
)
def test_unusable_labels_are_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(table(tmp_path, *rows))


def test_rows_without_a_label_as_others_write_them(tmp_path: Path) -> None:
    none = ["NA", "nan", "", "None", "<NA>", "NULL"]
    rows = [f"{number},2001-03-04,{value}" for number, value in enumerate(["T", "f", *none], 1)]
    assert read_labels(table(tmp_path, *rows)).rows() == [(1, DAY, True), (2, DAY, False)]
    frame = pl.DataFrame({"subject_id": [1, 2, 3], "boolean_value": [1.0, 0.0, float("nan")]})
    frame.with_columns(prediction_time=DAY).write_parquet(tmp_path / "pandas.parquet")
    assert read_labels(tmp_path / "pandas.parquet").rows() == [(1, DAY, True), (2, DAY, False)]


def test_other_mistakes(tmp_path: Path) -> None:
    pl.DataFrame({"subject_id": [1], "prediction_time": [DAY]}).write_parquet(tmp_path / "bare.parquet")
    with pytest.raises(DataError, match="no column boolean_value"):
        read_labels(tmp_path / "bare.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="without a table"):
        read_labels(tmp_path / "empty")
    table(tmp_path, "1,2001-03-04,true")
    (tmp_path / "task.yaml").write_text(TASK.replace("years: 1", "years: [1, 2]"))
    with pytest.raises(ConfigError, match="labels of dies_here are over one horizon"):
        load_task(tmp_path / "task.yaml")
