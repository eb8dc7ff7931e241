from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from proband.synth.config import SynthConfig
from proband.synth.genomes.polygenic.liability import CHROMOSOMES, NULL_CHROMOSOMES, chromosome_folder
from proband.synth.genomes.polygenic.linkage import Linkage
from proband.synth.genomes.polygenic.plans import Plan, plan_scores
from proband.synth.genomes.polygenic.weights import _Block, weigh_chromosome
from proband.synth.traits import TRAITS
from synthetic_genomes import Genomes

PLAN = Plan("SYN000001", 0, 0, "EUR", 10_000, "ridge", 0)


def decay(count: int) -> np.ndarray:
    """LD that falls by distance."""
    return (0.8 ** np.abs(np.subtract.outer(np.arange(count), np.arange(count)))).astype(np.float32)


def test_estimates_have_the_law_of_a_gwas() -> None:
    linkage = Linkage.of(decay(5))
    means = np.zeros((5, len(TRAITS)), dtype=np.float32)
    means[:, 0] = np.array([0.02, 0.0, -0.01, 0.0, 0.03]) / np.sqrt(TRAITS[0].heritability)
    block = _Block(linkage, np.arange(2), means, (1, 0))
    config = SynthConfig()
    plans = [replace(PLAN, cohort=cohort) for cohort in range(4000)]
    found = block._estimates(config, plans)
    # The mean of 4,000 draws has standard error 0.01 / 63.
    np.testing.assert_allclose(found.mean(axis=0), [0.02, 0.0, -0.01, 0.0, 0.03], atol=7e-4)
    np.testing.assert_allclose(np.cov(found.T) * PLAN.size, linkage.correlation, atol=0.1)


def test_scores_of_one_study_share_its_noise() -> None:
    block = _Block(Linkage.of(decay(5)), np.arange(2), np.zeros((5, len(TRAITS)), dtype=np.float32), (1, 0))
    same, other_method, other_cohort = (
        block._estimates(SynthConfig(), [plan])
        for plan in (PLAN, replace(PLAN, method="threshold_1e-2"), replace(PLAN, cohort=1))
    )
    np.testing.assert_array_equal(same, other_method)
    assert not np.allclose(same, other_cohort)


def test_the_hapmap_ridge_weighs_its_subset_alone() -> None:
    block = _Block(
        Linkage.of(decay(8)), np.array([1, 4, 5]), np.zeros((8, len(TRAITS)), dtype=np.float32), (1, 0)
    )
    whole, subset = block.weigh(SynthConfig(), [PLAN, replace(PLAN, method="ridge_hapmap3")])
    assert np.flatnonzero(subset).tolist() == [1, 4, 5]
    assert np.count_nonzero(whole) == 8


def test_null_scores_weigh_the_null_chromosomes_alone(genomes: Genomes, scores: pl.DataFrame) -> None:
    plans = plan_scores(genomes.config)
    null = np.array([plan.is_null for plan in plans])
    assert null.sum() == 6
    for chrom in CHROMOSOMES:
        weights = np.load(chromosome_folder(genomes.work, chrom) / "weights.npy")
        assert np.isfinite(weights).all()
        assert weights[null].any() == (chrom in NULL_CHROMOSOMES)
        assert weights[~null].any()


def test_a_chromosome_weighed_again_is_the_same_bytes(genomes: Genomes, scores: pl.DataFrame) -> None:
    folder = chromosome_folder(genomes.work, 6)
    before = [(folder / name).read_bytes() for name in ("weights.npy", "sd.npy")]
    weigh_chromosome(genomes.config, genomes.work, genomes.genetics, 6)
    assert [(folder / name).read_bytes() for name in ("weights.npy", "sd.npy")] == before
