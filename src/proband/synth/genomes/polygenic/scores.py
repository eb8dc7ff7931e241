"""Polygenic scores as the field publishes them: PGS Catalog files, harmonised to GRCh38."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.running.progress import track
from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.polygenic.liability import CHROMOSOMES, Genetics, chromosome_folder
from proband.synth.genomes.polygenic.linkage import find_components
from proband.synth.genomes.polygenic.methods import finish
from proband.synth.genomes.polygenic.plans import DISCOVERIES, Plan, plan_scores, score_table
from proband.synth.genomes.polygenic.weights import weigh_chromosome

_FLIPPED, _FAILED = 0.01, 0.003
"""Shares of rows on the other strand, and without harmonised position. Rounded choices of ours."""
_LETTERS = ("A", "C", "G", "T")
"""In this order a letter's complement is 3 minus its place."""
_GZIP_LEVEL = 1
"""Fast; digits compress little better at higher levels."""


def make_scores(config: SynthConfig, work: Path, genetics: Genetics, out: Path) -> pl.DataFrame:
    """Make every score in this process; returns :func:`~proband.synth.genomes.polygenic.plans.score_table`.

    A stage with several processes calls the steps itself: ``find_components``, ``weigh_chromosome`` for each
    chromosome, then :func:`write_scorefiles` for ranges of scores.
    """
    find_components(config, work)
    for chrom in track(CHROMOSOMES, "Virtual GWAS", len(CHROMOSOMES)):
        weigh_chromosome(config, work, genetics, chrom)
    write_scorefiles(config, work, out, 0, config.scores)
    return score_table(config)


def write_scorefiles(config: SynthConfig, work: Path, out: Path, first: int, last: int) -> None:
    """Write the files of scores ``first`` to ``last`` - 1 into ``out``/scorefiles, byte for byte the same."""
    folder = out / "scorefiles"
    folder.mkdir(parents=True, exist_ok=True)
    listed = _Listed.read(work)
    stored = [np.load(chromosome_folder(work, chrom) / "weights.npy", mmap_mode="r") for chrom in CHROMOSOMES]
    for number, plan in enumerate(plan_scores(config)[first:last], start=first):
        weights = finish(np.concatenate([part[number] for part in stored]), plan, config.variants)
        rows = listed.rows(weights, plan, config)
        content = _header(plan, rows.height).encode() + rows.write_csv(separator="\t").encode()
        # Neither name nor time goes into the gzip header: the same seed gives the same bytes.
        packed = gzip.compress(content, compresslevel=_GZIP_LEVEL, mtime=0)
        (folder / f"{plan.pgs_id}_hmPOS_GRCh38.txt.gz").write_bytes(packed)


@dataclass(frozen=True)
class _Listed:
    """The variants that discovery samples were typed at, of all chromosomes.

    Attributes:
        variants: rsid, chrom and pos.
        ref: Place of the letter in ``_LETTERS``.
        alt: The same of the other allele.
        sd: Standard deviation of the genotype in each discovery sample (discoveries, variants).
    """

    variants: pl.DataFrame
    ref: np.ndarray
    alt: np.ndarray
    sd: np.ndarray

    @classmethod
    def read(cls, work: Path) -> _Listed:
        folders = [chromosome_folder(work, chrom) for chrom in CHROMOSOMES]
        variants = pl.concat([pl.read_parquet(folder / "variants.parquet") for folder in folders])
        variants = variants.filter("in_discovery")
        ref, alt = (
            variants[name].replace_strict(dict(zip(_LETTERS, range(4), strict=True))).to_numpy()
            for name in ("ref", "alt")
        )
        sd = np.concatenate([np.load(folder / "sd.npy") for folder in folders], axis=1)
        return cls(variants.select("rsid", "chrom", "pos"), ref, alt, sd)

    def rows(self, weights: np.ndarray, plan: Plan, config: SynthConfig) -> pl.DataFrame:
        """A scoring file's columns; ``weights`` are per standard deviation and become per allele."""
        per_allele = (weights / self.sd[list(DISCOVERIES).index(plan.discovery)]).round(8)
        kept = np.flatnonzero(per_allele)
        random = generator(config.seed, "synth", "score", plan.pgs_id)
        # Files name either allele as the effect allele; the sign of the weight follows.
        swapped, flipped, failed = (random.random(len(kept)) < share for share in (0.5, _FLIPPED, _FAILED))
        ref, alt = self.ref[kept], self.alt[kept]
        effect, other = np.where(swapped, ref, alt), np.where(swapped, alt, ref)
        variants = self.variants[kept]
        located = pl.when(~pl.Series(failed))
        return pl.select(
            rsID=variants["rsid"],
            chr_name=variants["chrom"],
            chr_position=variants["pos"],
            effect_allele=_letters(np.where(flipped, 3 - effect, effect)),
            other_allele=_letters(np.where(flipped, 3 - other, other)),
            effect_weight=pl.Series(np.where(swapped, -per_allele[kept], per_allele[kept])),
            hm_source=pl.repeat("SYNTH", len(kept)),
            hm_rsID=variants["rsid"],
            hm_chr=located.then(variants["chrom"]),
            hm_pos=located.then(variants["pos"]),
            hm_inferOtherAllele=pl.repeat(None, len(kept), dtype=pl.String),
        )


def _letters(places: np.ndarray) -> pl.Series:
    return pl.Series(_LETTERS, dtype=pl.Enum(_LETTERS)).gather(places)


def _header(plan: Plan, num_rows: int) -> str:
    return (
        "###PGS CATALOG SCORING FILE - synthetic, made by proband synth\n"
        "#format_version=2.0\n##POLYGENIC SCORE (PGS) INFORMATION\n"
        f"#pgs_id={plan.pgs_id}\n#pgs_name={plan.name}\n#trait_reported={plan.label}\n"
        f"#trait_mapped={plan.label}\n#trait_efo=NR\n#genome_build=GRCh38\n#variants_number={num_rows}\n"
        "#weight_type=beta\n##SOURCE INFORMATION\n#pgp_id=NR\n#citation=Simulated; no publication\n"
        "##HARMONIZATION DETAILS\n#HmPOS_build=GRCh38\n#HmPOS_date=NR\n"
        '#HmPOS_match_chr={"True": null, "False": null}\n#HmPOS_match_pos={"True": null, "False": null}\n'
    )
