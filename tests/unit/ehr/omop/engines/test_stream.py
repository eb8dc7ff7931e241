from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import ibis
import polars as pl
import pytest

from proband.core.errors import ConfigError
from proband.ehr.omop import sources
from proband.ehr.omop.engines.stream import spilled, stream


def shuffled(connection: Any, folder: Path, rows: int) -> ibis.Table:
    """Rows whose order has to be made."""
    ids = pl.int_range(rows, eager=True).shuffle(0)
    frame = pl.DataFrame({"id": ids, "code": "code number " + ids.cast(pl.String)})
    frame.write_parquet(folder / "shuffled.parquet")
    return connection.read_parquet(folder / "shuffled.parquet")


def test_what_is_sorted_comes_from_a_file_in_the_same_rows(tmp_path: Path) -> None:
    connection = sources._connect(None, tmp_path, 1)
    rows = shuffled(connection, tmp_path, 1000)
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"left by a run that was killed")
    held = spilled(rows, path)
    assert path.read_bytes()[:4] == b"PAR1"
    found = [pair for batch in stream(held.order_by("id")) for pair in batch.to_pylist()]
    assert found == [{"id": i, "code": f"code number {i}"} for i in range(1000)]


def test_memory_has_a_limit_and_a_sort_beyond_it_goes_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_MEMORY_MIB", 32)
    monkeypatch.setattr(sources, "_MEMORY_MIB_OF_THREAD", 1)
    connection = sources._connect(None, tmp_path, 1)
    held = spilled(shuffled(connection, tmp_path, 500_000), tmp_path / "rows.parquet")
    last, number = -1, 0
    for batch in stream(held.order_by("id")):
        ids = batch["id"].to_numpy()
        assert last <= ids[0]
        assert (ids[1:] >= ids[:-1]).all()
        last, number = ids[-1], number + len(ids)
    assert number == 500_000
    assert (tmp_path / "spill").exists()


def test_memory_and_disk_that_are_full_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_MEMORY_MIB", 24)
    monkeypatch.setattr(sources, "_MEMORY_MIB_OF_THREAD", 1)
    connection = sources._connect(None, tmp_path, 1)
    connection.raw_sql("set max_temp_directory_size = '1MB'")
    with pytest.raises(duckdb.OutOfMemoryException) as error:
        list(stream(shuffled(connection, tmp_path, 500_000).order_by("id")))
    told = sources.unreadable(error.value, "omop")
    assert isinstance(told, ConfigError)
    assert re.fullmatch(
        "memory and the disk .* full; in omop; found .*; remedy: free space on the disk.*", str(told)
    )
