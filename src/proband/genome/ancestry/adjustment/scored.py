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
from jaxtyping import Float32, Int64, UInt32

from proband.core.errors import DataError
from proband.core.running.progress import say
from proband.genome.genotypes.alleles import (
    ABSENT_ALLELES,
    NO_ALLELE,
    allele_codes,
    is_nucleotides,
    row_sites,
)
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.sites import Sites
from proband.genome.genotypes.strands import complement
from proband.genome.matching.collect import Collected, collect
from proband.genome.matching.match import MATCHED, match_rows
from proband.genome.matching.weights import ADDITIVE, RECESSIVE, Weights
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


@dataclass(frozen=True)
class Bounded:
    """A data set with scored variants only.

    Attributes:
        source: The data set; ``variants`` are those that are scored.
        means: Mean ALT dosage of each row of the data set, NaN of rows that are not scored.
        absent: Scored variants that it does not have.
    """

    source: Genotypes
    means: Float32[np.ndarray, " variants"]
    absent: pl.DataFrame


def bounded(source: Genotypes, scored: pl.DataFrame, *, keep_ambiguous: bool) -> Bounded:
    """The scored variants of a data set, whichever strand and order of alleles it has.

    Of a site where nobody varied when the adjustment was fitted (ALT ``.``), the one allele is looked for.
    """
    ref, alt = allele_codes(scored["ref"]), allele_codes(scored["alt"])
    was_constant = scored["alt"].is_in(ABSENT_ALLELES).to_numpy()
    effect = np.where(was_constant, ref, alt)
    other = np.where(was_constant, NO_ALLELE, ref)
    place, nothing = row_sites(scored["chrom"], scored["pos"]), np.zeros((3, scored.height))
    sites = Sites.of(source.variants)
    rows = Rows(place, effect, other, nothing, is_nucleotides(ref))
    matched = match_rows(rows, sites, keep_ambiguous=keep_ambiguous)
    is_here = (matched.reasons == MATCHED) & ~sites.is_repeated[matched.variants]
    used = np.flatnonzero(is_here)
    index = sites.index[matched.variants[used]]
    mean = scored["mean"].to_numpy()[used]
    means = np.full(source.num_variants, np.nan, np.float32)
    means[index] = np.where(matched.is_reversed[used] != was_constant[used], 2 - mean, mean)
    kept = source.variants.filter(pl.col("index").is_in(pl.Series(index, dtype=pl.UInt32).implode()))
    return Bounded(dataclasses.replace(source, variants=kept), means, scored.filter(~is_here))


def score_bounded(
    source: Genotypes,
    scored: pl.DataFrame,
    subject_ids: pl.Series,
    path: Path,
    how: Scoring,
    memory_mb: int,
) -> list[str]:
    """Score a data set over the scored variants; returns the names of the scores of which enough is here.

    A missing call counts the variant's mean, and so does for everybody a variant that the data set lacks.

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
    here = bounded(source, scored, keep_ambiguous=how.keep_ambiguous)
    if here.absent.height == scored.height:
        remedy = "check that the genome builds agree"
        raise DataError(
            "none of the variants behind the adjusted scores", where=source.files[0], remedy=remedy
        )
    if here.absent.height:
        say(
            f"genome: {here.absent.height} of {scored.height} variants behind the adjusted scores are not "
            "here and count their means"
        )
    collected = collect_as(how, _with_absent(here))
    weights, num_absent = _at_means(collected.weights, here)
    enough = _enough(collected, num_absent, how.min_match_rate, source)
    names = [collected.kept[score] for score in enough]
    write_scores(
        here.source, weights.of_scores(enough), names, subject_ids, path,
        memory_mb=memory_mb, workers=how.workers, means=here.means,
    )  # fmt: skip
    return names


def _with_absent(here: Bounded) -> Genotypes:
    """The data set with the absent variants behind its own rows, so that scoring files match them, too."""
    own, number = here.source.variants, here.source.num_variants
    index = pl.Series("index", np.arange(number, number + here.absent.height), dtype=pl.UInt32)
    is_ambiguous = (pl.col("ref") == complement("alt")).fill_null(False)
    flags = {"is_multiallelic": pl.lit(False), "is_ambiguous": is_ambiguous}
    absent = here.absent.with_columns(index, **flags)
    if "id" in own.columns:
        absent = absent.with_columns(id=pl.lit(None, pl.String))
    both = pl.concat([own, absent.select(own.columns)], how="vertical_relaxed")
    return dataclasses.replace(here.source, variants=both)


def _at_means(weights: Weights, here: Bounded) -> tuple[Weights, Int64[np.ndarray, " scores"]]:
    """Weights of the variants that are here, the others as constants at their means; and how many rows of
    each score these are."""
    number = here.source.num_variants
    is_absent = weights.variants >= number
    rows = weights.slopes[np.flatnonzero(is_absent)]
    mean = here.absent["mean"].to_numpy()[weights.variants[is_absent] - number].astype(np.float64)
    bases = weights.bases[is_absent]
    counts_as = np.where(bases == ADDITIVE, mean, mean / 2)  # of a missing call, dom = rec = f
    constants = weights.constants + rows.T @ counts_as
    once = rows[np.flatnonzero(bases != RECESSIVE)]  # a row that is not additive has two bases
    num_absent = np.bincount(once.indices, minlength=len(constants))
    kept = np.flatnonzero(~is_absent)
    own = Weights(weights.variants[kept], weights.bases[kept], weights.slopes[kept], constants)
    return own, num_absent


def _enough(
    collected: Collected, num_absent: Int64[np.ndarray, " scores"], least: float, source: Genotypes
) -> Int64[np.ndarray, " enough"]:
    """Scores of which enough rows are matched to variants that are here."""
    kept = collected.match.filter("kept")
    here = kept["num_matched"].to_numpy() - num_absent
    enough = np.flatnonzero((here > 0) & (here >= least * kept["num_rows"].to_numpy()))
    left_out = len(kept) - len(enough)
    if not len(enough):
        raise DataError(
            "too few of the variants behind the adjusted scores",
            where=source.files[0],
            expected=f"{least:.0%} of the rows of a score",
            remedy="check that the genome builds agree, or impute",
        )
    if left_out:
        first = kept["pgs_id"][int(np.flatnonzero(~np.isin(np.arange(len(kept)), enough))[0])]
        say(
            f"genome: {left_out} scores are not adjusted, since less than {least:.0%} of their rows are here "
            f"(first: {first})"
        )
    return enough


def collect_as(how: Scoring, source: Genotypes) -> Collected:
    """Scoring files matched to a data set as the raw scores were."""
    return collect(
        source, list(how.scorefiles), min_match_rate=how.min_match_rate, keep_ambiguous=how.keep_ambiguous
    )
