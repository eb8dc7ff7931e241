"""Rows of an expression as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa

_BATCH_ROWS = 100_000


def spilled(table: ibis.Table, path: Path) -> ibis.Table:
    """The rows of an expression, on DuckDB from a file that they are written to first, else as they are.

    DuckDB sorts the rows of a file in bounded memory, with the rest on disk, but those of a union of joins
    only in memory: 120 bytes a row (2.0.0).

    Args:
        table: The expression, in no order.
        path: The file, which is replaced.
    """
    backend = table.get_backend()
    if backend.name != "duckdb":
        return table
    path.unlink(missing_ok=True)
    backend.con.sql(backend.compile(table)).write_parquet(str(path), compression="lz4")
    return backend.read_parquet(path)


def stream(table: ibis.Table) -> Iterator[pa.RecordBatch]:
    """Run an expression; its rows come in batches, and no more than one is held.

    One stream at a time: the next query of the same connection ends it.
    """
    backend = table.get_backend()
    if backend.name == "duckdb":
        result = backend.con.sql(backend.compile(table))
        # Ibis 12 itself calls a method that DuckDB 2 no longer has.
        read = getattr(result, "to_arrow_reader", None) or result.fetch_arrow_reader
        yield from read(_BATCH_ROWS)
        return
    with table.to_pyarrow_batches(chunk_size=_BATCH_ROWS) as reader:
        yield from reader
