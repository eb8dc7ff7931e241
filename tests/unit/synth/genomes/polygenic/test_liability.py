from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from proband.core.seeds import generator
from proband.synth.genomes.plink import read_calls
from proband.synth.genomes.polygenic.liability import (
    ALPHA,
    CHROMOSOMES,
    NULL_CHROMOSOMES,
    causal_table,
    chromosome_folder,
    combine,
    draw_causal,
    genetic_correlation,
    liabilities,
    scale_by_frequency,
    sharing,
    split_evenly,
)
from proband.synth.genomes.relatives.pedigree import subjects_of
from proband.synth.traits import TRAIT_NAMES, TRAITS
from synthetic_genomes import Genomes


def european_panel(genomes: Genomes) -> np.ndarray:
    """Genetic values of the European panel, from its genotypes and the effects."""
    size = genomes.config.discovery_panel
    return sum(
        read_calls(chromosome_folder(genomes.work, chrom) / "discovery.pgen")[:, :size].T
        @ genomes.genetics.effects[chrom]
        for chrom in CHROMOSOMES
    )  # type: ignore[return-value]


def test_genetic_values_have_variance_one_in_europeans(genomes: Genomes) -> None:
    np.testing.assert_allclose(european_panel(genomes).std(axis=0), 1, rtol=1e-4)


def test_no_population_is_at_higher_true_risk(genomes: Genomes) -> None:
    population = subjects_of(genomes.pedigree).population
    for name in np.unique(population):
        np.testing.assert_allclose(genomes.genetics.values[population == name].mean(axis=0), 0, atol=1e-9)


def test_combining_again_gives_the_same(genomes: Genomes) -> None:
    again = combine(genomes.config, genomes.pedigree, genomes.work)
    np.testing.assert_array_equal(again.values, genomes.genetics.values)


def test_causal_variants_are_off_the_null_chromosomes(genomes: Genomes) -> None:
    table = causal_table(genomes.work, genomes.genetics)
    assert set(table["chrom"]) == set(CHROMOSOMES) - set(NULL_CHROMOSOMES)
    alone = [trait.name for trait in TRAITS if not trait.shared]
    counts = dict(table["trait"].value_counts().iter_rows())
    assert {counts[name] for name in alone} == {genomes.config.causal_variants}
    assert 0 < (~table["genotyped"]).mean() < 0.2
    assert table["effect"].is_finite().all()
    one = table.row(5, named=True)
    variants = genomes.variants(one["chrom"])
    row = variants.with_row_index().filter(pl.col("rsid") == one["rsid"])["index"].item()
    assert one["effect"] == genomes.genetics.effects[one["chrom"]][row, TRAIT_NAMES.index(one["trait"])]


def test_rarer_alleles_have_larger_effects() -> None:
    half = np.array([[1] * 10, [1] * 5 + [0] * 5, [0] * 10], dtype=np.int8)
    absent = np.array([[1] * 10, [0] * 10, [0] * 10], dtype=np.int8)
    scaled = scale_by_frequency(np.ones((3, 1)), [half, absent])[:, 0]
    # Heterozygosity 0.5 in both panels; 3/8 in one; in neither, as if one of the 20 people carried it.
    expected = np.array([0.5, 3 / 16, 1 / 20]) ** (ALPHA / 2)
    np.testing.assert_allclose(scaled, expected)


def test_causal_variants_are_as_many_as_asked_for(genomes: Genomes) -> None:
    config = genomes.config.model_copy(update={"causal_variants": 50})
    drawn = [draw_causal(config, chrom, 40) for chrom in CHROMOSOMES]
    assert (np.sum([np.count_nonzero(part, axis=0) for part in drawn], axis=0) == 50).all()
    assert not drawn[20].any()
    few = draw_causal(config.model_copy(update={"causal_variants": 10_000}), 1, 40)
    assert np.count_nonzero(few) == 40 * len(TRAITS)


def test_parts_add_up() -> None:
    assert split_evenly(7, 3) == [2, 2, 3]
    assert sum(split_evenly(100_000, 22)) == 100_000


def test_declared_genetic_correlations_are_implied() -> None:
    matrix = genetic_correlation(TRAITS)
    assert np.linalg.eigvalsh(matrix).min() > 0
    for trait in TRAITS:
        for other, value in trait.shared.items():
            found = matrix[TRAIT_NAMES.index(trait.name), TRAIT_NAMES.index(other)]
            assert found == pytest.approx(value)


def test_sharing_own_parts_makes_the_genetic_correlations() -> None:
    mixing = sharing()
    np.testing.assert_allclose(mixing.T @ mixing, genetic_correlation(TRAITS), atol=1e-9)


def test_liabilities_have_their_variance_and_heritability() -> None:
    random = generator(5)
    genetic = random.standard_normal((60_000, len(TRAITS)))
    found = liabilities(genetic, random.standard_normal(genetic.shape))
    stable = [getattr(trait, "stable", 1) for trait in TRAITS]
    np.testing.assert_allclose(found.var(axis=0), stable, rtol=0.03)
    share = [np.corrcoef(genetic[:, k], found[:, k])[0, 1] ** 2 for k in range(len(TRAITS))]
    expected = [trait.heritability / part for trait, part in zip(TRAITS, stable, strict=True)]
    np.testing.assert_allclose(share, expected, atol=0.02)
