from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from proband.core.seeds import generator
from proband.synth.genomes.polygenic.linkage import Linkage
from proband.synth.genomes.polygenic.methods import (
    LEAST_VARIANTS,
    clump,
    finish,
    ridge,
    spike_and_slab,
    z_bound,
)
from proband.synth.genomes.polygenic.plans import Plan

PLAN = Plan("SYN000001", 0, 0, "EUR", 10_000, "ridge", 0)


def test_clumping_keeps_the_strongest_and_drops_its_neighbours() -> None:
    linkage = np.eye(5)
    linkage[0, 1] = linkage[1, 0] = 0.5
    linkage[2, 3] = linkage[3, 2] = 0.4
    linkage[3, 4] = linkage[4, 3] = 0.3
    estimates = np.array([0.3, -0.4, 0.2, 0.25, 0.05])
    np.testing.assert_array_equal(clump(linkage, estimates, 0.01), [0, -0.4, 0.0, 0.25, 0.05])
    np.testing.assert_array_equal(clump(linkage, estimates, 0.1), [0, -0.4, 0.0, 0.25, 0.0])
    assert not clump(linkage, estimates, 1.0).any()


def test_ridge_solves_its_equations() -> None:
    correlation = (0.8 ** np.abs(np.subtract.outer(np.arange(7), np.arange(7)))).astype(np.float32)
    estimates = generator(1).standard_normal((3, 7)).astype(np.float32)
    penalties = np.array([0.1, 1.0, 5.0])
    found = ridge(Linkage.of(correlation), estimates, penalties)
    for row, penalty in enumerate(penalties):
        expected = np.linalg.solve(correlation + penalty * np.eye(7), estimates[row])
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


def test_thresholds_are_p_values() -> None:
    assert z_bound(0.05) == pytest.approx(1.959964, abs=1e-6)
    plan = replace(PLAN, method="threshold_1e-4")
    stored = np.zeros(100)
    z = z_bound(1e-4)
    stored[:20] = (z + 0.1) / 100
    stored[20:40] = -(z - 0.1) / 100
    assert np.flatnonzero(finish(stored, plan, 1000)).tolist() == list(range(20))


def test_a_score_that_finds_nothing_takes_the_best_few() -> None:
    stored = generator(2).standard_normal(200) * 1e-4
    for method in ("threshold_5e-8", "spike_and_slab"):
        found = finish(stored, replace(PLAN, method=method), 100_000)
        assert np.count_nonzero(found) == LEAST_VARIANTS
        assert set(np.flatnonzero(found)) == set(np.argsort(-np.abs(stored))[:LEAST_VARIANTS])


def test_ridge_weights_stay_as_they_are() -> None:
    stored = generator(3).standard_normal(50)
    np.testing.assert_array_equal(finish(stored, PLAN, 1000), stored)


def test_spike_and_slab_is_the_posterior_mean() -> None:
    """Against the posterior by numerical integration over the effect."""
    size, heritability, variants = 5000, 0.4, 2000
    slab, noise, share = heritability / (0.01 * variants), 1 / size, 0.01
    grid = np.linspace(-1.5, 1.5, 200_001)
    step = grid[1] - grid[0]
    prior = share * np.exp(-(grid**2) / (2 * slab)) / np.sqrt(2 * np.pi * slab)
    values = np.array([0.0, 0.03, 0.06, -0.2])
    weights, inclusion = spike_and_slab(values, size, heritability, variants)
    for value, weight, included in zip(values, weights, inclusion, strict=True):
        likelihood = np.exp(-((value - grid) ** 2) / (2 * noise))
        at_zero = (1 - share) * np.exp(-(value**2) / (2 * noise))
        slab_mass = (prior * likelihood).sum() * step
        assert included == pytest.approx(slab_mass / (slab_mass + at_zero), rel=1e-4)
        mean = (grid * prior * likelihood).sum() * step / (slab_mass + at_zero)
        assert weight == pytest.approx(mean, rel=1e-4, abs=1e-12)
