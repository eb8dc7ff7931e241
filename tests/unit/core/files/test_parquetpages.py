"""Page headers of Parquet files: good ones of every writer pass, damaged ones are refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.core.files import parquetpages
from proband.core.files.parquetpages import PageError, check_pages
from proband.core.files.tables import read_parquet

FRAME = pl.DataFrame(
    {
        "subject_id": [1, 1, 2, None],
        "code": ["A//1", "B" * 300, "", "é"],
        "value": pl.Series([0.5, None, -1.0, 2.0], dtype=pl.Float32),
        "parents": [["a"], [], None, ["b", "c"]],
        "flag": [True, None, False, True],
        "record": [{"x": 1, "y": [1.5]}, None, {"x": None, "y": []}, {"x": 3, "y": [None]}],
    }
)
_COMPRESSIONS = st.sampled_from(["zstd", "snappy", "gzip", "uncompressed", "lz4"])


def varint(value: int) -> bytes:
    """As a header writes an integer: zigzag, seven bits a byte."""
    value, out = (value << 1) ^ (value >> 63), b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def written(path: Path, frame: pl.DataFrame, compression: str = "zstd") -> Path:
    frame.write_parquet(path, compression=compression)
    return path


def damaged(path: Path, field: bytes, value: int) -> None:
    """Put a value in the place of the integer behind some bytes; what follows moves."""
    content = path.read_bytes()
    at = content.index(field) + len(field)
    path.write_bytes(content[:at] + varint(value) + content[at + 1 :])


@settings(max_examples=30)
@given(compression=_COMPRESSIONS, size=st.sampled_from([1, 2, 100]), rows=st.integers(0, 50))
def test_tables_of_polars_pass(tmp_path_factory, compression, size, rows):
    path = tmp_path_factory.mktemp("pages") / "a.parquet"
    frame = pl.concat([FRAME] * 13)[:rows]
    frame.write_parquet(path, compression=compression, row_group_size=size, data_page_size=size)
    check_pages(path)
    assert read_parquet(path).equals(frame)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "brotli", "none"])
def test_tables_of_pyarrow_pass(tmp_path, version, compression):
    many = pl.concat([FRAME] * 20)
    pq.write_table(
        many.to_arrow(),
        tmp_path / "a.parquet",
        data_page_version=version,
        compression=compression,
        data_page_size=64,
        write_page_index=True,
        write_batch_size=7,
    )
    check_pages(tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet", ["code"]).equals(many.select("code"))


def test_tables_of_duckdb_pass(tmp_path):
    path = tmp_path / "a.parquet"
    duckdb.sql("SELECT range AS x, 'a' || range % 3 AS y, NULL::DOUBLE AS z FROM range(5000)").write_parquet(
        str(path)
    )
    check_pages(path)
    assert read_parquet(path).height == 5000


def test_what_packs_well_passes(tmp_path):
    path = written(tmp_path / "a.parquet", pl.DataFrame({"x": ["a" * 10**7], "y": [0]}))
    assert path.stat().st_size < 20_000
    check_pages(path)


def test_a_page_of_more_bytes_than_were_packed(tmp_path):
    path = written(tmp_path / "a.parquet", pl.DataFrame({"x": [1, 2, 3]}))
    damaged(path, b"PAR1\x15\x04\x15", 1_400_000_000)
    with pytest.raises(DataError, match=r"a page of x with 1,400,000,000 bytes packed into .*; remedy: the"):
        read_parquet(path)


def test_a_page_of_more_bytes_than_the_footer_says(tmp_path, monkeypatch):
    monkeypatch.setattr(parquetpages, "_SMALL", 100)
    path = written(tmp_path / "a.parquet", pl.DataFrame({"x": [1, 2, 3]}), "uncompressed")
    check_pages(path)
    damaged(path, b"PAR1\x15\x04\x15", 3_000)
    with pytest.raises(PageError, match="a page of x with 3,000 bytes packed into 24"):
        check_pages(path)


@pytest.mark.parametrize("values", [-3, 2**31 - 1])
def test_a_number_of_values_that_no_column_has(tmp_path, values):
    path = written(tmp_path / "a.parquet", pl.DataFrame({"y": [1], "x": [1]}))
    damaged(path, b",\x15", values)
    with pytest.raises(DataError, match=f"a page of y with {values:,} values"):
        read_parquet(path)
    if values < 0:  # one byte, so that nothing has moved
        check_pages(path, ["x"])  # what is not read is not looked at


def test_bytes_that_are_no_header(tmp_path):
    path = written(tmp_path / "a.parquet", pl.DataFrame({"x": [1, 2, 3]}))
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 20 + content[24:])
    with pytest.raises(DataError, match="a page of x with a damaged header"):
        read_parquet(path)
