from __future__ import annotations

import numpy as np
import pytest

from proband.core.seeds import generator
from proband.synth import SynthConfig
from proband.synth.genomes.genotypes import Genome, simulate
from proband.synth.genomes.liability import (
    NULL_CHROMOSOMES,
    draw_effects,
    draw_liabilities,
    genetic_correlation,
    genetic_values,
    liability_correlation,
)
from proband.synth.traits import BIOMARKER_NAMES, TRAIT_NAMES, TRAITS


@pytest.fixture(scope="module")
def genome(small_config: SynthConfig) -> Genome:
    return simulate(small_config)


def test_genetic_values_have_variance_one_in_europeans(genome: Genome, small_config: SynthConfig) -> None:
    effects = draw_effects(genome, small_config)
    panel = genome.panels["EUR"]
    values = genetic_values(panel, effects, np.full(panel.shape[1], "EUR"))
    np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-6)


def test_causal_variants_are_off_the_null_chromosomes(genome: Genome, small_config: SynthConfig) -> None:
    effects = draw_effects(genome, small_config)
    null = genome.variants["chrom"].is_in(NULL_CHROMOSOMES).to_numpy()
    assert (effects[null] == 0).all()
    assert np.count_nonzero(effects[:, TRAIT_NAMES.index("copd")]) == small_config.causal_variants
    hidden = ~genome.variants["genotyped"].to_numpy()
    assert np.count_nonzero(effects[hidden]) > 0


def test_no_population_is_at_higher_true_risk(genome: Genome, small_config: SynthConfig) -> None:
    values = genetic_values(genome.dosages, draw_effects(genome, small_config), genome.population)
    for name in np.unique(genome.population):
        np.testing.assert_allclose(values[genome.population == name].mean(axis=0), 0, atol=1e-5)


def test_declared_genetic_correlations_are_implied() -> None:
    matrix = genetic_correlation(TRAITS)
    assert np.linalg.eigvalsh(matrix).min() > 0
    for trait in TRAITS:
        for other, value in trait.shared.items():
            found = matrix[TRAIT_NAMES.index(trait.name), TRAIT_NAMES.index(other)]
            assert found == pytest.approx(value)
    assert matrix[TRAIT_NAMES.index("copd"), TRAIT_NAMES.index("bmi")] == 0


def test_genetic_correlations_come_through_shared_variants(small_config: SynthConfig, genome: Genome) -> None:
    panel = genome.panels["EUR"]
    effects = draw_effects(genome, small_config)
    values = genetic_values(panel, effects, np.full(panel.shape[1], "EUR"))
    found = np.corrcoef(values.T) - genetic_correlation(TRAITS)
    # 150 samples and 60 causal variants: each correlation is off by about 0.1.
    assert np.sqrt(np.mean(found[np.triu_indices(13, 1)] ** 2)) < 0.2
    assert np.corrcoef(values.T)[TRAIT_NAMES.index("type_2_diabetes"), TRAIT_NAMES.index("hba1c")] > 0.1


def test_liabilities_have_their_variance_and_heritability() -> None:
    random = generator(5)
    genetic = random.standard_normal((60_000, len(TRAITS)))
    liabilities = draw_liabilities(genetic, random)
    stable = [getattr(trait, "stable", 1) for trait in TRAITS]
    np.testing.assert_allclose(liabilities.var(axis=0), stable, rtol=0.03)
    share = [np.corrcoef(genetic[:, k], liabilities[:, k])[0, 1] ** 2 for k in range(len(TRAITS))]
    expected = [trait.heritability / part for trait, part in zip(TRAITS, stable, strict=True)]
    np.testing.assert_allclose(share, expected, atol=0.02)


def test_liability_correlation_is_genetic_times_root_heritabilities() -> None:
    sbp, bmi = BIOMARKER_NAMES.index("sbp"), BIOMARKER_NAMES.index("bmi")
    assert liability_correlation()[sbp, bmi] == pytest.approx(0.2 * np.sqrt(0.2 * 0.25))
    np.testing.assert_array_equal(np.diag(liability_correlation()), 1)
