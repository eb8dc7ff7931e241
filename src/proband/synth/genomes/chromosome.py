"""One chromosome of everyone: a coalescent for the founders, gene dropping for the born, files for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int8
from threadpoolctl import threadpool_limits

from proband.core.errors import ConfigError
from proband.core.seeds import generator
from proband.synth.config import FIRST_SUBJECT_ID, POPULATIONS, SynthConfig
from proband.synth.genomes.coalescent import RECOMBINATION_RATE, common_sites, demography, simulate_piece
from proband.synth.genomes.plink import MISSING, PgenOutput, write_pvar
from proband.synth.genomes.polygenic.liability import (
    CHROMOSOMES,
    chromosome_folder,
    draw_causal,
    scale_by_frequency,
    split_evenly,
)
from proband.synth.genomes.relatives.inheritance import Meioses, dosages, draw_meioses, transmit
from proband.synth.genomes.relatives.pedigree import Pedigree, subjects_of
from proband.synth.genomes.sampling import DISCOVERY, Sampling, sampling, typed_subjects

_CHROMOSOME_MEGABASES = (
    *(248, 242, 198, 190, 181, 170, 159, 145, 138, 133, 135),
    *(133, 114, 107, 101, 90, 83, 80, 58, 64, 46, 50),
)
"""Lengths in GRCh38; a piece lies a third into its own, clear of most telomeres and centromeres."""
_BASES = np.array(list("ACGT"))
_COMPLEMENT = np.array([3, 2, 1, 0])
_AMBIGUOUS_SHARE = 0.05
"""Share of A/T and C/G variants; real arrays avoid them. Rounded choice of ours, as are the next two."""
_HIDDEN_LISTED = 0.2
"""Share of untyped variants that the discovery samples were typed at."""
_HAPMAP_SHARE = 0.2
"""Share of typed variants in the subset that stands for HapMap 3."""
_RUN_BYTES = 2**26
"""Size of the haplotypes held at a time."""


def simulate_chromosome(config: SynthConfig, pedigree: Pedigree, chrom: int, work: Path, out: Path) -> None:
    """Simulate one chromosome and write all that is kept of it.

    Args:
        config: Settings.
        pedigree: Of :func:`~proband.synth.genomes.relatives.pedigree.draw_pedigree`.
        chrom: 1 to 22.
        work: Gets ``chr{chrom}/``: variants.parquet, discovery.pgen (every variant, the panels of
            :data:`~proband.synth.genomes.sampling.DISCOVERY`), own_effects.npy (variants, traits), and the
            sums own_subjects.npy and own_panel.npy (people, traits) of the subjects and the European panel.
        out: Gets genotypes/biobank_chr{chrom} and reference/reference_chr{chrom} as .pgen, .pvar, .psam, of
            typed variants only.

    Raises:
        ConfigError: msprime is missing, or the piece has fewer common variants than asked for.
    """
    folder = chromosome_folder(work, chrom)
    for path in (folder, out / "genotypes", out / "reference"):
        path.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1):
        places = sampling(config, pedigree)
        tree = _common_variants(config, pedigree, places, chrom)
        variants = _describe(config, chrom, tree.tables.sites.position)
        variants.write_parquet(folder / "variants.parquet", compression="zstd")
        for stem in (_biobank, _reference):
            write_pvar(stem(out, chrom, "pvar"), variants.filter("genotyped"))
        random = generator(config.seed, "synth", "meioses", chrom)
        meioses = draw_meioses(pedigree, places.person, tree.sequence_length, RECOMBINATION_RATE, random)
        typed = typed_subjects(config)
        _write_samples(config, pedigree, places, chrom, typed, out)
        written = _Pass(config, pedigree, places, chrom, variants, typed)
        written.write(_runs(tree, places, meioses), folder, out)


def _common_variants(config: SynthConfig, pedigree: Pedigree, places: Sampling, chrom: int) -> Any:
    """The piece with as many of its common variants as are wanted, drawn at random."""
    random = generator(config.seed, "synth", "piece", chrom)
    tree = simulate_piece(places.samples, demography(), config.piece_megabases, random)
    founders = places.person[pedigree.founder]
    common = common_sites(tree, (2 * founders[:, None] + np.arange(2)).ravel())
    wanted = sum(_counts(config, chrom))
    if len(common) < wanted:
        raise ConfigError(
            "too few common variants in a simulated piece",
            found=f"{len(common)} on chromosome {chrom}",
            expected=f"at least {wanted}",
            remedy="raise piece_megabases or lower variants",
        )
    kept = np.zeros(tree.num_sites, dtype=bool)
    kept[random.choice(common, wanted, replace=False)] = True
    return tree.delete_sites(np.flatnonzero(~kept))


def _counts(config: SynthConfig, chrom: int) -> tuple[int, int]:
    """Typed and hidden variants of one chromosome."""
    hidden = round(config.variants * config.hidden_variants)
    typed, untyped = (split_evenly(total, len(CHROMOSOMES)) for total in (config.variants, hidden))
    place = CHROMOSOMES.index(chrom)
    return typed[place], untyped[place]


def _describe(config: SynthConfig, chrom: int, positions: np.ndarray) -> pl.DataFrame:
    """Names and alleles of the variants; the letters are drawn, the simulation has only two states."""
    random = generator(config.seed, "synth", "variants", chrom)
    count = len(positions)
    ref = random.integers(0, 4, count)
    other = random.integers(0, 2, count)
    partners = np.array([[base for base in range(4) if base not in (own, 3 - own)] for own in range(4)])
    ambiguous = random.random(count) < _AMBIGUOUS_SHARE
    alt = np.where(ambiguous, _COMPLEMENT[ref], partners[ref, other])
    typed = np.zeros(count, dtype=bool)
    typed[random.choice(count, _counts(config, chrom)[0], replace=False)] = True
    before = sum(sum(_counts(config, number)) for number in range(CHROMOSOMES.start, chrom))
    start = _CHROMOSOME_MEGABASES[chrom - 1] * 1_000_000 // 3
    return pl.DataFrame(
        {
            "chrom": np.full(count, chrom),
            "pos": positions.astype(np.int64) + start,
            "ref": _BASES[ref],
            "alt": _BASES[alt],
            # Far above any rs number in use, so that none of these is taken for a real variant.
            "rsid": [f"rs9{index:09d}" for index in range(before, before + count)],
            "genotyped": typed,
            "in_discovery": typed | (random.random(count) < _HIDDEN_LISTED),
            "in_hapmap": typed & (random.random(count) < _HAPMAP_SHARE),
        },
        schema_overrides={"chrom": pl.Int32, "pos": pl.Int32},
    )


def _runs(
    tree: Any, places: Sampling, meioses: Meioses
) -> Iterator[tuple[slice, Int8[np.ndarray, "variants haplotypes"]]]:
    """Everyone's haplotypes by runs of variants; each run replaces the one before in memory."""
    positions = tree.tables.sites.position
    most = max(1, min(len(positions), _RUN_BYTES // (2 * places.num_columns)))
    haplotypes = np.zeros((most, 2 * places.num_columns), dtype=np.int8)
    found = tree.variants(copy=False)
    for first in range(0, len(positions), most):
        rows = slice(first, min(first + most, len(positions)))
        run = haplotypes[: rows.stop - first]
        for row in run:
            row[: 2 * places.num_samples] = next(found).genotypes
        transmit(run, meioses, positions[rows])
        yield rows, run


@dataclass
class _Pass:
    """The one pass over a chromosome's variants that feeds every file."""

    config: SynthConfig
    pedigree: Pedigree
    places: Sampling
    chrom: int
    variants: pl.DataFrame
    typed: np.ndarray

    def write(
        self, runs: Iterator[tuple[slice, Int8[np.ndarray, "variants haplotypes"]]], folder: Path, out: Path
    ) -> None:
        genotyped = self.variants["genotyped"].to_numpy()
        counts = len(genotyped), int(genotyped.sum())
        places, subjects = self.places, self.places.person[self.pedigree.people]
        own, sums, panel_sums = self._zeros(len(subjects))
        random = generator(self.config.seed, "synth", "calls", self.chrom)
        with (
            PgenOutput(_biobank(out, self.chrom, "pgen"), len(self.typed), counts[1]) as biobank,
            PgenOutput(_reference(out, self.chrom, "pgen"), len(places.reference), counts[1]) as reference,
            PgenOutput(folder / "discovery.pgen", len(places.discovery), counts[0]) as discovery,
        ):
            for rows, haplotypes in runs:
                panel = dosages(haplotypes, places.discovery)
                discovery.append(panel)
                everyone = dosages(haplotypes, subjects)
                self._add(own, rows, everyone, panel, sums, panel_sums)
                seen = genotyped[rows]
                biobank.append(self._lose_calls(np.take(everyone[seen], self.typed, axis=1), random))
                reference.append(dosages(haplotypes, places.reference)[seen])
        np.save(folder / "own_effects.npy", own)
        np.save(folder / "own_subjects.npy", sums)
        np.save(folder / "own_panel.npy", panel_sums)

    def _zeros(self, num_subjects: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Causal effects before scaling, and the empty sums of subjects and of the European panel."""
        own = draw_causal(self.config, self.chrom, self.variants.height)
        shape = own.shape[1]
        sums = np.zeros((num_subjects, shape), dtype=np.float32)
        return own, sums, np.zeros((self.config.discovery_panel, shape), dtype=np.float32)

    def _add(
        self,
        own: Float[np.ndarray, "all traits"],
        rows: slice,
        everyone: Int8[np.ndarray, "variants subjects"],
        panel: Int8[np.ndarray, "variants panel"],
        sums: np.ndarray,
        panel_sums: np.ndarray,
    ) -> None:
        """Scale the effects of a run of variants and add them up over people, all in place."""
        panels = np.split(panel, len(DISCOVERY), axis=1)
        europeans = panels[DISCOVERY.index("EUR")]
        own[rows] = scale_by_frequency(own[rows], panels)
        causal = np.flatnonzero(np.any(own[rows] != 0, axis=1))
        effects = own[rows][causal].astype(np.float32)
        sums += everyone[causal].T.astype(np.float32) @ effects
        panel_sums += europeans[causal].T.astype(np.float32) @ effects

    def _lose_calls(
        self, calls: Int8[np.ndarray, "variants typed"], random: np.random.Generator
    ) -> Int8[np.ndarray, "variants typed"]:
        count = random.binomial(calls.size, self.config.missing_calls)
        calls.flat[random.integers(0, max(calls.size, 1), count)] = MISSING
        return calls


def _write_samples(
    config: SynthConfig, pedigree: Pedigree, places: Sampling, chrom: int, typed: np.ndarray, out: Path
) -> None:
    sex = np.where(subjects_of(pedigree).male, 1, 2)
    ids = FIRST_SUBJECT_ID + typed
    pl.DataFrame({"#IID": ids, "SEX": sex[typed]}).write_csv(_biobank(out, chrom, "psam"), separator="\t")
    # The reference's people have genomes and no lives; their sex is drawn for the file's sake.
    random = generator(config.seed, "synth", "reference")
    number = np.tile(np.arange(1, config.reference_panel + 1), len(POPULATIONS))
    population = pl.Series("SuperPop", places.reference_population, dtype=pl.String)
    names = [f"{name}{index:05d}" for name, index in zip(population, number, strict=True)]
    table = {"#IID": pl.Series(names, dtype=pl.String), "SEX": random.integers(1, 3, len(names))}
    pl.DataFrame(table | {"SuperPop": population}).write_csv(_reference(out, chrom, "psam"), separator="\t")


def _biobank(out: Path, chrom: int, ending: str) -> Path:
    return out / "genotypes" / f"biobank_chr{chrom}.{ending}"


def _reference(out: Path, chrom: int, ending: str) -> Path:
    return out / "reference" / f"reference_chr{chrom}.{ending}"
