from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.ehr.task.dates import read_subject_dates


def test_a_meds_label_file_is_sorted_and_its_labels_are_not_read(tmp_path: Path) -> None:
    at = [datetime(2010, 5, 1, 12), datetime(2001, 1, 1), datetime(2010, 5, 1, 12)]
    labels = pl.DataFrame(
        {"subject_id": [7, 2, 7], "prediction_time": at, "boolean_value": [True, False, True]}
    )
    labels.write_parquet(tmp_path / "0.parquet")
    found = read_subject_dates(tmp_path / "0.parquet")
    assert found.rows() == [(2, datetime(2001, 1, 1)), (7, datetime(2010, 5, 1, 12))]


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_a_text_table(tmp_path: Path, separator: str) -> None:
    rows = [
        ("subject_id", "prediction_time"),
        ("9223372036854775807", "2015-03-31"),
        ("1", "2015-03-31 06:30:00"),
    ]
    (tmp_path / "dates.txt").write_text("\n".join(separator.join(row) for row in rows) + "\n")
    found = read_subject_dates(tmp_path / "dates.txt")
    assert found.rows() == [
        (1, datetime(2015, 3, 31, 6, 30)),
        (9223372036854775807, datetime(2015, 3, 31)),
    ]


def test_a_parquet_file_of_another_name(tmp_path: Path) -> None:
    labels = pl.DataFrame({"subject_id": [7], "prediction_time": [datetime(2010, 5, 1, 12)]})
    for name in ("labels.pq", "LABELS.PARQUET", "part-0"):
        labels.write_parquet(tmp_path / name)
        assert read_subject_dates(tmp_path / name).rows() == labels.rows()


def test_times_with_a_zone_become_utc(tmp_path: Path) -> None:
    time = pl.Series([datetime(2015, 1, 1, 12, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo")
    pl.DataFrame({"subject_id": [1], "prediction_time": time}).write_parquet(tmp_path / "a.parquet")
    assert read_subject_dates(tmp_path / "a.parquet").rows() == [(1, datetime(2015, 1, 1, 12))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject_id,date\n1,2015-01-01\n", "no column prediction_time; in .*found columns subject_id, date"),
        ("subject_id,prediction_time\n1,31.3.2015\n", "unusable prediction_time.*'31.3.2015'.*2015-03-31"),
        ("subject_id,prediction_time\nx,2015-03-31\n", "unusable subject_id.*'x'.*whole numbers"),
        ("subject_id,prediction_time\n1\n", "a row of another length"),
        ("", "no column subject_id"),
    ],
)
def test_what_is_no_table_of_dates(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dates.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_subject_dates(tmp_path / "dates.csv")
    assert "\n" not in str(caught.value)


def test_a_missing_table(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(DataError, match="missing file"):
            read_subject_dates(tmp_path / name)


def test_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",subject_id,,prediction_time\nx,1,y,2015-03-31\n")
    assert read_subject_dates(tmp_path / "a.csv").rows() == [(1, datetime(2015, 3, 31))]
    (tmp_path / "a.csv").write_text("#  #\n1  2015-03-31")
    with pytest.raises(DataError, match="no column subject_id"):
        read_subject_dates(tmp_path / "a.csv")
