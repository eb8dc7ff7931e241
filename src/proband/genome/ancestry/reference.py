"""A reference panel: its people with known populations, and both data sets scored by what they share.

A score's law in the panel says something about a target only if both are summed over the same variants.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.running.progress import say
from proband.genome.ancestry.adjustment.scored import Scoring, collect_as, score_bounded, scored_variants
from proband.genome.ancestry.components.shared import shared_variants
from proband.genome.ancestry.inputs import read_populations
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.open import open_genotypes
from proband.genome.scoring.score import write_scores

_LEAST_SHARED = 1000
"""Variants in common below which the two are taken not to belong together. Rounded choice of ours."""


@dataclass(frozen=True)
class Reference:
    """A reference panel beside a target.

    Attributes:
        panel: The panel, its variants bounded to those shared.
        target: The target, bounded likewise.
        labels: Population of each of the panel's samples; None where unknown.
    """

    panel: Genotypes
    target: Genotypes
    labels: list[str | None]


def open_reference(
    path: Path, populations: Path | None, column: str | None, target: Genotypes, scratch: Path
) -> Reference:
    """Open a panel and find what it shares with the target.

    Args:
        path: Genotypes of the panel.
        populations: Table of its populations; default its own .psam.
        column: Column of the table.
        target: The data set to compare.
        scratch: Folder for temporary files that outlives the readers.

    Raises:
        DataError: The builds differ, hardly anything is shared, or populations are not usable.
    """
    scratch.mkdir(exist_ok=True)
    panel = open_genotypes(path, scratch)
    if panel.build and target.build and panel.build != target.build:
        remedy = "give a panel of the genotypes' build"
        raise DataError(
            "wrong genome build", where=path, found=panel.build, expected=target.build, remedy=remedy
        )
    both = shared_variants(panel.variants, target.variants)
    say(f"genome: the reference panel shares {both.height} variants with the genotypes")
    if both.height < _LEAST_SHARED:
        raise DataError(
            "hardly a variant shared with the reference panel",
            where=path,
            found=f"{both.height} of {panel.variants.height}",
            expected=f"at least {_LEAST_SHARED}",
            remedy="check that the genome builds agree",
        )
    labels = read_populations(populations or _own_samples(panel), panel.sample_ids, column)
    theirs = target.variants.filter(pl.col("index").is_in(both["their_index"].implode()))
    return Reference(
        dataclasses.replace(panel, variants=both.select(panel.variants.columns)),
        dataclasses.replace(target, variants=theirs),
        labels,
    )


def _own_samples(panel: Genotypes) -> Path:
    own = next((file for file in panel.files if file.suffix == ".psam"), None)
    if own is None:
        raise DataError(
            "no populations of the reference panel",
            where=panel.files[0],
            remedy="name a table of sample names and populations with --reference-populations",
        )
    return own


def score_shared(
    reference: Reference, subject_ids: pl.Series, folder: Path, how: Scoring, memory_mb: int
) -> tuple[Path, Path, list[str], pl.DataFrame]:
    """Score panel and target over the shared variants, missing calls of both at the panel's means.

    Args:
        reference: The two data sets.
        subject_ids: Subjects of the target's samples.
        folder: Where the scores go.
        how: How the raw scores were made.
        memory_mb: Memory while scoring, in MiB.

    Returns:
        Parquet files of the panel's scores (``subject_id`` its row) and the target's, the scores matched well
        enough by the shared variants, and the variants they use, of
        :func:`proband.genome.ancestry.adjustment.scored.scored_variants`.
    """
    folder.mkdir(exist_ok=True)
    panel = reference.panel
    rows = pl.Series("subject_id", np.arange(len(panel.sample_ids)), dtype=pl.Int64)
    collected = collect_as(how, panel)
    theirs, ours = folder / "reference.parquet", folder / "target.parquet"
    write_scores(
        panel, collected.weights, collected.kept, rows, theirs, memory_mb=memory_mb, workers=how.workers
    )
    variants = collected.weights.variants
    scored = scored_variants(panel, variants, memory_mb=memory_mb, workers=how.workers)
    kept = score_bounded(reference.target, scored, subject_ids, ours, how, memory_mb)
    return theirs, ours, [name for name in collected.kept if name in set(kept)], scored
