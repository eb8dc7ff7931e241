"""The people by whom ancestry is fitted: the samples' own unrelated, or a reference panel's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from jaxtyping import Bool, Float64, Int64

from proband.core.errors import DataError
from proband.core.files.tables import read_parquet
from proband.core.running.progress import say
from proband.genome.ancestry.adjustment.scored import Scoring, scored_variants
from proband.genome.ancestry.axes import fit_axes, place, without_relatives
from proband.genome.ancestry.config import AncestryConfig, AncestryInputs
from proband.genome.ancestry.inputs import read_populations, train_samples
from proband.genome.ancestry.model import Axes
from proband.genome.ancestry.reference import open_reference, score_shared
from proband.genome.genotypes.dataset import Genotypes

SHARED_SCORES = "shared_scores"
"""Folder of the scores over the variants shared with a panel, while they are needed."""


@dataclass(frozen=True)
class Basis:
    """The people by whom the rest is fitted: unrelated train subjects, or a reference panel's unrelated.

    Attributes:
        axes: What projects genotypes; None where components were given.
        target_pcs: Components of the samples.
        is_fitted: Which of the samples are among the people fitted.
        pcs: Components of the people fitted.
        labels: Their populations; None where unknown.
        scores: File of their raw scores; None where there is none.
        score_rows: Their rows of it.
        target_scores: File of the samples' scores summed over the same variants.
        names: Scores to adjust.
        has_panel: The people fitted are a reference panel's.
        scored: Variants behind the scores and what missing calls count; None where genotypes or scoring files
            are not given.
    """

    axes: Axes | None
    target_pcs: Float64[np.ndarray, "samples pcs"]
    is_fitted: Bool[np.ndarray, " samples"]
    pcs: Float64[np.ndarray, "people pcs"]
    labels: list[str | None]
    scores: Path | None
    score_rows: Int64[np.ndarray, " people"]
    target_scores: Path
    names: list[str]
    has_panel: bool
    scored: pl.DataFrame | None = None


def own_basis(
    source: Genotypes | None,
    samples: pl.DataFrame,
    scores: Path,
    config: AncestryConfig,
    inputs: AncestryInputs,
    given: Float64[np.ndarray, "samples pcs"] | None,
    how: Scoring,
) -> Basis:
    """The unrelated among the samples of the split train, by their own or by given components."""
    may_fit = train_samples(inputs.splits, samples)
    names = samples["sample_id"].to_list()
    axes = None
    if given is not None:
        people, target = np.flatnonzero(may_fit), given
        if inputs.kinship is not None:
            people = without_relatives(names, people, inputs.kinship, config)
        else:
            say("genome: components given without a kinship table, so all people are taken as unrelated")
    else:
        assert source is not None
        fit = fit_axes(source, may_fit, inputs.kinship, config)
        axes, people, target = fit.axes, fit.people, place(source, fit.axes, config)
    labels: list[str | None] = [None] * samples.height
    if inputs.reference_populations is not None:
        labels = read_populations(inputs.reference_populations, names, config.population_column)
    is_fitted = np.zeros(samples.height, bool)
    is_fitted[people] = True
    rows = _score_rows(scores, samples["subject_id"].gather(people))
    scored = None
    if source is not None and how.variants is not None:
        scored = scored_variants(source, how.variants, memory_mb=config.memory_mb, workers=how.workers)
    return Basis(
        axes, target, is_fitted, target[people], [labels[person] for person in people],
        scores, rows, scores, score_names(scores), has_panel=False, scored=scored,
    )  # fmt: skip


def panel_basis(
    source: Genotypes | None,
    samples: pl.DataFrame,
    out: Path,
    config: AncestryConfig,
    inputs: AncestryInputs,
    how: Scoring,
) -> Basis:
    """A panel's unrelated, and the samples placed along its components."""
    assert source is not None
    assert inputs.reference is not None
    work = out / SHARED_SCORES
    work.mkdir(exist_ok=True)
    populations = inputs.reference_populations
    reference = open_reference(inputs.reference, populations, config.population_column, source, work)
    fit = fit_axes(reference.panel, np.ones(len(reference.labels), bool), inputs.kinship, config)
    panel_pcs = place(reference.panel, fit.axes, config)[fit.people]
    # A sample of the target may bear a panel member's name without being them.
    axes = fit.axes.of_nobody()
    scores, target_scores, scored = None, work, None
    names: list[str] = []
    if how.scorefiles:
        scores, target_scores, names, scored = score_shared(
            reference, samples["subject_id"], work, how, config.memory_mb
        )
    return Basis(
        axes, place(reference.target, axes, config), np.zeros(samples.height, bool), panel_pcs,
        [reference.labels[person] for person in fit.people], scores, fit.people, target_scores, names,
        has_panel=True, scored=scored,
    )  # fmt: skip


def score_names(scores: Path) -> list[str]:
    """Names of the scores in a file."""
    return [name for name in pq.read_schema(scores).names if name != "subject_id"]


def _score_rows(scores: Path, subjects: pl.Series) -> Int64[np.ndarray, " people"]:
    """Rows of the subjects in the file of scores."""
    found = read_parquet(scores, ["subject_id"])["subject_id"].to_list()
    row_of = {subject: row for row, subject in enumerate(found)}
    absent = [subject for subject in subjects.to_list() if subject not in row_of]
    if absent:
        what = "subjects without scores"
        raise DataError(
            what, where=scores, found=f"{len(absent)}, first {absent[0]}", remedy="score them first"
        )
    return np.array([row_of[subject] for subject in subjects.to_list()], np.int64)
