"""Scores that tell nothing: the same, or no number, for everybody."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from proband.core.running.progress import say


def say_constant(path: Path, names: list[str]) -> None:
    """Count and name the scores of a scores.parquet that are NaN or the same for everybody; they are kept."""
    parts = pq.read_metadata(path)
    columns = {
        parts.row_group(0).column(number).path_in_schema: number for number in range(parts.num_columns)
    }
    ranges = {name: _range(parts, columns[name]) for name in names}
    for what, found in (
        ("NaN", [name for name, ends in ranges.items() if not ends]),
        ("the same", [name for name, ends in ranges.items() if len(ends) == 1]),
    ):
        if found:
            say(f"genome: {len(found)} scores are {what} for everybody, first {found[0]}; they are kept")


def _range(parts: pq.FileMetaData, column: int) -> set[float]:
    """Least and greatest value of a column, NaN passed over, by the file's own statistics."""
    found = [parts.row_group(number).column(column).statistics for number in range(parts.num_row_groups)]
    return {end for item in found if item is not None and item.has_min_max for end in (item.min, item.max)}
