"""From alleles to liabilities: additive effects, shared between traits, plus environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int8
from threadpoolctl import threadpool_limits

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.relatives.pedigree import Pedigree, subjects_of
from proband.synth.traits import TRAIT_NAMES, TRAITS, Biomarker, Disease

CHROMOSOMES = range(1, 23)
ALPHA = -0.38
"""Effect variance goes with (2p(1-p))^alpha; Schoech 2019, doi:10.1038/s41467-019-08424-6."""
NULL_CHROMOSOMES = (20, 21, 22)
"""Chromosomes without a causal variant of any trait; null scores live there. Rounded choice of ours."""
_LEAST_SD = 1e-12


def chromosome_folder(work: Path, chrom: int) -> Path:
    """Where the work files of one chromosome lie."""
    return work / f"chr{chrom}"


def split_evenly(total: int, parts: int) -> list[int]:
    """``total`` in whole parts that differ by at most one.

    >>> split_evenly(10, 4)
    [2, 3, 2, 3]
    """
    return np.diff(np.linspace(0, total, parts + 1).astype(int)).tolist()


def draw_causal(config: SynthConfig, chrom: int, num_variants: int) -> Float[np.ndarray, "variants traits"]:
    """Standard normal effects at each trait's causal variants of one chromosome, 0 elsewhere.

    A trait's own part has ``config.causal_variants`` causal variants over the chromosomes that may have any,
    typed or not.
    """
    drawn = np.zeros((num_variants, len(TRAITS)))
    if chrom in NULL_CHROMOSOMES:
        return drawn
    able = [number for number in CHROMOSOMES if number not in NULL_CHROMOSOMES]
    wanted = min(split_evenly(config.causal_variants, len(able))[able.index(chrom)], num_variants)
    for index, trait in enumerate(TRAITS):
        random = generator(config.seed, "synth", "effects", trait.name, chrom)
        rows = random.choice(num_variants, wanted, replace=False)
        drawn[rows, index] = random.standard_normal(wanted)
    return drawn


def scale_by_frequency(
    drawn: Float[np.ndarray, "variants traits"], panels: Sequence[Int8[np.ndarray, "variants _people"]]
) -> Float[np.ndarray, "variants traits"]:
    """Effects per allele whose variance follows heterozygosity, averaged over panels of several populations.

    One population's alone would give variants that it lacks, common elsewhere, the largest effects.
    """
    frequencies = [panel.mean(axis=1) / 2 for panel in panels]
    heterozygosity = np.mean([2 * share * (1 - share) for share in frequencies], axis=0)
    # A variant in no panel counts as seen once, so that its effect stays finite.
    least = 1 / sum(panel.shape[1] for panel in panels)
    return drawn * np.maximum(heterozygosity, least)[:, None] ** (ALPHA / 2)


@dataclass(frozen=True)
class Genetics:
    """Everyone's genetic values and what they are made of.

    Attributes:
        values: Genetic values, variance 1 in the European panel, mean 0 within each population.
        effects: Chromosome to effects per ALT allele on the genetic values.
    """

    values: Float[np.ndarray, "subjects traits"]
    effects: dict[int, Float[np.ndarray, "variants traits"]]


def combine(config: SynthConfig, pedigree: Pedigree, work: Path) -> Genetics:
    """Add up the chromosomes' raw contributions, scale them and share them between traits.

    Values are centred within each population because neutral drift would otherwise give whole populations
    higher or lower true risk; a score's mean still differs between populations, as in real data, without any
    difference in mean genetic value behind it. Their spread differs, with the variants that a population has,
    and with it the mean of the exponential that multiplies hazards.
    """
    subjects, panel = (
        sum(np.load(chromosome_folder(work, chrom) / name).astype(np.float64) for chrom in CHROMOSOMES)
        for name in ("own_subjects.npy", "own_panel.npy")
    )
    mixing = sharing() / np.maximum(panel.std(axis=0), _LEAST_SD)[:, None]
    with threadpool_limits(1):  # last bits may depend on the number of threads
        mixing /= np.maximum((panel @ mixing).std(axis=0), _LEAST_SD)
        values = subjects @ mixing
    population = subjects_of(pedigree).population
    for name in np.unique(population):
        values[population == name] -= values[population == name].mean(axis=0)
    effects = {
        chrom: np.load(chromosome_folder(work, chrom) / "own_effects.npy") @ mixing for chrom in CHROMOSOMES
    }
    return Genetics(values, effects)


def causal_table(work: Path, genetics: Genetics) -> pl.DataFrame:
    """Every causal variant: trait, chrom, pos, ref, alt, rsid, genotyped, effect (per ALT allele, in standard
    deviations of the genetic value)."""
    tables = []
    for chrom, effects in genetics.effects.items():
        variants = pl.read_parquet(chromosome_folder(work, chrom) / "variants.parquet")
        trait, row = np.nonzero(effects.T)
        names = pl.Series("trait", np.array(TRAIT_NAMES)[trait], dtype=pl.String)
        described = variants[row].select("chrom", "pos", "ref", "alt", "rsid", "genotyped")
        tables.append(described.with_columns(names, effect=effects[row, trait]))
    return pl.concat(tables).select("trait", pl.exclude("trait"))


def sharing() -> Float[np.ndarray, "traits traits"]:
    """What each trait (column) takes of every own part (row) to have the declared genetic correlations."""
    mixing = np.eye(len(TRAITS))
    for index, trait in enumerate(TRAITS):
        parents = [TRAIT_NAMES.index(name) for name in trait.shared]
        mixing[index, index] = np.sqrt(1 - _explained(trait))
        mixing[:index, index] = mixing[:index, parents] @ loadings_of(trait)
    return mixing


def loadings_of(trait: Biomarker | Disease) -> np.ndarray:
    """Regression of a trait's genetic value on those it shares genes with."""
    known = genetic_correlation(TRAITS[: TRAIT_NAMES.index(trait.name)])
    parents = [TRAIT_NAMES.index(name) for name in trait.shared]
    return np.linalg.solve(known[np.ix_(parents, parents)], np.array(list(trait.shared.values())))


def _explained(trait: Biomarker | Disease) -> float:
    return float(loadings_of(trait) @ np.array(list(trait.shared.values())))


def genetic_correlation(traits: Sequence[Biomarker | Disease]) -> Float[np.ndarray, "traits traits"]:
    """Genetic correlations implied by the table, for the first traits of it."""
    matrix = np.eye(len(traits))
    for index, trait in enumerate(traits):
        parents = [TRAIT_NAMES.index(name) for name in trait.shared]
        given = np.array(list(trait.shared.values()))
        loadings = np.linalg.solve(matrix[np.ix_(parents, parents)], given)
        matrix[index, :index] = loadings @ matrix[parents, :index]
        matrix[:index, index] = matrix[index, :index]
    return matrix


def liabilities(
    genetic: Float[np.ndarray, "subjects traits"], unobserved: Float[np.ndarray, "subjects traits"]
) -> Float[np.ndarray, "subjects traits"]:
    """sqrt(h2) x genetic value + sqrt(1 - h2) x the unobserved part, in standard deviations of Europeans.

    Of a biomarker this is only its stable part (variance ``stable``); the rest drifts in life. A disease's
    liability is what its virtual GWAS measures; its hazard knows the two parts apart.
    """
    heritability = np.array([trait.heritability for trait in TRAITS])
    stable = np.array([trait.stable if isinstance(trait, Biomarker) else 1.0 for trait in TRAITS])
    return np.sqrt(heritability) * genetic + np.sqrt(stable - heritability) * unobserved
