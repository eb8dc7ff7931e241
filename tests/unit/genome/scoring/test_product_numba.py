import numba
import numpy as np
import pytest
from scipy import sparse

from proband.genome.scoring import product_numba as compiled
from proband.genome.scoring.product_numba import sparse_product


@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("num_samples", [1, 7, 256])
def test_equal_to_scipy(density, num_samples):
    rng = np.random.default_rng(0)
    weights = sparse.random_array((11, 60), density=density, dtype=np.float32, rng=rng, format="csr")
    dosages = rng.normal(size=(60, num_samples)).astype(np.float32)
    expected = weights.toarray().astype(np.float64) @ dosages
    np.testing.assert_allclose(sparse_product(weights, dosages), expected, atol=1e-5)


def test_without_a_place_for_compiled_code_it_is_compiled_each_time(monkeypatch):
    compile_it, tried = numba.njit, []

    def without_place(**options):
        tried.append(options.pop("cache", False))
        if tried[-1]:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_it(**options)

    monkeypatch.setattr(numba, "njit", without_place)
    compiled._kernel.cache_clear()
    try:
        weights = sparse.csr_array(np.array([[0, 2], [3, 0]], np.float32))
        assert sparse_product(weights, np.array([[1], [10]], np.float32)).tolist() == [[20], [3]]
    finally:
        compiled._kernel.cache_clear()
    assert tried == [True, False]
