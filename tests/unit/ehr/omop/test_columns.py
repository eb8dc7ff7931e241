from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from proband.core.text.isotimes import utc_of
from proband.ehr.omop import columns, sources

DAYS = (
    "2012-03-05",
    "2000-02-29",
    "1900-02-29",
    "2012-02-30",
    "2012-13-01",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
)
CLOCKS = (
    "",
    " 00:00:00",
    "T23:59:59",
    " 10:00:00.25",
    " 10:00:00.123456",
    "T10:00:00.1234567",
    " 24:00:00",
    " 10:00",
    " ",
)
NUMBERS = (
    "0",
    "007",
    "-7",
    "+7",
    "7.0",
    "-0",
    "7.25",
    "1e5",
    "9" * 18,
    "9" * 19,
    str(2**63 - 1),
    str(2**63),
    ".5",
    "5.",
)
ODD = ("", " ", "NULL", "x", '"7"', '" 2012-03-05 "', " 42 ", "7 8", None)
TEXTS = [*(day + clock for day, clock in product(DAYS, CLOCKS)), *NUMBERS, *ODD]


def typed(folder: Path) -> list[dict[str, Any]]:
    pl.DataFrame({"x": TEXTS}).write_parquet(folder / "texts.parquet")
    table = sources._connect(None, folder, 1).read_parquet(folder / "texts.parquet")
    made = {name: getattr(columns, name)(table, "t", "x") for name in ("timestamp", "whole", "number")}
    return table.select("x", text=columns.text(table, "t", "x"), **made).to_pyarrow().to_pylist()


def test_what_passes_by_the_patterns_is_what_they_would_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = typed(tmp_path)
    for name in ("_PLAIN_DAY", "PLAIN_TIME", "_PLAIN_INTEGER", "_PLAIN_NUMBER"):
        monkeypatch.setattr(columns, name, "^never$")
    assert typed(tmp_path) == found
    by_text = {row["x"]: row for row in found}
    assert str(by_text["2000-02-29T23:59:59"]["timestamp"]) == "2000-02-29 23:59:59"
    assert by_text["1900-02-29"]["timestamp"] is None
    assert by_text["9" * 18]["whole"] == 10**18 - 1
    assert by_text[str(2**63)]["whole"] is None
    assert by_text["7.25"]["number"] == 7.25
    assert by_text['"7"']["text"] == "7"


def test_decimal_ids_up_to_the_largest_are_whole_numbers(tmp_path: Path) -> None:
    ids = [2**63 - 1, -(2**63 - 1), 9_300_000_000_000_000_000 - 10**17, 2**63, 7]
    frame = pl.DataFrame({"id": pl.Series(ids, dtype=pl.Int128).cast(pl.Decimal(38, 0))})
    frame.write_parquet(tmp_path / "ids.parquet")
    table = sources._connect(None, tmp_path, 1).read_parquet(tmp_path / "ids.parquet")
    found = pl.from_arrow(table.select(id=columns.whole(table, "t", "id")).to_pyarrow())["id"].to_list()
    assert found == [*ids[:3], None, 7]


OFFSETS = ("", "Z", " UTC", "+00", "-05:00", "+0530", "+16:00", "-05:75")
CLOCKS_MORE = ("T10:00:60", " 1000", "T100000,5", " 23:59:59.9999999")


def test_text_of_tables_and_of_prediction_times_is_read_alike(tmp_path: Path) -> None:
    days = [day for day in DAYS if not day.startswith(("0000", "9999"))] + ["20120305", " 20120305 "]
    texts = [*map("".join, product(days, (*CLOCKS, *CLOCKS_MORE), OFFSETS)), *ODD, *NUMBERS]
    frame = pl.DataFrame({"x": texts})
    frame.write_parquet(tmp_path / "texts.parquet")
    table = sources._connect(None, tmp_path, 1).read_parquet(tmp_path / "texts.parquet")
    of_tables = table.select("x", y=columns.timestamp(table, "t", "x")).to_pyarrow().to_pylist()
    read = {row["x"]: row["y"] for row in of_tables}
    assert dict(zip(texts, utc_of(frame["x"]).to_list(), strict=True)) == read
    assert sum(one is not None for one in read.values()) > 100


EPOCH = datetime(1970, 1, 1)
NANOSECONDS = (1_325_375_999_999_999_999, 1_325_375_999_999_999_000, 999, 0, -1, -1001, -(10**18) - 500, None)
"""The first is the last nanosecond of 2011."""


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_nanoseconds_are_cut_and_a_zone_becomes_utc(tmp_path: Path, zone: str | None) -> None:
    values = pl.Series("x", NANOSECONDS).cast(pl.Datetime("ns"))
    if zone is not None:
        values = values.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    path = tmp_path / "times.parquet"
    values.to_frame().write_parquet(path)
    connection = sources._connect(None, tmp_path, 1)
    table = connection.read_parquet(path)
    floored = [None if one is None else EPOCH + timedelta(microseconds=one // 1000) for one in NANOSECONDS]
    assert floored[0] == datetime(2011, 12, 31, 23, 59, 59, 999_999)
    read = table.select(x=columns.timestamp(table, "t", "x"))
    assert read.to_pyarrow()["x"].to_pylist() == floored
    kind = "timestamp_ns" if zone is None else "timestamptz_ns"
    connection.raw_sql(f"create table bounds as select unnest(['-infinity', 'infinity'])::{kind} as x")
    bounds = connection.table("bounds")
    ends = bounds.select(x=columns.timestamp(bounds, "t", "x")).to_pyarrow()["x"].to_pylist()
    assert sorted(ends) == [columns.FIRST, columns.LAST]
