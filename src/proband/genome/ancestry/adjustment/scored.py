"""The variants behind adjusted scores, and what a missing call of each counts.

A raw score fills a missing call with the frequency in the file at hand, as plink2 does, so it moves a little
with who else is in the file. A score to be adjusted must not: it is summed over the variants of the people by
whom the adjustment was fitted, and a missing call counts their mean.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float32, UInt32

from proband.core.errors import DataError
from proband.core.running.progress import say
from proband.genome.genotypes.alleles import allele_codes, is_nucleotides, row_sites
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.sites import Sites
from proband.genome.matching.collect import Collected, collect
from proband.genome.matching.match import MATCHED, match_rows
from proband.genome.scorefiles.rows import Rows
from proband.genome.scoring.score import mean_dosages_of, write_scores


@dataclass(frozen=True)
class Scoring:
    """How raw scores were made, by which panel and samples are scored over the same variants.

    Attributes:
        scorefiles: Scoring files; none where scores were given.
        variants: Rows of the genotypes that the raw scores use; None where scores were given.
        min_match_rate: Least share of a score's rows matched.
        keep_ambiguous: Whether A/T and C/G variants count.
        workers: Threads.
    """

    scorefiles: tuple[Path, ...] = ()
    variants: UInt32[np.ndarray, " rows"] | None = None
    min_match_rate: float = 0.75
    keep_ambiguous: bool = False
    workers: int = 1


def scored_variants(
    source: Genotypes, variants: UInt32[np.ndarray, " rows"], *, memory_mb: int, workers: int
) -> pl.DataFrame:
    """``chrom, pos, ref, alt`` and ``mean`` (ALT dosage, 0 to 2) of the variants that scores use.

    Args:
        source: The data set scored.
        variants: Its rows, in any order and perhaps repeated.
        memory_mb: Memory in MiB.
        workers: Threads.
    """
    rows = np.unique(variants).astype(np.uint32)
    means = mean_dosages_of(source, rows, memory_mb=memory_mb, workers=workers)
    table = source.variants.unique("index", keep="first").select("index", "chrom", "pos", "ref", "alt")
    found = pl.DataFrame({"index": rows, "mean": means})
    return found.join(table, on="index", how="left", maintain_order="left").select(
        "chrom", "pos", "ref", "alt", "mean"
    )


def bounded(
    source: Genotypes, scored: pl.DataFrame, *, keep_ambiguous: bool
) -> tuple[Genotypes, Float32[np.ndarray, " variants"]]:
    """The data set with the scored variants only, and their mean dosages by its rows, NaN elsewhere."""
    alt, ref = allele_codes(scored["alt"]), allele_codes(scored["ref"])
    place, nothing = row_sites(scored["chrom"], scored["pos"]), np.zeros((3, scored.height))
    sites = Sites.of(source.variants)
    rows = Rows(place, alt, ref, nothing, is_nucleotides(ref))
    matched = match_rows(rows, sites, keep_ambiguous=keep_ambiguous)
    used = np.flatnonzero((matched.reasons == MATCHED) & ~sites.is_repeated[matched.variants])
    index = sites.index[matched.variants[used]]
    mean = scored["mean"].to_numpy()[used]
    means = np.full(source.num_variants, np.nan, np.float32)
    means[index] = np.where(matched.is_reversed[used], 2 - mean, mean)
    kept = source.variants.filter(pl.col("index").is_in(pl.Series(index, dtype=pl.UInt32).implode()))
    return dataclasses.replace(source, variants=kept), means


def score_bounded(
    source: Genotypes,
    scored: pl.DataFrame,
    subject_ids: pl.Series,
    path: Path,
    how: Scoring,
    memory_mb: int,
) -> list[str]:
    """Score a data set over the scored variants, missing calls at their means; returns the scores' names.

    Args:
        source: The data set.
        scored: The variants, of :func:`scored_variants`.
        subject_ids: Subject of each sample.
        path: The Parquet file to write.
        how: How the raw scores were made.
        memory_mb: Memory in MiB.

    Raises:
        DataError: The data set has none of the variants, or no score matches well enough.
    """
    own, means = bounded(source, scored, keep_ambiguous=how.keep_ambiguous)
    num_found = int(np.isfinite(means).sum())
    if not num_found:
        remedy = "check that the genome builds agree"
        raise DataError(
            "none of the variants behind the adjusted scores", where=source.files[0], remedy=remedy
        )
    if num_found < scored.height:
        absent = scored.height - num_found
        say(f"genome: {absent} of {scored.height} variants behind the adjusted scores are not here")
    collected = collect_as(how, own)
    write_scores(
        own, collected.weights, collected.kept, subject_ids, path,
        memory_mb=memory_mb, workers=how.workers, means=means,
    )  # fmt: skip
    return collected.kept


def collect_as(how: Scoring, source: Genotypes) -> Collected:
    """Scoring files matched to a data set as the raw scores were."""
    return collect(
        source, list(how.scorefiles), min_match_rate=how.min_match_rate, keep_ambiguous=how.keep_ambiguous
    )
