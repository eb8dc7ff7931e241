from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.ehr.omop import sources
from proband.ehr.omop.tables import Source
from proband.ehr.omop.typed import in_types, typed

SOURCE = Source(
    "t",
    times=("start",),
    ends=("end",),
    ids=("person_id", "a_concept_id"),
    other_ids=("b_concept_id",),
    other_texts=("source",),
    value="value",
)
DAY = datetime(2001, 1, 2)
ROWS: list[dict[str, Any]] = [
    {"person_id": "1", "a_concept_id": "7.0", "start_date": "2001-01-02", "start_datetime": "", "value": "5"},
    {"person_id": "x", "a_concept_id": "y", "start_date": "2001-01-02", "start_datetime": "2001-01-02 03:04"},
    {"person_id": "2", "a_concept_id": None, "start_date": "2001-01-02", "start_datetime": "1970-01-01"},
    {
        "person_id": "3",
        "a_concept_id": "1",
        "start_date": "2001-02-30",
        "start_datetime": None,
        "value": ">5",
    },
    {
        "person_id": "4",
        "a_concept_id": "1",
        "start_date": "2 January",
        "start_datetime": None,
        "value": "NULL",
    },
    {"person_id": "5", "a_concept_id": "1", "start_date": "NULL", "start_datetime": " ", "value": None},
]


def opened(folder: Path, frame: pl.DataFrame) -> Any:
    folder.mkdir(exist_ok=True)
    frame.write_parquet(folder / "rows.parquet")
    return sources._connect(None, folder, 1).read_parquet(folder / "rows.parquet")


def test_values_are_in_types_and_what_cannot_be_read_stands_beside(tmp_path: Path) -> None:
    table = opened(tmp_path, pl.DataFrame(ROWS, infer_schema_length=None))
    columns = pl.from_arrow(in_types(table, SOURCE).to_pyarrow()).to_dict(as_series=False)
    assert columns == {
        "person_id": [1, None, 2, 3, 4, 5],
        "a_concept_id": [7, None, None, 1, 1, 1],
        "value": [5.0, None, None, None, None, None],
        "start": [DAY, datetime(2001, 1, 2, 3, 4), DAY, None, None, None],
        "given_start": [True, True, True, True, True, False],
        "conflicting": [False, False, True, False, False, False],
        "odd_start_date": [None, None, None, None, "2 January", None],
        "odd_start_datetime": [None] * 6,
        "odd_a_concept_id": [None, "y", None, None, None, None],
        "odd_value": [None, None, None, ">5", None, None],
    }


def test_text_is_written_to_a_file_once_and_types_are_not(tmp_path: Path) -> None:
    text = pl.DataFrame(ROWS, infer_schema_length=None)
    in_file = typed({"t": opened(tmp_path / "a", text)}, [SOURCE], tmp_path / "typed")["t"]
    (tmp_path / "a" / "rows.parquet").unlink()
    assert in_file.count().to_pyarrow().as_py() == len(ROWS)
    assert set(in_file.columns) >= {"start", "odd_value", "conflicting"}
    whole = text.select(
        pl.lit(1).alias("person_id"), pl.lit(2).alias("a_concept_id"), pl.lit(DAY).alias("start_date")
    )
    tables = typed({"t": opened(tmp_path / "b", whole), "u": in_file}, [SOURCE], tmp_path / "none")
    assert tables["u"] is in_file
    assert not list((tmp_path / "none").iterdir())
    assert tables["t"].columns == ("person_id", "a_concept_id", "start", "given_start", "conflicting")


@pytest.mark.parametrize(
    ("without", "complaint"),
    [
        (["person_id"], "missing column person_id; in table t"),
        (
            ["start_date", "start_datetime"],
            "missing column; in table t; expected start_date or start_datetime",
        ),
    ],
)
def test_a_column_that_lacks_is_named(tmp_path: Path, without: list[str], complaint: str) -> None:
    table = opened(tmp_path, pl.DataFrame(ROWS, infer_schema_length=None).drop(without))
    with pytest.raises(DataError, match=complaint):
        in_types(table, SOURCE)
