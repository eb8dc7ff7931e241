"""Score one slice of samples: what runs in this process, or as a task on Spark."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt32
from threadpoolctl import threadpool_limits

from proband.core.running.progress import track
from proband.genome.genotypes.dataset import DataSetReader, Part
from proband.genome.matching.weights import Weights
from proband.genome.scoring.checkpoint import Work, load_weights, seconds_between
from proband.genome.scoring.product import (
    Calls,
    Group,
    add_product,
    centred,
    fills,
    group_scores,
    mean_dosages,
    mean_of_counts,
    tiles,
)


@dataclass(frozen=True)
class MeansJob:
    """Weight rows whose mean dosages over all samples are to be found.

    Attributes:
        parts: The genotype files.
        variants: Row of the data set, per weight row.
        copies: What each sample weighs in a frequency, off X and on it.
        is_x: Weight rows on X.
        step: Weight rows to read at a time.
    """

    parts: tuple[Part, ...]
    variants: UInt32[np.ndarray, " rows"]
    copies: Float32[np.ndarray, "samples 2"]
    is_x: Bool[np.ndarray, " rows"]
    step: int


def find_means(job: MeansJob) -> Float32[np.ndarray, " rows"]:
    """Mean ALT dosage per weight row; see :func:`proband.genome.scoring.product.mean_dosages`."""
    reader = DataSetReader(job.parts)
    means = np.empty(len(job.variants), np.float32)
    for start in range(0, len(means), job.step):
        rows = slice(start, start + job.step)
        means[rows] = _means(reader, job.variants[rows], job.copies, job.is_x[rows])
    return means


def _means(
    reader: DataSetReader,
    variants: UInt32[np.ndarray, " rows"],
    copies: Float32[np.ndarray, "samples 2"],
    is_x: Bool[np.ndarray, " rows"],
    calls: Calls | None = None,
) -> Float32[np.ndarray, " rows"]:
    """Means by counting hard calls, which is five times faster, else from ``calls``, read if not given."""
    counts = reader.count(variants)
    if counts is None:
        calls = reader.read_calls(variants, 0, len(copies)) if calls is None else calls
        return mean_dosages(calls, copies, is_x)
    means = mean_of_counts(counts)
    if is_x.any():
        means[is_x] = mean_dosages(reader.read_calls(variants[is_x], 0, len(copies)), copies, is_x[is_x])
    return means


@dataclass(frozen=True)
class SliceJob:
    """A slice of samples to score.

    Attributes:
        parts: The genotype files.
        folder: Where progress and results lie.
        start: First sample.
        stop: Sample after the last.
        step: Weight rows in a block.
        workers: Threads.
        copies: What each of all samples weighs in a frequency, off X and on it.
        is_x: Weight rows on X.
        means: Mean dosage per weight row; None where the slice holds all samples, and so tells them.
        weights: The weights; None where they are to be read from ``folder``.
    """

    parts: tuple[Part, ...]
    folder: Path
    start: int
    stop: int
    step: int
    workers: int
    copies: Float32[np.ndarray, "samples 2"]
    is_x: Bool[np.ndarray, " rows"]
    means: Float32[np.ndarray, " rows"] | None = None
    weights: Weights | None = None


@dataclass(frozen=True)
class Block:
    """A block of weight rows, read and ready to multiply.

    Attributes:
        rows: The weight rows.
        calls: Dosages of the slice's samples.
        fill: What a missing call counts, per row.
        groups: The weights.
        base: What the fill itself adds to each score.
    """

    rows: slice
    calls: Calls
    fill: Float32[np.ndarray, " rows"]
    groups: list[Group]
    base: Float64[np.ndarray, " scores"]


def score_slice(job: SliceJob) -> Path:
    """Score a slice from where an earlier run left it; returns the file of its sums, scores by samples."""
    work = Work(job.folder)
    result = work.result(job.start, job.stop)
    if result.is_file():
        return result
    weights = load_weights(work) if job.weights is None else job.weights
    num_rows, num_scores = len(weights.variants), len(weights.constants)
    total = np.zeros((num_scores, job.stop - job.start), np.float32)
    base, done = weights.constants.copy(), 0
    total, base, done = work.resume(job.start, job.stop) or (total, base, done)
    saved = time.monotonic()
    # One thread of BLAS in each of ours: sums are then the same however many there are.
    with threadpool_limits(1), ThreadPoolExecutor(job.workers) as pool:
        num_blocks = -(-(num_rows - done) // job.step)
        for block in track(_blocks(job, weights, done, pool), "Scoring", num_blocks):
            base += block.base
            add_tile = functools.partial(_add_tile, total, block, weights.bases[block.rows])
            list(pool.map(add_tile, tiles(total.shape[1])))  # the list raises what a thread raised
            if time.monotonic() - saved > seconds_between(total.nbytes):
                work.pause(job.start, job.stop, total, base, block.rows.stop)
                saved = time.monotonic()
    np.add(total, base[:, None], out=total, casting="same_kind")
    return work.finish(job.start, job.stop, total)


def _blocks(job: SliceJob, weights: Weights, done: int, pool: ThreadPoolExecutor) -> Iterator[Block]:
    """The blocks from row ``done`` on, each read while the one before is multiplied.

    A reader is no thread-safe object: a block is read only once the one before has been.
    """
    reader = DataSetReader(job.parts)
    coming: Future[Block] | None = None
    for first in range(done, len(weights.variants), job.step):
        rows = slice(first, min(first + job.step, len(weights.variants)))
        ready = coming.result() if coming else None
        coming = pool.submit(_read_block, job, weights, reader, rows)
        if ready:
            yield ready
    if coming:
        yield coming.result()


def _read_block(job: SliceJob, weights: Weights, reader: DataSetReader, rows: slice) -> Block:
    variants = weights.variants[rows]
    calls = reader.read_calls(variants, job.start, job.stop)
    if job.means is None:
        means = _means(reader, variants, job.copies, job.is_x[rows], calls)
    else:
        means = job.means[rows]
    fill, slopes = fills(means, weights.bases[rows]), weights.slopes[rows]
    return Block(rows, calls, fill, group_scores(slopes), slopes.T @ fill.astype(np.float64))


def _add_tile(
    total: Float32[np.ndarray, "scores samples"], block: Block, bases: np.ndarray, tile: slice
) -> None:
    add_product(total[:, tile], block.groups, centred(block.calls[:, tile], block.fill, bases))
