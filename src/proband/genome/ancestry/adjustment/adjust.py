"""Fit the adjustment of every score, and write adjusted scores, without holding the whole matrix."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from jaxtyping import Float32, Float64, Int64

from proband.core.errors import DataError
from proband.core.files.tables import read_parquet
from proband.core.running.progress import track
from proband.core.schema import SCORES
from proband.genome.ancestry.adjustment.normalise import (
    design,
    fit_mean,
    fit_mean_and_variance,
    population_moments,
)
from proband.genome.ancestry.model import Adjustment

_BATCH_BYTES = 2**26  # scores fitted together; small enough that the steps stay near the processor


@dataclass(frozen=True)
class Fitted:
    """The unrelated people by whom scores are adjusted.

    Attributes:
        scores: Parquet file of their raw scores, among others'.
        rows: Their rows of it.
        pcs: Their standardised components, as many as scores are adjusted for.
        labels: Their populations; None where unknown.
    """

    scores: Path
    rows: Int64[np.ndarray, " people"]
    pcs: Float64[np.ndarray, "people pcs"]
    labels: Sequence[str | None]


def fit_adjustment(people: Fitted, names: list[str]) -> Adjustment:
    """Fit every score's three adjustments on the people given."""
    populations = sorted({label for label in people.labels if label is not None})
    labels = np.array([label or "" for label in people.labels])
    is_of = np.stack([labels == name for name in populations], axis=1) if populations else None
    terms = design(people.pcs)
    step = max(1, _BATCH_BYTES // (8 * max(1, len(people.rows))))
    found: list[list[np.ndarray]] = []
    for first in track(range(0, len(names), step), "Adjusting scores", -(-len(names) // step)):
        batch = names[first : first + step]
        scores = read_parquet(people.scores, batch)[people.rows].to_numpy().astype(np.float64)
        nobody = np.empty((0, len(batch)))
        moments = (nobody, nobody) if is_of is None else population_moments(scores, is_of)
        found.append([*moments, *fit_mean(scores, terms), *fit_mean_and_variance(scores, terms)])
    return Adjustment(
        names, populations, *(np.concatenate(pieces, axis=-1) for pieces in zip(*found, strict=True))
    )


def adjusted(
    kind: str,
    adjustment: Adjustment,
    scores: Float32[np.ndarray, "people scores"],
    pcs: Float64[np.ndarray, "people pcs"],
    population: Sequence[str],
) -> Float32[np.ndarray, "people scores"]:
    """Adjusted scores of one kind.

    Args:
        kind: Name of :data:`proband.genome.ancestry.config.ADJUSTMENTS`.
        adjustment: Coefficients of these scores, in order.
        scores: Raw scores.
        pcs: Standardised components, as many as fitted.
        population: Most similar population of each person; used by ``Z_MostSimilarPop`` alone.
    """
    if kind == "Z_MostSimilarPop":
        number = np.array([adjustment.populations.index(name) for name in population], np.int64)
        centre, spread = adjustment.population_mean[number], adjustment.population_sd[number]
    elif kind == "Z_norm1":
        centre, spread = design(pcs) @ adjustment.mean, adjustment.residual_sd
    else:
        centre = design(pcs) @ adjustment.likelihood_mean
        spread = np.exp(design(pcs) @ adjustment.likelihood_variance / 2)
    return ((scores - centre) / spread).astype(np.float32)


def write_adjusted(
    scores: Path,
    out: Path,
    kinds: Sequence[str],
    adjustment: Adjustment,
    subject_ids: pl.Series,
    pcs: Float64[np.ndarray, "people pcs"],
    population: Sequence[str],
) -> None:
    """Write ``out``/KIND.parquet, wide float32 like the raw scores, one of its row groups at a time.

    Args:
        scores: Raw scores of the people, of :data:`proband.core.schema.SCORES`.
        out: Folder, made here if it is not there.
        kinds: Adjustments to write.
        adjustment: Coefficients; scores of the file that it does not have are left out.
        subject_ids: People who have components.
        pcs: Their standardised components.
        population: Their most similar populations; empty where unknown.

    Raises:
        DataError: Somebody with scores has no components.
    """
    row_of = {subject: row for row, subject in enumerate(subject_ids.to_list())}
    out.mkdir(exist_ok=True)
    source = pq.ParquetFile(scores)
    with contextlib.ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for group in track(range(source.num_row_groups), "Writing adjusted scores", source.num_row_groups):
            raw = pl.DataFrame(source.read_row_group(group, columns=["subject_id", *adjustment.names]))
            rows = _rows(raw["subject_id"], row_of, scores)
            values = raw.select(adjustment.names).to_numpy()
            groups = [population[row] for row in rows] if population else []
            for kind in kinds:
                made = adjusted(kind, adjustment, values, pcs[rows], groups)
                frame = pl.DataFrame([raw["subject_id"], *map(pl.Series, adjustment.names, made.T)])
                table = SCORES.check(frame, out / f"{kind}.parquet").to_arrow()
                if kind not in writers:
                    writer = pq.ParquetWriter(out / f"{kind}.parquet", table.schema, compression="zstd")
                    writers[kind] = stack.enter_context(writer)
                writers[kind].write_table(table)


def _rows(subjects: pl.Series, row_of: dict[int, int], where: Path) -> Int64[np.ndarray, " people"]:
    unknown = [subject for subject in subjects.to_list() if subject not in row_of]
    if unknown:
        found = f"{len(unknown)} subjects without components, first {unknown[0]}"
        remedy = "score and place the same samples"
        raise DataError(
            "scores of people who are not among the samples", where=where, found=found, remedy=remedy
        )
    return np.array([row_of[subject] for subject in subjects.to_list()], np.int64)
