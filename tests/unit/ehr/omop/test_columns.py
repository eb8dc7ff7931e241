from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

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
