"""Linkage disequilibrium of the discovery samples, in blocks, with the leading components taken out.

A GWAS of mixed ancestry that does not adjust for principal components finds ancestry everywhere. Here the
components are projected out of the panel's genotypes, so that both signal and noise of the virtual GWAS are
those of an adjusted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.linalg
from jaxtyping import Float, Int, Int8
from threadpoolctl import threadpool_limits

from proband.synth.config import SynthConfig
from proband.synth.genomes.plink import read_calls
from proband.synth.genomes.polygenic.liability import CHROMOSOMES, chromosome_folder
from proband.synth.genomes.polygenic.plans import DISCOVERIES
from proband.synth.genomes.sampling import DISCOVERY

BLOCK_BASES = 500_000
"""Length of a block beyond which LD is neglected; rounded choice of ours."""
_COMPONENT_VARIANTS = 200
"""Variants per chromosome, evenly spaced, from which the components are computed."""
_COMPONENT_FREQUENCY = 0.05
COMPONENTS = "components.npz"


@dataclass(frozen=True)
class Panel:
    """Genotypes of one discovery sample on one chromosome, components taken out.

    Attributes:
        genotypes: Standardised, float32; 0 throughout where the panel does not vary.
        sd: Standard deviation of each before standardising; 1 where the panel does not vary.
    """

    genotypes: Float[np.ndarray, "variants people"]
    sd: Float[np.ndarray, " variants"]

    def block(self, rows: Int[np.ndarray, " block"]) -> Linkage:
        """LD among some variants."""
        genotypes = self.genotypes[rows]
        correlation = genotypes @ genotypes.T / np.float32(genotypes.shape[1])
        return Linkage.of(correlation)


@dataclass(frozen=True)
class Linkage:
    """The LD matrix of a block and its eigenvalues (ascending, at least 0) and eigenvectors (columns)."""

    correlation: Float[np.ndarray, "block block"]
    values: Float[np.ndarray, " block"]
    vectors: Float[np.ndarray, "block block"]

    @classmethod
    def of(cls, correlation: Float[np.ndarray, "block block"]) -> Linkage:
        """Decompose once what every score of a panel uses."""
        values, vectors = scipy.linalg.eigh(correlation, driver="evd", check_finite=False)
        return cls(correlation, np.maximum(values, 0), vectors)


def find_components(config: SynthConfig, work: Path) -> None:
    """Compute the leading components of each pooled discovery sample from all chromosomes, into ``work``."""
    sums = {
        name: np.zeros((config.discovery_panel, config.discovery_panel), dtype=np.float32)
        for name, kind in DISCOVERIES.items()
        if kind.components
    }
    # A product's last bits may depend on how many threads share it; one thread keeps the files the same.
    with threadpool_limits(1):
        for chrom in CHROMOSOMES:
            _add_products(config, read_calls(chromosome_folder(work, chrom) / "discovery.pgen"), sums)
        leading: dict[str, Any] = {name: _leading(name, total) for name, total in sums.items()}
        np.savez(work / COMPONENTS, **leading)


def _add_products(config: SynthConfig, calls: np.ndarray, sums: dict[str, np.ndarray]) -> None:
    """Add one chromosome's products between people to each sample's, in place."""
    rows = np.unique(np.linspace(0, len(calls) - 1, _COMPONENT_VARIANTS).astype(int))
    for name, total in sums.items():
        chosen = _of_discovery(calls[rows], name, config)
        share = chosen.mean(axis=1) / 2
        common = np.minimum(share, 1 - share) >= _COMPONENT_FREQUENCY
        genotypes = _standardised(chosen[common].astype(np.float32))[0]
        total += genotypes.T @ genotypes


def _leading(name: str, products: Float[np.ndarray, "people people"]) -> np.ndarray:
    last = len(products) - 1
    wanted = (last + 1 - DISCOVERIES[name].components, last)
    return np.asarray(scipy.linalg.eigh(products, subset_by_index=wanted)[1])


def read_panel(
    config: SynthConfig, work: Path, calls: Int8[np.ndarray, "variants people"], discovery: str
) -> Panel:
    """The panel of one discovery sample.

    Args:
        config: Settings.
        work: Where :func:`find_components` left its file.
        calls: The chromosome's discovery.pgen, whole or some rows of it.
        discovery: Key of :data:`~proband.synth.genomes.polygenic.plans.DISCOVERIES`.
    """
    genotypes = _of_discovery(calls, discovery, config).astype(np.float32)
    genotypes -= genotypes.mean(axis=1, keepdims=True)
    if DISCOVERIES[discovery].components:
        with np.load(work / COMPONENTS) as file:
            components = file[discovery].astype(np.float32)
        genotypes -= (genotypes @ components) @ components.T
    standardised, sd = _standardised(genotypes)
    return Panel(standardised, sd)


def blocks(variants: pl.DataFrame) -> list[Int[np.ndarray, " block"]]:
    """Rows of each LD block of one chromosome's variants, cut at equal distances."""
    position = variants["pos"].to_numpy()
    if not len(position):
        return []
    number = (position - position[0]) // BLOCK_BASES
    return [np.flatnonzero(number == block) for block in np.unique(number)]


def _of_discovery(calls: np.ndarray, discovery: str, config: SynthConfig) -> np.ndarray:
    """Columns of one discovery sample; a mixed one takes the first people of several panels."""
    size = config.discovery_panel
    edges = np.cumsum([0, *DISCOVERIES[discovery].mixture.values()])
    counts = np.diff(np.round(edges * size).astype(int)).tolist()
    starts = [DISCOVERY.index(name) * size for name in DISCOVERIES[discovery].mixture]
    columns = [np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)]
    return np.take(calls, np.concatenate(columns), axis=1)


def _standardised(
    genotypes: Float[np.ndarray, "variants people"],
) -> tuple[Float[np.ndarray, "variants people"], Float[np.ndarray, " variants"]]:
    """Mean 0 and variance 1 by row, and the standard deviations; rows that do not vary stay 0."""
    centred = genotypes - genotypes.mean(axis=1, keepdims=True)
    sd = centred.std(axis=1)
    sd = np.where(sd > 1e-6, sd, 0)
    scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 0)
    return centred * scale[:, None], np.where(sd > 0, sd, 1).astype(np.float64)
