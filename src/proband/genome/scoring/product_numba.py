"""Sparse weights times dosages, compiled by numba: two to three times as fast as scipy's product.

Eight rows of dosages are added up before the sum is written, which spares most of the traffic to the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from proband.core.running.compiled import compiled


def sparse_product(
    weights: sparse.csr_array, dosages: Float32[np.ndarray, "rows samples"]
) -> Float32[np.ndarray, "scores samples"]:
    """``weights @ dosages``."""
    product = np.zeros((weights.shape[0], dosages.shape[1]), np.float32)
    _kernel()(weights.indptr, weights.indices, weights.data, dosages, product)
    return product


@functools.cache
def _kernel() -> Callable[..., None]:
    # Reassociated sums may use the processor's fused multiply-add and widest registers.
    return compiled(_accumulate, {"reassoc", "contract"})


def _accumulate(
    indptr: Any, indices: Any, data: Any, dosages: Any, product: Any
) -> None:  # compiled by numba
    num_samples = dosages.shape[1]
    for score in range(indptr.size - 1):
        out = product[score]
        at, end = indptr[score], indptr[score + 1]
        while at + 8 <= end:
            d0, d1, d2, d3 = (
                dosages[indices[at]],
                dosages[indices[at + 1]],
                dosages[indices[at + 2]],
                dosages[indices[at + 3]],
            )
            d4, d5, d6, d7 = (
                dosages[indices[at + 4]],
                dosages[indices[at + 5]],
                dosages[indices[at + 6]],
                dosages[indices[at + 7]],
            )
            w0, w1, w2, w3 = data[at], data[at + 1], data[at + 2], data[at + 3]
            w4, w5, w6, w7 = data[at + 4], data[at + 5], data[at + 6], data[at + 7]
            for n in range(num_samples):
                out[n] += (
                    (w0 * d0[n] + w1 * d1[n])
                    + (w2 * d2[n] + w3 * d3[n])
                    + (w4 * d4[n] + w5 * d5[n])
                    + (w6 * d6[n] + w7 * d7[n])
                )
            at += 8
        while at < end:
            row, weight = dosages[indices[at]], data[at]
            for n in range(num_samples):
                out[n] += weight * row[n]
            at += 1
