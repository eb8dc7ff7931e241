from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.schema import SUBJECTS
from proband.tokens.encode.pack import merge_parts, write_part
from proband.tokens.encode.tokenize import TokenRows


def part(subjects: dict[int, list[tuple[int, int]]], statics: list[tuple[int, int]] = []) -> TokenRows:  # noqa: B006
    rows = [(subject, minutes, token) for subject, events in subjects.items() for minutes, token in events]
    columns = {name: dtype for name, dtype in SUBJECTS.columns.items() if name != "split"}
    values = [(subject, None, None, None, 0, 5, False) for subject in subjects]
    frame = pl.DataFrame(values, schema=columns, orient="row").with_columns(
        pl.lit(0).cast(pl.Datetime("us")).alias(name) for name in ("birth_time", "entry_time", "exit_time")
    )
    row_schema = {"subject_id": pl.Int64, "minutes": pl.Int32, "token": pl.Int32}
    static_schema = {"subject_id": pl.Int64, "static": pl.Int32}
    return TokenRows(
        pl.DataFrame(rows, schema=row_schema, orient="row"),
        frame.select(*columns),
        pl.DataFrame(statics, schema=static_schema, orient="row"),
        {},
        unknown_codes={},
        num_known=len(rows),
    )


@pytest.mark.parametrize(("size", "dtype"), [(100, np.uint16), (70_000, np.int32)])
def test_parts_are_joined_in_their_order(tmp_path: Path, size: int, dtype: type) -> None:
    write_part(part({5: [(0, 1), (9, 3)], 6: [(0, 1)]}, [(6, 2)]), "train", tmp_path / "0")
    write_part(part({}), "tuning", tmp_path / "1")
    write_part(part({2: [(0, 1), (4, 7)]}, [(2, 1), (2, 2)]), "held_out", tmp_path / "2")
    assert merge_parts([tmp_path / "0", tmp_path / "1", tmp_path / "2"], tmp_path, size) == 3
    assert np.load(tmp_path / "tokens.npy").tolist() == [1, 3, 1, 1, 7]
    assert np.load(tmp_path / "tokens.npy").dtype == dtype
    assert np.load(tmp_path / "minutes.npy").tolist() == [0, 9, 0, 0, 4]
    assert np.load(tmp_path / "offsets.npy").tolist() == [0, 2, 3, 5]
    assert np.load(tmp_path / "statics.npy").tolist() == [[0, 0], [2, 0], [1, 2]]
    subjects = SUBJECTS.read(tmp_path / "subjects.parquet")
    assert subjects["subject_id"].to_list() == [5, 6, 2]
    assert subjects["split"].to_list() == ["train", "train", "held_out"]
