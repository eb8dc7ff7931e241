"""Genotypes with a known law for the tests of ancestry: populations, families, linkage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pgenlib
import polars as pl

from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.formats.plink import open_plink

MISSING = -9
_ALLELES = ("AG", "CT", "TC", "GA", "AC", "GT")


@dataclass
class ArrayReader:
    """Calls in memory, read as a data set's reader reads them."""

    calls: np.ndarray

    def read(self, indices: np.ndarray, start: int, stop: int) -> np.ndarray:
        return self.calls[indices, start:stop].astype(np.float32)


def population_frequencies(
    rng: np.random.Generator, num_variants: int, num_populations: int, fst: float
) -> np.ndarray:
    """Balding-Nichols frequencies, variants by populations."""
    ancestral = rng.uniform(0.1, 0.9, num_variants)[:, None] * (1 - fst) / fst
    return rng.beta(ancestral, (1 - fst) / fst - ancestral, (num_variants, num_populations))


def draw_calls(rng: np.random.Generator, frequencies: np.ndarray, population: np.ndarray) -> np.ndarray:
    """Independent calls of people of the given populations, int8 variants by people."""
    return rng.binomial(2, frequencies[:, population]).astype(np.int8)


def child(rng: np.random.Generator, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Calls of a child by Mendel's law, every variant on its own."""
    return (rng.random(one.shape) < one / 2).astype(np.int8) + (rng.random(one.shape) < other / 2)


def with_missing(rng: np.random.Generator, calls: np.ndarray, share: float) -> np.ndarray:
    return np.where(rng.random(calls.shape) < share, MISSING, calls).astype(np.int8)


def sites(num_variants: int, spacing: int = 100_000, num_chromosomes: int = 22) -> pl.DataFrame:
    """Clear-strand variants in even numbers per chromosome, clear of long-range LD as the build is untold."""
    per = -(-num_variants // num_chromosomes)
    number = np.arange(num_variants)
    alleles = [_ALLELES[row % len(_ALLELES)] for row in number]
    return pl.DataFrame({
        "chrom": (1 + number // per).astype(str), "pos": (1 + number % per) * spacing,
        "ref": [pair[0] for pair in alleles], "alt": [pair[1] for pair in alleles],
    })  # fmt: skip


def write_pgen(
    path: Path, where: pl.DataFrame, calls: np.ndarray, sample_ids: list[str], **columns: list[str]
) -> Genotypes:
    """Write .pgen, .pvar and .psam (with further columns) and open them."""
    with pgenlib.PgenWriter(
        str(path).encode(), calls.shape[1], variant_ct=len(calls), nonref_flags=False
    ) as file:
        for row in calls.astype(np.int8):
            file.append_biallelic(np.ascontiguousarray(row))
    rows = [
        f"{chrom}\t{pos}\t.\t{ref}\t{alt}"
        for chrom, pos, ref, alt in where.select("chrom", "pos", "ref", "alt").rows()
    ]
    path.with_suffix(".pvar").write_text("\n".join(["#CHROM\tPOS\tID\tREF\tALT", *rows]) + "\n")
    people = ["\t".join(cells) for cells in zip(sample_ids, *columns.values(), strict=True)]
    path.with_suffix(".psam").write_text("\n".join(["\t".join(["#IID", *columns]), *people]) + "\n")
    return open_plink(path)
