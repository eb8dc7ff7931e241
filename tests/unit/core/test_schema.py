from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.files.tables import Table, join_parquet, write_tsv
from proband.core.schema import RISK, SCORES, TIME

TABLE = Table(
    "things",
    {"id": pl.Int64, "share": pl.Float64, "note": pl.String},
    nullable=frozenset({"note"}),
    bounds={"share": (0.0, 1.0)},
    unique=("id",),
)
GOOD = pl.DataFrame({"note": ["a", None], "id": [1, 2], "share": [0.0, 1.0]})


def test_check_puts_the_declared_columns_first() -> None:
    assert TABLE.check(GOOD, "x").columns == ["id", "share", "note"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (GOOD.drop("share"), "missing column share"),
        (GOOD.with_columns(pl.col("id").cast(pl.Int32)), "wrong type of id.*found Int32.*expected Int64"),
        (GOOD.with_columns(pl.lit(None, pl.Int64).alias("id")), "empty values.*2 nulls in id"),
        (GOOD.with_columns(pl.col("share") + 1), "share out of range.*1 rows outside, first share = 2.0"),
        (GOOD.with_columns(pl.lit(float("nan")).alias("share")), "share out of range.*2 rows"),
        (GOOD.with_columns(pl.lit(7, pl.Int64).alias("id")), "duplicate rows.*id = 7"),
        (GOOD.with_columns(pl.lit(1).alias("odd")), "unexpected column odd"),
    ],
)
def test_each_fault_is_named(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TABLE.check(frame, "x")


def test_further_columns_must_have_the_declared_type() -> None:
    frame = pl.DataFrame({"PGS1": [0.5], "subject_id": [1]}, schema_overrides={"PGS1": pl.Float32})
    assert SCORES.check(frame, "x").columns == ["subject_id", "PGS1"]
    with pytest.raises(DataError, match=r"unexpected column PGS1.*columns of Float32"):
        SCORES.check(frame.with_columns(pl.col("PGS1").cast(pl.Float64)), "x")


def test_the_index_that_pandas_writes_is_no_column(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pandas = GOOD.to_pandas().iloc[[1, 0]]  # a filtered or sorted frame has an index worth keeping
    pandas.to_parquet(path)
    assert "__index_level_0__" in pl.read_parquet(path).columns
    assert TABLE.read(path).equals(TABLE.check(GOOD, path)[::-1])
    GOOD.with_columns(pl.lit(1).alias("odd")).write_parquet(path)
    with pytest.raises(DataError, match=r"unexpected column odd.*remedy: leave it out"):
        TABLE.read(path)


def test_write_refuses_what_read_would(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(DataError):
        TABLE.write(GOOD.drop("id"), path)
    assert not path.exists()
    TABLE.write(GOOD, path)
    assert TABLE.read(path).equals(TABLE.check(GOOD, path))


def test_missing_truncated_and_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(DataError, match=r"missing file.*t\.parquet"):
        TABLE.read(path)
    TABLE.write(GOOD, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="unreadable Parquet file") as caught:
        TABLE.read(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="unreadable Parquet file"):
        TABLE.read(path)


@pytest.mark.parametrize(
    "times",
    [
        pl.Series(["2015-03-31"]).str.to_date(),
        pl.Series([datetime(2015, 3, 31)]).cast(pl.Datetime("ns")),
        pl.Series([datetime(2015, 3, 31)]).cast(pl.Datetime("ms", "UTC")),
        pl.Series([datetime(2015, 3, 30, 20)]).dt.replace_time_zone("America/New_York"),
    ],
)
def test_types_of_other_writers_are_read(tmp_path: Path, times: pl.Series) -> None:
    """As pandas and R write them: times of other units and zones, dates, narrow numbers, categories."""
    row = {
        "subject_id": 1, "outcome": "d", "horizon_years": 5, "model": "m", "risk": 0.25,
        "standard_error": 0, "unresolved": 0.0, "num_paths": 7,
    }  # fmt: skip
    frame = pl.DataFrame([row]).with_columns(times.alias("prediction_time"))
    narrow = {"subject_id": pl.Int32, "risk": pl.Float32, "num_paths": pl.UInt8, "outcome": pl.Categorical}
    path = tmp_path / "risk.parquet"
    frame.cast(narrow).write_parquet(path)
    found = RISK.read(path)
    assert found.schema == {**RISK.columns, "num_paths": pl.Int64}
    assert found.row(0) == (1, datetime(2015, 3, 31), "d", 5.0, "m", 0.25, 0.0, 0.0, 7)


def test_types_of_another_kind_are_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    for name, kind in (("id", pl.Float64), ("share", pl.String), ("note", pl.Int64)):
        GOOD.with_columns(pl.lit(None).cast(kind).alias(name)).write_parquet(path)
        with pytest.raises(DataError, match=f"wrong type of {name}; .*remedy: write the column in that type"):
            TABLE.read(path)
    GOOD.with_columns(pl.lit(2**63, pl.UInt64).alias("id")).write_parquet(path)
    with pytest.raises(DataError, match=r"things: a value does not fit its type; in .*t\.parquet") as caught:
        TABLE.read(path)
    assert "\n" not in str(caught.value)


def test_a_risk_table_holds_one_row_per_question() -> None:
    row = {
        "subject_id": 1,
        "prediction_time": datetime(1700, 1, 1),
        "outcome": "d",
        "horizon_years": 1.0,
        "model": "m",
        "risk": 0.1,
        "standard_error": 0.0,
        "unresolved": 0.0,
    }
    frame = pl.DataFrame([row], schema=dict(RISK.columns))
    assert frame.schema["prediction_time"] == TIME
    assert RISK.check(frame, "x").height == 1
    with pytest.raises(DataError, match="duplicate rows"):
        RISK.check(pl.concat([frame, frame]), "x")
    with pytest.raises(DataError, match="risk out of range"):
        RISK.check(frame.with_columns(risk=pl.lit(1.0000001)), "x")
    assert RISK.empty().columns == list(RISK.columns)


def test_parquet_parts_join_in_their_order(tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, part in enumerate(parts):
        pl.DataFrame({"a": [number] * number}, schema={"a": pl.Int64}).write_parquet(part)
    assert join_parquet(parts, tmp_path / "all.parquet") == 3
    assert pl.read_parquet(tmp_path / "all.parquet")["a"].to_list() == [1, 2, 2]


def test_names_are_no_formulas_in_a_spreadsheet(tmp_path: Path) -> None:
    names = ["=cmd|' /C calc'!A0", "+1", "@SUM(A1)", "-x", "\tx", "-1.5", "PGS000001", None]
    write_tsv(pl.DataFrame({"name": names, "number": range(8)}), tmp_path / "a.tsv")
    read = pl.read_csv(tmp_path / "a.tsv", separator="\t")["name"].to_list()
    assert read[:5] == [f"'{name}" for name in names[:5]]
    assert read[5:] == names[5:]
