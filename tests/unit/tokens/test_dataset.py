from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.schema import SCORES
from proband.tokens.dataset import load_genome
from small_world import HandStore, Record

STORE = HandStore([Record([2], [5]), Record([3, 4], [1, 2], split="held_out"), Record([], [])])


def write_scores(folder: Path, **columns: list) -> Path:
    folder.mkdir(exist_ok=True)
    schema = {name: pl.Int64 if name == "subject_id" else pl.Float32 for name in columns}
    SCORES.write(pl.DataFrame(columns, schema=schema), folder / "scores.parquet")
    return folder


def test_records_and_splits() -> None:
    tokens, minutes = STORE.record(1)
    assert (tokens.tolist(), minutes.tolist()) == ([1, 3, 4], [0, 1, 2])
    assert STORE.rows_of("train").tolist() == [0, 2]
    assert len(STORE) == 3
    with pytest.raises(DataError, match=r"no subject in this split.*held_out, train.*expected tuning"):
        STORE.rows_of("tuning")


def test_scores_come_in_the_order_of_the_records(tmp_path: Path) -> None:
    genome = write_scores(
        tmp_path / "g", subject_id=[102, 7, 100], PGS1=[1.0, 2.0, 3.0], PGS2=[0.0, 9.0, None]
    )
    table = load_genome(genome, STORE)
    assert table.names == ("PGS1", "PGS2")
    assert table.observed.tolist() == [True, False, True]
    assert np.array_equal(table.values, np.float32([[3, np.nan], [np.nan, np.nan], [1, 0]]), equal_nan=True)
    only = load_genome(genome, STORE, ("PGS2",))
    assert only.names == ("PGS2",)
    assert only.values[2].tolist() == [0.0]


def test_genotypes_of_other_people_are_refused(tmp_path: Path) -> None:
    genome = write_scores(tmp_path / "g", subject_id=[-1, -2], PGS1=[1.0, 2.0])
    with pytest.raises(DataError, match=r"no subject in common.*\[-1, -2\].*\[100, 101, 102\].*--samples"):
        load_genome(genome, STORE)


def test_missing_scores_are_named(tmp_path: Path) -> None:
    genome = write_scores(tmp_path / "g", subject_id=[100], PGS1=[1.0])
    with pytest.raises(DataError, match=r"trained on are missing.*1 absent, first PGS9"):
        load_genome(genome, STORE, ("PGS1", "PGS9"))
