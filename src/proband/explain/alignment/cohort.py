"""Genotyped subjects of the Cox models, with principal components and labels of ancestry."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float64, Int

from proband.core.schema import ANCESTRY
from proband.evaluate.inputs import read_components
from proband.explain.inputs import Asked
from proband.tokens.modalities.modality import GENOME

ANCESTRY_FILE = "ancestry.parquet"


class Cohort(NamedTuple):
    """Subjects of the Cox models.

    Attributes:
        rows: Rows of the store.
        components: Standardised principal components; no columns where the genome folder has none.
        ancestry: Most similar population; None where not known.
    """

    rows: Int[np.ndarray, " subjects"]
    components: Float64[np.ndarray, "subjects components"]
    ancestry: list[str | None]


def read_cohort(asked: Asked, genome: Path, with_all_splits: bool) -> Cohort:
    """Genotyped subjects of the train split, or of all splits."""
    chosen = asked.tables[GENOME].observed
    if not with_all_splits:
        chosen = chosen & (asked.store.subjects["split"] == "train").to_numpy()
    rows = np.flatnonzero(chosen)
    subjects = pl.DataFrame({"subject_id": asked.store.subject_ids[rows]})
    return Cohort(rows, _components(genome, subjects), _ancestry(genome, subjects))


def _components(genome: Path, subjects: pl.DataFrame) -> Float64[np.ndarray, "subjects components"]:
    frame = read_components(genome)
    if frame is None:
        return np.zeros((subjects.height, 0))
    joined = subjects.join(frame, on="subject_id", how="left", maintain_order="left").drop("subject_id")
    values = joined.fill_null(np.nan).to_numpy().astype(np.float64)
    known = np.isfinite(values)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, values - mean, 0.0)
    return centred / np.maximum(centred.std(axis=0), 1e-12)


def _ancestry(genome: Path, subjects: pl.DataFrame) -> list[str | None]:
    path = genome / ANCESTRY_FILE
    if not path.is_file():
        return [None] * subjects.height
    labels = ANCESTRY.read(path).select("subject_id", "most_similar_population")
    joined = subjects.join(labels, on="subject_id", how="left", maintain_order="left")
    return joined["most_similar_population"].to_list()
