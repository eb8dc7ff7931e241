"""Token rows of many shards into one set of memory-mapped arrays.

Layout of a tokens folder (N tokens, S subjects):
tokens.npy (N,) uint16 or int32; minutes.npy (N,) int32; offsets.npy (S + 1,) int64; statics.npy (S, k)
int32; subjects.parquet (S rows, schema.SUBJECTS). The subject of ``row`` s owns tokens offsets[s] to
offsets[s + 1].
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.schema import SUBJECTS
from proband.tokens.encode.tokenize import TokenRows


def write_part(part: TokenRows, split: str, folder: Path) -> None:
    """Write one shard's rows to ``folder`` for :func:`merge_parts`, in place of what a lost worker left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lengths = part.subjects.select("subject_id").join(
        part.rows.group_by("subject_id").len(), on="subject_id", how="left", maintain_order="left"
    )["len"]
    np.save(folder / "tokens.npy", part.rows["token"].to_numpy())
    np.save(folder / "minutes.npy", part.rows["minutes"].to_numpy())
    np.save(folder / "lengths.npy", lengths.to_numpy().astype(np.int64))
    np.save(folder / "statics.npy", _static_matrix(part))
    subjects = part.subjects.with_columns(pl.lit(split).alias("split")).select(*SUBJECTS.columns)
    subjects.write_parquet(folder / "subjects.parquet")


def _static_matrix(part: TokenRows) -> np.ndarray:
    per_subject = part.statics.group_by("subject_id").agg("static")
    lists = part.subjects.select("subject_id").join(
        per_subject, on="subject_id", how="left", maintain_order="left"
    )["static"]
    width = max(1, int(lists.list.len().max() or 1))  # type: ignore[arg-type]
    matrix = np.zeros((part.subjects.height, width), dtype=np.int32)
    for row, values in enumerate(lists.to_list()):
        if values:
            matrix[row, : len(values)] = values
    return matrix


def merge_parts(parts: Sequence[Path], out: Path, vocabulary_size: int) -> int:
    """Concatenate parts, in their order, into the final arrays in ``out``; return the number of subjects."""
    lengths = [np.load(part / "lengths.npy") for part in parts]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([*lengths, np.zeros(0, np.int64)]))]).astype(
        np.int64
    )
    dtype = np.uint16 if vocabulary_size <= np.iinfo(np.uint16).max else np.int32
    _concatenate(parts, "tokens.npy", out, dtype, int(offsets[-1]))
    _concatenate(parts, "minutes.npy", out, np.int32, int(offsets[-1]))
    np.save(out / "offsets.npy", offsets)
    statics = [np.load(part / "statics.npy") for part in parts]
    width = max((matrix.shape[1] for matrix in statics), default=1)
    padded = [np.pad(matrix, ((0, 0), (0, width - matrix.shape[1]))) for matrix in statics]
    np.save(out / "statics.npy", np.concatenate(padded) if padded else np.zeros((0, 1), np.int32))
    subjects = pl.concat([pl.read_parquet(part / "subjects.parquet") for part in parts])
    SUBJECTS.write(subjects.with_columns(pl.int_range(pl.len()).alias("row")), out / "subjects.parquet")
    return subjects.height


def _concatenate(parts: Sequence[Path], name: str, out: Path, dtype: type, total: int) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": (total,),
    }
    with open(out / name, "wb") as file:  # not mapped to memory: a full disk would end the process
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.load(part / name).astype(dtype).data)
