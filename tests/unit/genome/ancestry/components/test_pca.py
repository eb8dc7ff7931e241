import numpy as np
import pytest

from proband.genome.ancestry.components import panel as panel_module
from proband.genome.ancestry.components.panel import Panel, frequencies, standardise
from proband.genome.ancestry.components.pca import components, corrected, fit_loadings, project
from structured_genotypes import ArrayReader, draw_calls, population_frequencies, with_missing

NUM_POPULATIONS = 4


def panel_of(calls):
    return Panel(ArrayReader(calls), np.arange(len(calls), dtype=np.uint32), np.zeros(len(calls), bool),
                 np.arange(calls.shape[1]), 64)  # fmt: skip


def world(num_variants, num_people, fst, seed=0, missing=0.01):
    """Calls of people of four populations and each person's population; every variant varies."""
    rng = np.random.default_rng(seed)
    population = rng.integers(0, NUM_POPULATIONS, num_people)
    calls = draw_calls(rng, population_frequencies(rng, num_variants, NUM_POPULATIONS, fst), population)
    calls = with_missing(rng, calls, missing)
    called = np.where(calls < 0, 0, calls).sum(axis=1)
    return calls[(called > 2) & (called < 2 * num_people - num_people // 5)], population


@pytest.fixture(scope="module")
def fitted():
    """A panel of 150 people, its dense standardised matrix, and the loadings of 12 vectors."""
    calls, _ = world(3000, 150, 0.05)
    panel = panel_of(calls)
    frequency, _ = frequencies(panel)
    dense = standardise(calls.astype(np.float32), frequency).astype(float)
    return panel, frequency, dense, fit_loadings(panel, frequency, 12, 8, 0)


def test_equal_to_a_dense_decomposition(fitted):
    panel, _frequency, dense, loadings = fitted
    left, sizes, right = np.linalg.svd(dense, full_matrices=False)
    np.testing.assert_allclose(loadings.singular[:3], sizes[:3], rtol=1e-6)
    np.testing.assert_allclose(loadings.singular, sizes[:12], rtol=2e-3)
    same = np.abs((left[:, :3] * loadings.vectors[:, :3]).sum(axis=0))
    np.testing.assert_allclose(same, 1, atol=1e-6)
    np.testing.assert_allclose(loadings.vectors.T @ loadings.vectors, np.eye(12), atol=1e-5)
    pcs = components(project(panel, loadings), 3)
    np.testing.assert_allclose(np.abs(pcs), np.abs(right[:3].T * sizes[:3]) / np.sqrt(len(dense)), atol=1e-5)


def test_more_passes_than_people_are_exact(fitted):
    panel, frequency, _, _ = fitted
    few = panel.of_people(np.arange(40))
    frequency, _ = frequencies(few)
    varies = np.flatnonzero((frequency > 0) & (frequency < 1))
    few, frequency = few.of_variants(varies), frequency[varies]
    dense = np.concatenate([standardise(dosages, frequency[block]) for block, dosages in few.blocks("")])
    sizes = np.linalg.svd(dense.astype(float), compute_uv=False)
    np.testing.assert_allclose(fit_loadings(few, frequency, 20, 8, 0).singular, sizes[:20], rtol=1e-5)


def test_no_more_vectors_than_the_data_have():
    calls, _ = world(500, 6, 0.1, missing=0)
    frequency, _ = frequencies(panel_of(calls))
    varies = np.flatnonzero((frequency > 0) & (frequency < 1))
    loadings = fit_loadings(panel_of(calls).of_variants(varies), frequency[varies], 20, 8, 0)
    assert len(loadings.singular) == 5  # one direction less than people: rows are centred


def test_same_seed_same_numbers_and_signs_do_not_hang_on_the_seed(fitted):
    panel, frequency, _, loadings = fitted
    again, other = (fit_loadings(panel, frequency, 12, 8, seed) for seed in (0, 1))
    assert np.array_equal(again.vectors, loadings.vectors)
    assert not np.array_equal(other.vectors, loadings.vectors)
    np.testing.assert_allclose(other.vectors[:, :3], loadings.vectors[:, :3], atol=1e-5)


def test_blocks_change_nothing_but_rounding(fitted, monkeypatch):
    panel, frequency, _, loadings = fitted
    monkeypatch.setattr(panel_module, "_MOST_ROWS", 17)
    blocked = fit_loadings(panel, frequency, 12, 8, 0)
    np.testing.assert_allclose(blocked.vectors[:, :3], loadings.vectors[:, :3], atol=1e-5)


def test_variants_that_cannot_be_read_do_not_shrink_a_projection(fitted):
    """Simple projection by a third of the variants would keep a third of the length."""
    panel, _, _, loadings = fitted
    rows = np.arange(0, len(panel.variants), 3)
    whole = components(project(panel, loadings), 3)
    part = components(project(panel.of_variants(rows), loadings.of_variants(rows)), 3)
    slope = (part * whole).sum(axis=0) / (whole**2).sum(axis=0)
    np.testing.assert_allclose(slope, 1, atol=0.1)
    assert (np.diag(np.corrcoef(part.T, whole.T)[:3, 3:]) > 0.97).all()


def centre_distances(pcs, population):
    centres = np.array([pcs[population == number].mean(axis=0) for number in range(NUM_POPULATIONS)])
    return np.linalg.norm(centres[:, None] - centres, axis=2)[np.triu_indices(NUM_POPULATIONS, 1)]


def test_projections_are_freed_of_shrinkage():
    """200 fitted people and 20,000 variants of weak structure: plain projections lie a third too near."""
    calls, population = world(20_000, 500, 0.02, seed=3)
    panel, fit = panel_of(calls), np.arange(200)
    frequency, _ = frequencies(panel.of_people(fit))
    varies = np.flatnonzero((frequency > 0) & (frequency < 1))
    panel, frequency = panel.of_variants(varies), frequency[varies]
    loadings = fit_loadings(panel.of_people(fit), frequency, 20, 8, 0)
    own = components(project(panel.of_people(fit), loadings), 3)
    others = project(panel.of_people(np.arange(200, 500)), loadings)
    target = centre_distances(own, population[fit])
    plain = centre_distances(components(others, 3), population[200:])
    freed = centre_distances(corrected(others, loadings, 3), population[200:])
    assert (plain / target < 0.8).all()
    np.testing.assert_allclose(freed / target, 1, atol=0.05)


def test_correction_leaves_strong_structure_alone():
    calls, _population = world(2000, 600, 0.15, seed=4)
    panel, fit = panel_of(calls), np.arange(400)
    frequency, _ = frequencies(panel.of_people(fit))
    varies = np.flatnonzero((frequency > 0) & (frequency < 1))
    panel, frequency = panel.of_variants(varies), frequency[varies]
    loadings = fit_loadings(panel.of_people(fit), frequency, 10, 8, 0)
    others = project(panel.of_people(np.arange(400, 600)), loadings)
    np.testing.assert_allclose(corrected(others, loadings, 3), components(others, 3), atol=0.03)
    assert components(others, 3).std(axis=0).min() > 0.2


def test_nobody_to_correct(fitted):
    panel, _, _, loadings = fitted
    projection = project(panel, loadings).of_people(np.zeros(150, bool))
    assert corrected(projection, loadings, 3).shape == (0, 3)
