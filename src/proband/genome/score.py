"""Sum dosages times weights over blocks of variants.

A missing call counts its expectation d = 2f, dom = rec = f, with f the ALT frequency in the file, as in
plink2 ``--score``. Blocks are multiplied in float32 and summed in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Float64, Int, UInt32
from scipy import sparse

from proband.core.progress import track
from proband.genome.genotypes import Genotypes
from proband.genome.weights import ADDITIVE, DOMINANT, RECESSIVE, Weights

_BLOCK_ROWS = 2048
_BLOCK_BYTES = 2**29
_TOTAL_BYTES = 2**30
_NOT_CALLED_DOSAGE = 1.0  # 2f of a variant never called, with f = 1/2 as in plink2
_GROUP_SCORES = 256
_DENSE_SHARE = 0.1  # above this share of non-zero weights a dense product is the faster one


def mean_dosages(genotypes: Genotypes, variants: UInt32[np.ndarray, " rows"]) -> Float32[np.ndarray, " rows"]:
    """Mean ALT dosage (2f) of the called samples, 1 where no sample is called.

    On X a male counts one allele, where the file records sex.
    """
    is_x = np.zeros(genotypes.num_variants, bool)
    is_x[genotypes.variants.filter(pl.col("chrom") == "X")["index"].to_numpy()] = True
    copies_on_x = np.where(genotypes.is_male, 1, 2).astype(np.float32)
    num_samples = len(genotypes.sample_ids)
    means = np.empty(len(variants), np.float32)
    step = _block_rows(num_samples)
    for start in range(0, len(variants), step):
        block = variants[start : start + step]
        dosages = genotypes.reader.read(block, 0, num_samples)
        means[start : start + step] = _called_mean(dosages, np.full_like(copies_on_x, 2))
        on_x = np.flatnonzero(is_x[block])
        means[start + on_x] = _called_mean(dosages[on_x], copies_on_x)
    return means


def _called_mean(
    dosages: Float32[np.ndarray, "rows samples"], copies: Float32[np.ndarray, " samples"]
) -> Float32[np.ndarray, " rows"]:
    missing = dosages < 0
    num_called = copies.sum() - missing.astype(np.float32) @ copies
    total = np.where(missing, np.float32(0), dosages) @ copies
    is_called = num_called > 0
    return np.where(is_called, total / np.where(is_called, num_called, 1), np.float32(_NOT_CALLED_DOSAGE))


def _block_rows(num_samples: int) -> int:
    return int(np.clip(_BLOCK_BYTES // (4 * num_samples), 1, _BLOCK_ROWS))


def score_samples(
    genotypes: Genotypes, weights: Weights
) -> Iterator[tuple[int, Float64[np.ndarray, "scores samples"]]]:
    """Raw score sums, for as many samples at a time as fit in about a gigabyte.

    Yields:
        The first sample's row and the sums of it and the samples after it.
    """
    num_samples, num_scores = len(genotypes.sample_ids), len(weights.constants)
    means = mean_dosages(genotypes, weights.variants)
    width = int(np.clip(_TOTAL_BYTES // (8 * num_scores), 1, num_samples))
    step = _block_rows(width)
    blocks = [slice(row, row + step) for row in range(0, len(weights.variants), step)]
    work = [(start, block) for start in range(0, num_samples, width) for block in blocks]
    total = np.empty((num_scores, 0))
    for start, block in track(work, "Scoring", len(work)):
        if block.start == 0:
            total = np.repeat(weights.constants[:, None], min(width, num_samples - start), axis=1)
        dosages = _read_block(genotypes, weights, means, block, start, start + total.shape[1])
        add_product(total, weights.slopes[block], dosages)
        if block is blocks[-1]:
            yield start, total


def _read_block(
    genotypes: Genotypes,
    weights: Weights,
    means: Float32[np.ndarray, " rows"],
    block: slice,
    start: int,
    stop: int,
) -> Float32[np.ndarray, "block samples"]:
    """The block's dosages in their bases, missing calls filled."""
    dosages = genotypes.reader.read(weights.variants[block], start, stop)
    bases = weights.bases[block]
    missing = np.flatnonzero(dosages < 0)
    dominant, recessive = np.searchsorted(bases, [DOMINANT, RECESSIVE])
    np.minimum(dosages[dominant:recessive], 1, out=dosages[dominant:recessive])
    np.maximum(dosages[recessive:] - 1, 0, out=dosages[recessive:])
    fill = np.where(bases == ADDITIVE, means[block], means[block] / 2)
    dosages.reshape(-1)[missing] = fill[missing // (stop - start)]
    return dosages


def add_product(
    total: Float64[np.ndarray, "scores samples"],
    slopes: sparse.csr_array,
    dosages: Float32[np.ndarray, "block samples"],
) -> None:
    """Add ``slopes.T @ dosages`` to ``total`` in place: dense products for the fuller scores, else sparse."""
    by_score = slopes.T.tocsr()
    num_used = np.diff(by_score.indptr)
    is_dense = num_used > _DENSE_SHARE * slopes.shape[0]
    for group in _groups(is_dense):
        total[group] += by_score[group].toarray() @ dosages
    for group in _groups((num_used > 0) & ~is_dense):
        total[group] += by_score[group] @ dosages


def _groups(chosen: Bool[np.ndarray, " scores"]) -> list[Int[np.ndarray, " group"]]:
    """The chosen scores a few hundred at a time, so that products stay small beside the total."""
    numbers = np.flatnonzero(chosen)
    return [numbers[start : start + _GROUP_SCORES] for start in range(0, len(numbers), _GROUP_SCORES)]
