"""Tables written some rows at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from proband.core.files.tables import Table, join_parquet

_SHARDS = "shards"


class Shards:
    """Tables written some rows at a time, joined at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shards = folder, folder / _SHARDS
        self.shards.mkdir()
        self.parts: dict[str, list[Path]] = {}

    def add(self, name: str, table: Table, frame: pl.DataFrame) -> None:
        """Write some rows of a table."""
        own = self.parts.setdefault(name, [])
        own.append(self.shards / f"{name}.{len(own):06d}.parquet")
        table.write(frame, own[-1])

    def finish(self) -> dict[str, int]:
        """Join the rows of each table; returns their numbers."""
        found = {
            f"num_{name}": join_parquet(own, self.folder / f"{name}.parquet")
            for name, own in self.parts.items()
        }
        shutil.rmtree(self.shards)
        return found
