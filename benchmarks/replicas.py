"""Larger inputs from smaller ones: the same rows again under new subject ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from proband.core.files.manifest import read_manifest
from proband.core.files.provenance import stage_output
from proband.core.schema import SCORES, SUBJECTS
from proband.tokens.dataset import TokenStore

SHIFT = 10**9
"""Distance of the ids of two copies."""
_IDS = ("person_id", "visit_occurrence_id", "preceding_visit_occurrence_id")


def replicate_omop(source: Path, out: Path, copies: int) -> int:
    """Parquet tables of OMOP with every person so many times; returns the rows of tables with persons."""
    out.mkdir(parents=True)
    total = 0
    for path in sorted(source.glob("*.parquet")):
        frame = pl.read_parquet(path)
        times = copies if "person_id" in frame.columns else 1
        total += frame.height * times * ("person_id" in frame.columns)
        ids = [name for name in {*_IDS, f"{path.stem}_id"} if name in frame.columns and times > 1]
        with pq.ParquetWriter(out / path.name, frame.to_arrow().schema, compression="zstd") as writer:
            for copy in range(times):
                writer.write_table(frame.with_columns(pl.col(ids) + copy * SHIFT).to_arrow())
    return total


def replicate_tokens(source: Path, out: Path, people: int, split: str) -> int:
    """A tokens folder of ``people`` subjects, those of a split again and again; returns their tokens."""
    store = TokenStore(source)
    rows = np.resize(store.rows_of(split), people)
    copies = np.arange(people) // len(store.rows_of(split))
    lengths = np.diff(store.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    at = np.repeat(store.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    with stage_output(out, stage="tokens", config={}) as run:
        np.save(run.folder / "tokens.npy", store.tokens[at])
        np.save(run.folder / "minutes.npy", store.minutes[at])
        np.save(run.folder / "offsets.npy", offsets)
        np.save(run.folder / "statics.npy", store.statics[rows])
        subjects = store.subjects[rows].with_columns(
            pl.col("subject_id") + pl.Series(copies * SHIFT), row=pl.int_range(people)
        )
        SUBJECTS.write(subjects, run.folder / "subjects.parquet")
        (run.folder / "vocabulary.json").write_bytes((source / "vocabulary.json").read_bytes())
        run.notes.update(read_manifest(source)["notes"])
    return int(offsets[-1])


def replicate_scores(source: Path, out: Path, copies: int) -> None:
    """A genome folder with the scores of every subject so many times."""
    scores = SCORES.read(source / "scores.parquet")
    with stage_output(out, stage="genome", config={}) as run:
        frames = [scores.with_columns(pl.col("subject_id") + copy * SHIFT) for copy in range(copies)]
        SCORES.write(pl.concat(frames), run.folder / "scores.parquet")
        (run.folder / "scores.json").write_bytes((source / "scores.json").read_bytes())
        run.notes.update(read_manifest(source)["notes"])
