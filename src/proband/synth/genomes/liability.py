"""From alleles to liabilities: additive effects, shared between traits, plus environment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int8

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.genotypes import Genome
from proband.synth.traits import TRAIT_NAMES, TRAITS, Biomarker, Disease

ALPHA = -0.38
"""Effect variance goes with (2p(1-p))^alpha; Schoech 2019, doi:10.1038/s41467-019-08424-6."""

NULL_CHROMOSOMES = (20, 21, 22)
"""Chromosomes without a causal variant of any trait; null scores live there. Rounded choice of ours."""


def draw_effects(genome: Genome, config: SynthConfig) -> Float[np.ndarray, "variants traits"]:
    """Effects per ALT allele on each trait's genetic value, which has variance 1 in the European panel.

    A trait's own part has ``config.causal_variants`` causal variants, typed or not, none of them on
    :data:`NULL_CHROMOSOMES`; to it come the effects of the traits it shares genes with, by its genetic
    correlation with them.
    """
    panel = genome.panels["EUR"].astype(np.float32)
    frequency = panel.mean(axis=1) / 2
    spread = np.maximum(2 * frequency * (1 - frequency), 1 / panel.shape[1])
    candidates = np.flatnonzero(~genome.variants["chrom"].is_in(NULL_CHROMOSOMES).to_numpy())
    effects = np.zeros((len(spread), len(TRAITS)))
    for index, trait in enumerate(TRAITS):
        random = generator(config.seed, "synth", "effects", trait.name)
        causal = random.choice(candidates, min(config.causal_variants, len(candidates)), replace=False)
        own = np.zeros(len(spread))
        own[causal] = random.standard_normal(len(causal)) * spread[causal] ** (ALPHA / 2)
        parents = [TRAIT_NAMES.index(name) for name in trait.shared]
        loadings = loadings_of(trait)
        mixed = effects[:, parents] @ loadings + own / _sd(panel, own) * np.sqrt(1 - _explained(trait))
        effects[:, index] = mixed / _sd(panel, mixed)
    return effects


def _sd(panel: np.ndarray, effects: np.ndarray) -> float:
    return max(float(np.std(effects.astype(np.float32) @ panel)), 1e-12)


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


def liability_correlation() -> Float[np.ndarray, "traits traits"]:
    """Correlations between liabilities: genetic ones times the roots of both heritabilities."""
    root = np.sqrt([trait.heritability for trait in TRAITS])
    matrix = genetic_correlation(TRAITS) * np.outer(root, root)
    np.fill_diagonal(matrix, 1)
    return matrix


def genetic_values(
    dosages: Int8[np.ndarray, "variants subjects"],
    effects: Float[np.ndarray, "variants traits"],
    population: np.ndarray,
) -> Float[np.ndarray, "subjects traits"]:
    """Genetic values, centred within each population.

    Centred, because neutral drift would otherwise give whole populations higher or lower true risk; a score's
    mean still differs between populations, as in real data, without any difference in risk behind it.
    """
    causal = np.flatnonzero(np.any(effects != 0, axis=1))
    values = dosages[causal].T.astype(np.float32) @ effects[causal].astype(np.float32)
    values = values.astype(np.float64)
    for name in np.unique(population):
        values[population == name] -= values[population == name].mean(axis=0)
    return values


def draw_liabilities(
    genetic: Float[np.ndarray, "subjects traits"], random: np.random.Generator
) -> Float[np.ndarray, "subjects traits"]:
    """sqrt(h2) x genetic value + sqrt(1 - h2) x environment, in standard deviations of Europeans.

    For a biomarker only its stable part is drawn here (variance ``stable``); the rest drifts in life.
    """
    heritability = np.array([trait.heritability for trait in TRAITS])
    stable = np.array([trait.stable if isinstance(trait, Biomarker) else 1.0 for trait in TRAITS])
    environment = random.standard_normal(genetic.shape)
    return np.sqrt(heritability) * genetic + np.sqrt(stable - heritability) * environment
