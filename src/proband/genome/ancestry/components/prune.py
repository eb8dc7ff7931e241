"""Variants fit for principal components: common, well called, of clear strand, nearly independent."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int64

from proband.genome.ancestry.components.panel import Panel, means_and_missing
from proband.genome.ancestry.components.regions import outside_long_range_ld
from proband.genome.ancestry.config import AncestryConfig

_AUTOSOMES = [str(number) for number in range(1, 23)]
_BETWEEN_CHROMOSOMES = 10**10  # bases; longer than any window
_BASES_PER_KB = 1000


def candidates(variants: pl.DataFrame, build: str | None) -> pl.DataFrame:
    """Autosomal single-nucleotide variants of two alleles and clear strand, outside long-range LD, in order.

    Args:
        variants: :attr:`Genotypes.variants`.
        build: Genome build, which places the regions of long-range LD; None leaves none out.
    """
    is_letter = pl.col("ref").str.contains("^[ACGT]$") & pl.col("alt").str.contains("^[ACGT]$")
    chosen = variants.filter(
        pl.col("chrom").is_in(_AUTOSOMES) & is_letter & outside_long_range_ld(build),
        ~pl.col("is_multiallelic") & ~pl.col("is_ambiguous"),
    )
    return chosen.sort(pl.col("chrom").cast(pl.Int32), "pos", "index")


def prune(panel: Panel, sites: pl.DataFrame, config: AncestryConfig) -> Int64[np.ndarray, " kept"]:
    """Keep common variants, first come first kept, of which no two in a window correlate beyond the bound.

    The correlation is of dosages, missing calls at the variant's mean.

    Args:
        panel: The candidates, ordered by chromosome and position, of the people to judge by.
        sites: ``chrom, pos`` of the candidates.
        config: Bounds.

    Returns:
        Rows of the panel, ascending.
    """
    place = sites["chrom"].cast(pl.Int64).to_numpy() * _BETWEEN_CHROMOSOMES + sites["pos"].to_numpy()
    reach = config.window_kb * _BASES_PER_KB
    tail = np.empty((0, len(panel.people)), np.float32)
    tail_place = np.empty(0, np.int64)
    kept = []
    for block, dosages in panel.blocks("Pruning variants"):
        common = _common(dosages, config)
        rows, units = block.start + common, _units(dosages[common])
        own = place[rows]
        near = np.abs(own[:, None] - tail_place) <= reach
        free = ~(_beyond(units @ tail.T, config.max_r2) & near).any(axis=1)
        near = np.abs(own[:, None] - own) <= reach
        chosen = _greedy(free, _beyond(units @ units.T, config.max_r2) & near)
        kept.append(rows[chosen])
        tail, tail_place = np.concatenate([tail, units[chosen]]), np.concatenate([tail_place, own[chosen]])
        # Every later variant lies at or after the block's last one.
        reachable = tail_place >= place[block][-1] - reach
        tail, tail_place = tail[reachable], tail_place[reachable]
    return np.concatenate([np.empty(0, np.int64), *kept])


def thin(rows: Int64[np.ndarray, " kept"], most: int) -> Int64[np.ndarray, " fewer"]:
    """At most ``most`` rows, evenly spread.

    >>> thin(np.arange(10), 4).tolist()
    [0, 3, 6, 9]
    """
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _common(
    dosages: Float32[np.ndarray, "block people"], config: AncestryConfig
) -> Int64[np.ndarray, " rows"]:
    means, missing = means_and_missing(dosages)
    minor = np.minimum(means, 2 - means) / 2
    return np.flatnonzero((minor >= config.min_frequency) & (missing <= config.max_missing))


def _units(dosages: Float32[np.ndarray, "rows people"]) -> Float32[np.ndarray, "rows people"]:
    """Centred rows of length 1, whose products are correlations; a row that does not vary is 0."""
    means = means_and_missing(dosages)[0].astype(np.float32)[:, None]
    centred = np.where(dosages < 0, np.float32(0), dosages - means)
    lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))[:, None]
    return np.divide(centred, lengths, out=centred, where=lengths > 0)


def _beyond(
    correlation: Float32[np.ndarray, "rows others"], max_r2: float
) -> Bool[np.ndarray, "rows others"]:
    return np.square(correlation) > max_r2


def _greedy(
    free: Bool[np.ndarray, " rows"], conflict: Bool[np.ndarray, "rows rows"]
) -> Int64[np.ndarray, " kept"]:
    """Rows kept in order: each one kept frees no later row in conflict with it."""
    free = free.copy()
    for row in range(len(free)):
        if free[row]:
            free[row + 1 :] &= ~conflict[row, row + 1 :]
    return np.flatnonzero(free)
