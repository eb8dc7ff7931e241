"""Why a score matches badly, by what the data show, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64

from proband.core.errors import DataError
from proband.genome.genotypes.alleles import split_sites
from proband.genome.genotypes.builds import CHROMOSOMES
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.sites import Sites
from proband.genome.matching.match import REASONS
from proband.genome.scorefiles.scorefile import odd_position, read_sites

_ROWS_LOOKED_AT = 20_000
"""Rows of a badly matched score read again: enough to tell builds apart. Rounded choice of ours."""
_FAR_MORE = 2.0
"""The other build's positions are found this many times as often. Rounded choice of ours; by chance alone
hardly any are found."""
_MANY = 0.5  # share of a score's lost rows that names a reason the main one

_REMEDIES = {
    "not_scorable": "its haplotypes, interactions or HLA alleles cannot be scored from single variants; "
    "choose another score",
    "no_position": "give the harmonised file of the PGS Catalog, or --match-by id",
    "allele_mismatch": "other alleles stand at its positions: look whether effect_allele and other_allele "
    "hold what they should, and whether the positions are of another genome build",
    "ambiguous": "pass --keep-ambiguous if genotypes and scoring file name the same strand",
    "multiallelic": "split variants into one line per ALT allele (bcftools norm -m-), which are then used",
    "duplicated": "the scoring file names a variant more than once; mend it, or use the harmonised file",
}
_UNKNOWN_ID = "its identifiers are not in the genotypes: match by position with the harmonised file"
_ABSENT = (
    "its variants are not in the genotypes: impute them; sites where nobody varies, absent from "
    "whole-genome VCFs, must be called as homozygous reference"
)


def with_remedies(match: pl.DataFrame, paths: Mapping[str, Path], sites: Sites) -> pl.DataFrame:
    """Fill ``remedy`` of the scores left out.

    Args:
        match: The match report.
        paths: Scoring file of each score; empty where scores are matched by identifier.
        sites: The genotyped variants.
    """
    remedies = [
        "" if row["kept"] else _remedy(row, paths.get(row["pgs_id"]), sites)
        for row in match.iter_rows(named=True)
    ]
    return match.with_columns(remedy=pl.Series(remedies, dtype=pl.String))


def _remedy(row: Mapping[str, Any], path: Path | None, sites: Sites) -> str:
    main = max((name for name in REASONS if name != "matched"), key=lambda name: row[f"num_{name}"])
    if main == "no_position" and path and (odd := odd_position(path, _ROWS_LOOKED_AT)) is not None:
        return f"{odd!r} is no number: write positions as whole numbers without marks between digits"
    if main != "no_variant":
        return _REMEDIES[main]
    if path is None:
        return _UNKNOWN_ID
    rows, *others = read_sites(path, _ROWS_LOOKED_AT)
    rows = rows[rows >= 0]
    is_found = sites.find(rows) >= 0
    num_found = int(is_found.sum())
    num_elsewhere = sum(int((sites.find(other) >= 0).sum()) for other in others)
    if num_elsewhere > _FAR_MORE * num_found:
        return (
            "wrong genome build: the genotypes hold the author's positions of the file "
            f"({num_elsewhere} of {len(rows)} found) rather than the harmonised ones ({num_found}); "
            "use scoring files harmonised to the genotypes' build"
        )
    return _by_chromosome(rows[~is_found], sites) or _ABSENT


def _by_chromosome(lost: Int64[np.ndarray, " rows"], sites: Sites) -> str:
    """The remedy where most rows not found are on chromosomes that the genotypes lack or spell strangely."""
    genotyped = split_sites(sites.sites)[0]
    if (genotyped == 0).mean() > _MANY:
        return (
            "chromosome names of the genotypes are unknown: name them 1 to 22, X, Y, MT, with chr or without"
        )
    wanted = split_sites(lost)[0]
    absent = wanted[~np.isin(wanted, genotyped)]
    if len(absent) <= _MANY * len(lost):
        return ""
    names = ", ".join(CHROMOSOMES[number] for number in np.unique(absent))
    return (
        f"the genotypes hold no chromosome {names}: give all files, as a pattern such as 'chr{{chrom}}.pgen'"
    )


def reasons(counts: Mapping[str, Any]) -> str:
    """Counted reasons in words, the commonest first."""
    ordered = sorted(((counts[f"num_{name}"], words) for name, words in REASONS.items() if name != "matched"))
    return ", ".join(f"{count} {words}" for count, words in reversed(ordered) if count)


def left_out(row: Mapping[str, Any], min_match_rate: float) -> str:
    """One line on a score left out."""
    share = f"{row['match_rate']:.1%}, below {min_match_rate:.0%}"
    matched = f"{row['num_matched']} of {row['num_rows']} rows matched ({share})"
    return f"{row['pgs_id']} left out: {matched}; {reasons(row)}; remedy: {row['remedy']}"


def nothing_left(
    match: pl.DataFrame, metadata: dict[str, dict[str, str | None]], source: Genotypes, min_match_rate: float
) -> DataError:
    """The error of a run without a score, with the commonest reason and what to do about that."""
    sums = match.select(pl.selectors.starts_with("num_").sum()).row(0, named=True)
    builds = sorted({item["genome_build"] or "unknown" for item in metadata.values()})
    remedy = match["remedy"].mode().sort()[0]
    if 2 * sums["num_no_variant"] > sums["num_rows"]:
        known = f"genotypes {source.build or 'unknown'}, scoring files {', '.join(builds)}"
        remedy = f"check that the genome builds agree ({known}); {remedy}"
    what = (
        "no score matches the genotypes well enough" if sums["num_matched"] else "no row of any score matches"
    )
    matched = f"{sums['num_matched']} of {sums['num_rows']} rows of {match.height} scores matched"
    return DataError(
        what,
        where=source.files[0],
        found=f"{matched}; {reasons(sums)}",
        expected=f"at least one score matched to {min_match_rate:.0%}",
        remedy=f"{remedy}; or lower --min-match-rate" if sums["num_matched"] else remedy,
    )
