"""The arithmetic of scoring: weights times dosages, a block of variants and a tile of samples at a time.

Dosages are centred: what a missing call counts, the variant's mean, is taken off every dosage, so that a
missing call is 0 and the means' share of a score is one constant, summed apart in float64. What is left
scatters around 0, and float32 sums of it err by some 1e-7 of their own spread, however far from 0 the raw
sum lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, UInt32
from scipy import sparse

from proband.genome.matching.weights import ADDITIVE, DOMINANT, RECESSIVE
from proband.genome.scoring.product_numba import sparse_product

Calls: TypeAlias = Int8[np.ndarray, "rows samples"] | Float32[np.ndarray, "rows samples"]
"""ALT dosages, below 0 where not called: int8 where a file holds hard calls alone, else float32."""

TILE_SAMPLES = 256
"""Samples multiplied together: with 2,048 variants they take 2 MB, which stay near a core."""

_NOT_CALLED_DOSAGE = 1.0  # 2f of a variant never called, with f = 1/2 as in plink2
_GROUP_SCORES = 256
_CHUNK_SCORES = 8
# Above this share of non-zero weights a dense product is the faster one: it does 46 G multiply-adds a second
# where the sparse one does 15 to 20 (one busy core of an AMD EPYC 9004, OpenBLAS in numpy 2.4, numba 0.68).
_DENSE_SHARE = 0.35


def tiles(num_samples: int) -> list[slice]:
    """Ranges of samples, in order."""
    return [
        slice(start, min(start + TILE_SAMPLES, num_samples)) for start in range(0, num_samples, TILE_SAMPLES)
    ]


def mean_dosages(
    calls: Calls, copies: Float32[np.ndarray, "samples 2"], is_x: Bool[np.ndarray, " rows"]
) -> Float32[np.ndarray, " rows"]:
    """Mean ALT dosage (2f) of the called samples, 1 where no sample is called.

    Args:
        calls: Raw dosages of all samples.
        copies: What a sample weighs: in column 0 off X, in column 1 on it.
        is_x: Rows on X.
    """
    sums, called = np.zeros((len(calls), 2)), np.zeros((len(calls), 2))
    for tile in tiles(calls.shape[1]):
        missing = np.flatnonzero(calls[:, tile] < 0)
        dosages = calls[:, tile].astype(np.float32)
        dosages.reshape(-1)[missing] = 0
        sums += dosages @ copies[tile]
        row, sample = np.divmod(missing, dosages.shape[1])
        called += copies[tile].sum(axis=0, dtype=np.float64)
        for column in (0, 1):
            called[:, column] -= np.bincount(row, copies[tile][sample, column], len(calls))
    total, weight = (np.where(is_x, both[:, 1], both[:, 0]) for both in (sums, called))
    return _mean(total, weight)


def mean_of_counts(counts: UInt32[np.ndarray, "rows 4"]) -> Float32[np.ndarray, " rows"]:
    """Mean ALT dosage from the numbers of samples with 0, 1, 2 ALT alleles and not called, off X.

    >>> mean_of_counts(np.array([[1, 1, 2, 9], [0, 0, 0, 5]], np.uint32)).tolist()
    [1.25, 1.0]
    """
    return _mean(counts[:, 1] + 2.0 * counts[:, 2], counts[:, :3].sum(axis=1, dtype=np.float64))


def _mean(
    total: Float64[np.ndarray, " rows"], weight: Float64[np.ndarray, " rows"]
) -> Float32[np.ndarray, " rows"]:
    is_called = weight > 0
    return np.where(is_called, total / np.where(is_called, weight, 1), _NOT_CALLED_DOSAGE).astype(np.float32)


def fills(
    means: Float32[np.ndarray, " rows"], bases: Int8[np.ndarray, " rows"]
) -> Float32[np.ndarray, " rows"]:
    """What a missing call counts: 2f additive, f dominant and recessive."""
    return np.where(bases == ADDITIVE, means, means / 2)


def centred(
    calls: Calls, fill: Float32[np.ndarray, " rows"], bases: Int8[np.ndarray, " rows"]
) -> Float32[np.ndarray, "rows samples"]:
    """A tile's dosages in their bases, less ``fill``; 0 where not called.

    Args:
        calls: Raw dosages of the tile's samples.
        fill: What a missing call counts, per row.
        bases: Basis of each row, ascending.
    """
    missing = np.flatnonzero(calls < 0)
    dosages = calls.astype(np.float32)
    dominant, recessive = np.searchsorted(bases, [DOMINANT, RECESSIVE])
    np.minimum(dosages[dominant:recessive], 1, out=dosages[dominant:recessive])
    np.maximum(dosages[recessive:] - 1, 0, out=dosages[recessive:])
    dosages -= fill[:, None]
    dosages.reshape(-1)[missing] = 0
    return dosages


@dataclass(frozen=True)
class Group:
    """Neighbouring scores that are multiplied together.

    Attributes:
        scores: Which ones.
        weights: Their weights, scores by rows of the block, dense or sparse.
    """

    scores: slice
    weights: Float32[np.ndarray, "scores rows"] | sparse.csr_array


def group_scores(slopes: sparse.csr_array) -> list[Group]:
    """A block's weights, rows by scores, as groups of scores alike in density; scores without any left out.

    Neighbours should be alike: order the scores by their numbers of weights.
    """
    by_score = slopes.T.tocsr()
    num_scores = by_score.shape[0]
    starts = np.arange(0, num_scores, _CHUNK_SCORES)
    num_used = np.add.reduceat(np.diff(by_score.indptr), starts) if num_scores else starts
    share = num_used / (np.diff(np.append(starts, num_scores)) * max(1, slopes.shape[0]))
    kinds = (share > 0).astype(int) + (share > _DENSE_SHARE)
    is_first = np.diff(kinds, prepend=-1) != 0
    bounds = [*starts[is_first].tolist(), num_scores]
    groups = []
    for kind, first, last in zip(kinds[is_first], bounds, bounds[1:], strict=False):
        for start in range(first, last, _GROUP_SCORES) if kind else ():
            scores = slice(start, min(start + _GROUP_SCORES, last))
            groups.append(Group(scores, by_score[scores].toarray() if kind > 1 else by_score[scores]))
    return groups


def add_product(
    total: Float32[np.ndarray, "all_scores samples"],
    groups: list[Group],
    dosages: Float32[np.ndarray, "rows samples"],
) -> None:
    """Add every group's ``weights @ dosages`` to its rows of ``total``, in place."""
    for group in groups:
        if isinstance(group.weights, np.ndarray):
            total[group.scores] += group.weights @ dosages
        else:
            total[group.scores] += sparse_product(group.weights, dosages)
