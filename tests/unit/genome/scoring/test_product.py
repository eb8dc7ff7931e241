import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from scipy import sparse

from proband.genome.matching.weights import ADDITIVE, DOMINANT, RECESSIVE
from proband.genome.scoring import product as kernels
from proband.genome.scoring.product import add_product, centred, fills, group_scores, mean_dosages, tiles

MISSING = -9
TWO = np.full((4, 2), 2, np.float32)


@st.composite
def problems(draw):
    """Calls or dosages with missing ones, bases, weights of some density, and what samples weigh."""
    rows, samples, scores = (draw(st.integers(1, most)) for most in (12, 9, 20))
    if draw(st.booleans()):
        calls = draw(arrays(np.int8, (rows, samples), elements=st.sampled_from([0, 1, 2, MISSING])))
    else:
        dosage = st.one_of(st.just(MISSING), st.integers(0, 2**15).map(lambda units: units / 2**14))
        calls = draw(arrays(np.float32, (rows, samples), elements=dosage))
    bases = np.sort(draw(arrays(np.int8, rows, elements=st.sampled_from([ADDITIVE, DOMINANT, RECESSIVE]))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    slopes = rng.normal(size=(rows, scores)) * (rng.random((rows, scores)) < draw(st.floats(0, 1)))
    copies = np.stack([np.full(samples, 2), rng.integers(1, 3, samples)], axis=1).astype(np.float32)
    return calls, bases, slopes.astype(np.float32), copies, rng.random(rows) < 0.5


def reference(calls, bases, slopes, copies, is_x):
    """In float64, from the definitions, a cell at a time."""
    sums = np.zeros((slopes.shape[1], calls.shape[1]))
    for row, basis in enumerate(bases):
        dosages = calls[row].astype(np.float64)
        called, weight = dosages >= 0, copies[:, int(is_x[row])].astype(np.float64)
        mean = (dosages * weight)[called].sum() / weight[called].sum() if called.any() else 1.0
        value = [lambda d: d, lambda d: np.minimum(d, 1), lambda d: np.maximum(d - 1, 0)][basis](dosages)
        sums += np.outer(slopes[row], np.where(called, value, mean if basis == ADDITIVE else mean / 2))
    return sums


def product(calls, bases, slopes, copies, is_x):
    means = mean_dosages(calls, copies, is_x)
    fill = fills(means, bases)
    total = np.zeros((slopes.shape[1], calls.shape[1]), np.float32)
    for tile in tiles(calls.shape[1]):
        add_product(
            total[:, tile], group_scores(sparse.csr_array(slopes)), centred(calls[:, tile], fill, bases)
        )
    return total + (slopes.T.astype(np.float64) @ fill)[:, None]


@settings(max_examples=150)
@given(problem=problems(), tile=st.sampled_from([1, 4, 256]), share=st.sampled_from([-1.0, 0.15, 2.0]))
def test_equal_to_the_definitions_in_float64(problem, tile, share):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "TILE_SAMPLES", tile)
        patch.setattr(kernels, "_DENSE_SHARE", share)
        patch.setattr(kernels, "_GROUP_SCORES", 3)
        np.testing.assert_allclose(product(*problem), reference(*problem), atol=2e-5)


def test_means_by_hand():
    calls = np.array([[0, 1, 2, -9], [2, 1, -9, 0], [-9] * 4], np.int8)
    copies = TWO.copy()
    copies[[0, 2], 1] = 1  # men
    means = mean_dosages(calls, copies, np.array([False, True, False]))
    # X: one copy of one man with ALT, one of two copies of a woman, none of two of another: 2 * 2 / 5.
    np.testing.assert_allclose(means, [1, 4 / 5, 1])
    assert fills(means, np.array([ADDITIVE, DOMINANT, RECESSIVE], np.int8)).tolist() == pytest.approx(
        [1, 0.4, 0.5]
    )


def test_centring_by_hand():
    calls = np.array([[0, 2, -9], [0, 2, -9], [1, 2, -9]], np.int8)
    fill = np.array([0.5, 0.25, 0.125], np.float32)
    found = centred(calls, fill, np.array([ADDITIVE, DOMINANT, RECESSIVE], np.int8))
    assert found.tolist() == [[-0.5, 1.5, 0], [-0.25, 0.75, 0], [-0.125, 0.875, 0]]
    assert calls[0].tolist() == [0, 2, -9]


def test_groups_part_dense_from_sparse_and_leave_out_the_empty():
    slopes = np.zeros((100, 40), np.float32)
    slopes[:, :16] = 1
    slopes[3, 16:24] = 1
    dense, thin = group_scores(sparse.csr_array(slopes))
    assert isinstance(dense.weights, np.ndarray)
    assert dense.scores == slice(0, 16)
    assert not isinstance(thin.weights, np.ndarray)
    assert thin.scores == slice(16, 24)
    assert group_scores(sparse.csr_array((100, 40), dtype=np.float32)) == []


def test_a_large_mean_costs_no_precision():
    """All weights positive: the sums lie 1,600 of their standard deviations from 0."""
    rng = np.random.default_rng(0)
    num_rows, num_samples = 20_000, 50
    calls = rng.binomial(2, 0.999, (num_rows, num_samples)).astype(np.int8)
    slopes = np.abs(rng.normal(size=(num_rows, 1))).astype(np.float32)
    fill = calls.mean(axis=1, dtype=np.float64).astype(np.float32)
    total = np.zeros((1, num_samples), np.float32)
    for start in range(0, num_rows, 2048):
        rows = slice(start, start + 2048)
        dosages = centred(calls[rows], fill[rows], np.zeros(len(calls[rows]), np.int8))
        add_product(total, group_scores(sparse.csr_array(slopes[rows])), dosages)
    exact = slopes.T.astype(np.float64) @ (calls - fill[:, None].astype(np.float64))
    assert np.abs(total - exact).max() < 1e-5 * exact.std()
    raw = (slopes.T.astype(np.float64) @ calls).mean()
    assert raw > 1000 * exact.std()
