"""The genomes of a synthetic biobank, made whole in one folder for a test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from proband.synth.config import SynthConfig
from proband.synth.genomes.chromosome import simulate_chromosome
from proband.synth.genomes.plink import read_calls
from proband.synth.genomes.polygenic.liability import CHROMOSOMES, Genetics, chromosome_folder, combine
from proband.synth.genomes.relatives.pedigree import Pedigree, draw_pedigree

COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}


@dataclass(frozen=True)
class Genomes:
    """All 22 chromosomes of a biobank in folders ``work`` and ``out``."""

    config: SynthConfig
    pedigree: Pedigree
    work: Path
    out: Path
    genetics: Genetics

    def variants(self, chrom: int) -> pl.DataFrame:
        return pl.read_parquet(chromosome_folder(self.work, chrom) / "variants.parquet")

    def typed(self) -> pl.DataFrame:
        """The typed variants of all chromosomes."""
        return pl.concat([self.variants(chrom).filter("genotyped") for chrom in CHROMOSOMES])

    def calls(self, stem: str = "genotypes/biobank") -> np.ndarray:
        """Calls of the typed variants of all chromosomes, int8 (variants, samples)."""
        return np.concatenate([read_calls(self.out / f"{stem}_chr{chrom}.pgen") for chrom in CHROMOSOMES])


def make_genomes(config: SynthConfig, folder: Path) -> Genomes:
    work, out = folder / "work", folder / "out"
    pedigree = draw_pedigree(config)
    for chrom in CHROMOSOMES:
        simulate_chromosome(config, pedigree, chrom, work, out)
    return Genomes(config, pedigree, work, out, combine(config, pedigree, work))


def read_scorefile(path: Path) -> tuple[dict[str, str], pl.DataFrame]:
    """Header and rows of a scoring file."""
    import gzip

    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    pairs = [line.lstrip("#").split("=", 1) for line in lines if line.startswith("#") and "=" in line]
    types = {"hm_chr": pl.Int32, "hm_pos": pl.Int32, "effect_weight": pl.Float64}
    return dict(pairs), pl.read_csv(path, separator="\t", comment_prefix="#", schema_overrides=types)


def weights_by_alt(rows: pl.DataFrame, typed: pl.DataFrame) -> np.ndarray:
    """Weight per ALT allele of every typed variant, from a scoring file's rows; flips are resolved."""
    known = rows.join(typed.with_row_index("row"), left_on="rsID", right_on="rsid")
    effect = pl.col("effect_allele")
    is_alt = (effect == pl.col("alt")) | (
        (effect != pl.col("ref")) & (effect.replace_strict(COMPLEMENT) == pl.col("alt"))
    )
    sign = known.select(pl.when(is_alt).then(1).otherwise(-1)).to_series().to_numpy()
    weights = np.zeros(typed.height)
    weights[known["row"].to_numpy()] = sign * known["effect_weight"].to_numpy()
    return weights
