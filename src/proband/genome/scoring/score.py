"""Sum dosages times weights: the raw sums of plink2 ``--score``, for thousands of scores at once.

A missing call counts its expectation d = 2f, dom = rec = f, with f the ALT frequency in the file. Samples are
scored a slice at a time, as many as fit in the memory given, in one pass over the variants that any score
uses. Threads share the tiles of a block; Spark takes whole slices. What is added, and in which order, is
decided by the memory and, on Spark, the least number of tasks: not by threads, and not by how often a run was
broken off.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, UInt32

from proband.core.errors import ConfigError
from proband.core.files.atomic import whole_file
from proband.core.running.engine import map_shards
from proband.genome.genotypes.dataset import Genotypes, Part
from proband.genome.matching.weights import Weights
from proband.genome.scoring.checkpoint import Work, fingerprint, save_weights
from proband.genome.scoring.memory import MEMORY_MB
from proband.genome.scoring.slices import MeansJob, SliceJob, find_means, score_slice

_MOST_BLOCK_ROWS, _LEAST_BLOCK_ROWS = 2048, 128
_CALL_BYTES = 12  # of a dosage read: this block, the next, and its copy when it comes from several files
_WEIGHT_BYTES = 16  # of a score and weight row: dense weights of this block and the next, and their making
_MEANS_JOBS = 64  # enough to spread evenly
_ROW_GROUP_BYTES = 2**27


def score_samples(
    genotypes: Genotypes,
    weights: Weights,
    *,
    memory_mb: int = MEMORY_MB,
    workers: int = 1,
    spark: str | None = None,
    work: Path | None = None,
    means: Float32[np.ndarray, " variants"] | None = None,
) -> Iterator[tuple[int, Float32[np.ndarray, "scores samples"]]]:
    """Raw score sums, some samples at a time.

    Args:
        genotypes: The data set.
        weights: Weights of all scores.
        memory_mb: Memory for totals and genotypes in MiB, beside the weights and a few MiB a
            thread; on Spark, of each task.
        workers: Threads; on Spark, the least number of tasks.
        spark: Master URL of a Spark cluster, such as ``local[2]``; None to work in this process.
        work: Folder that keeps progress, on Spark one that all machines see. A later call with the same
            data, weights and memory goes on from what is there; the caller removes it when done with it.
            None for a temporary one.
        means: Mean ALT dosage that a missing call counts, per row of the data set; None for those of the data
            set itself.

    Yields:
        The first sample's row, and the sums of it and the samples after it.

    Raises:
        ConfigError: A Spark cluster is named without ``work``.
        DataError: A genotype file cannot be read.
    """
    if spark and not spark.startswith("local") and work is None:
        remedy = "name a work folder on storage that all machines see"
        raise ConfigError("scoring on a cluster needs a work folder", where=spark, remedy=remedy)
    with contextlib.ExitStack() as stack:
        temporary = None if work else stack.enter_context(tempfile.TemporaryDirectory(prefix="proband-"))
        folder = (work or Path(str(temporary))).absolute()
        by_size = np.argsort(-weights.sizes, kind="stable")
        ordered = weights.ordered(by_size)
        jobs = _jobs(genotypes, ordered, folder, memory_mb, workers, bool(spark))
        keep = Work(folder)
        keep.claim(_key(genotypes, ordered, jobs, means) if work else "temporary")
        if means is not None:
            jobs = [replace(job, means=means[ordered.variants]) for job in jobs]
        else:
            jobs = _with_means(jobs, ordered, memory_mb, workers, spark)
        if spark:
            save_weights(ordered, keep)
            results = map_shards(score_slice, jobs, description="Scoring", spark=spark)
        else:
            results = [score_slice(replace(job, weights=ordered)) for job in jobs]
        place = np.argsort(by_size)
        # Well below the memory for scoring: one group is still being written while the next is read.
        step = max(1, min(_ROW_GROUP_BYTES, memory_mb * 2**20 // 8) // (4 * len(place)))
        for job, path in zip(jobs, results, strict=True):
            sums = np.load(path, mmap_mode="r")
            for start in range(0, job.stop - job.start, step):
                yield job.start + start, sums[:, start : start + step][place]


def write_scores(
    source: Genotypes,
    weights: Weights,
    names: list[str],
    subject_ids: pl.Series,
    path: Path,
    *,
    memory_mb: int = MEMORY_MB,
    workers: int = 1,
    spark: str | None = None,
    work: Path | None = None,
    means: Float32[np.ndarray, " variants"] | None = None,
) -> None:
    """Score all samples and write them as :data:`proband.core.schema.SCORES`, whole or not at all.

    Args:
        source: The data set.
        weights: Weights of all scores.
        names: ``pgs_id`` of each score.
        subject_ids: Subject of each sample, each once.
        path: The Parquet file to write.
        memory_mb: Memory in MiB; this and the rest as in :func:`score_samples`.
        workers: Threads, or least number of Spark tasks.
        spark: Master URL of a Spark cluster.
        work: Folder that keeps progress.
        means: What missing calls count, as in :func:`score_samples`.

    Raises:
        ConfigError: A Spark cluster is named without ``work``.
        DataError: A genotype file cannot be read.
    """
    schema = pa.schema([("subject_id", pa.int64()), *((name, pa.float32()) for name in names)])
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(whole_file(path))
        if work is None and spark is None:  # results may outgrow the system's folder for temporary files
            scratch = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
            work = Path(stack.enter_context(scratch))
        slices = score_samples(
            source, weights, memory_mb=memory_mb, workers=workers, spark=spark, work=work, means=means
        )
        # Sums hardly ever repeat: a dictionary of them would only cost time.
        with pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=False) as writer:
            for start, sums in slices:
                subjects = subject_ids.slice(start, sums.shape[1]).to_numpy()
                writer.write_table(pa.table([pa.array(subjects), *map(pa.array, sums)], schema=schema))


def _jobs(
    genotypes: Genotypes, weights: Weights, folder: Path, memory_mb: int, workers: int, on_spark: bool
) -> list[SliceJob]:
    num_samples = len(genotypes.sample_ids)
    threads, least = (1, workers) if on_spark else (workers, 1)
    step, width = plan(num_samples, len(weights.constants), memory_mb, least)
    parts, copies = _absolute(genotypes), _copies(genotypes)
    is_x = _is_x(genotypes)[weights.variants]
    return [
        SliceJob(parts, folder, start, min(start + width, num_samples), step, threads, copies, is_x)
        for start in range(0, num_samples, width)
    ]


def _absolute(genotypes: Genotypes) -> tuple[Part, ...]:
    """The files by paths that hold in other processes."""
    return tuple(
        replace(part, paths=tuple(path.absolute() for path in part.paths)) for part in genotypes.parts
    )


def _copies(genotypes: Genotypes) -> Float32[np.ndarray, "samples 2"]:
    """What each sample weighs in a frequency, off X and on it."""
    copies = np.full((len(genotypes.sample_ids), 2), 2, np.float32)
    copies[genotypes.is_male, 1] = 1
    return copies


def mean_dosages_of(
    genotypes: Genotypes,
    variants: UInt32[np.ndarray, " rows"],
    *,
    memory_mb: int = MEMORY_MB,
    workers: int = 1,
) -> Float32[np.ndarray, " rows"]:
    """Mean ALT dosage (0 to 2) of the called samples, 1 where none is, of chosen rows of a data set."""
    is_x = _is_x(genotypes)[variants]
    return _find_means(
        _absolute(genotypes), variants, _copies(genotypes), is_x, memory_mb, workers=workers, spark=None
    )


def plan(num_samples: int, num_scores: int, memory_mb: int, least_slices: int = 1) -> tuple[int, int]:
    """Weight rows in a block, and samples in a slice, that stay within the memory.

    Where not all samples fit at once, totals and genotypes take about equal shares of it.

    >>> plan(5000, 3481, 1024), plan(1_000_000, 3481, 1024)
    ((2048, 5000), (1160, 35715))
    """
    budget = memory_mb * 2**20
    balanced = max(4 * num_scores, budget // (2 * num_samples)) // _CALL_BYTES
    affordable = budget // 4 // (_WEIGHT_BYTES * num_scores)
    step = int(np.clip(min(balanced, affordable), _LEAST_BLOCK_ROWS, _MOST_BLOCK_ROWS))
    fixed = step * _WEIGHT_BYTES * num_scores
    width = max(1, (budget - fixed) // (4 * num_scores + _CALL_BYTES * step))
    num_slices = min(num_samples, max(least_slices, -(-num_samples // width)))
    return step, -(-num_samples // num_slices)


def _is_x(genotypes: Genotypes) -> Bool[np.ndarray, " variants"]:
    is_x = np.zeros(genotypes.num_variants, bool)
    is_x[genotypes.variants.filter(pl.col("chrom") == "X")["index"].to_numpy()] = True
    return is_x


def _key(
    genotypes: Genotypes,
    weights: Weights,
    jobs: list[SliceJob],
    means: Float32[np.ndarray, " variants"] | None,
) -> str:
    subsets = [part.subset for part in genotypes.parts if part.subset is not None]
    arrays = [*weights.arrays().values(), jobs[0].copies, jobs[0].is_x, *subsets]
    arrays += [] if means is None else [means]
    return fingerprint(genotypes.files, arrays, [jobs[0].step, *(job.stop for job in jobs)])


def _with_means(
    jobs: list[SliceJob], weights: Weights, memory_mb: int, workers: int, spark: str | None
) -> list[SliceJob]:
    """The jobs, told the mean dosages where a slice does not hold all samples."""
    if len(jobs) == 1:
        return jobs
    path = Work(jobs[0].folder).path("means-2f")
    if not path.is_file():
        found = _find_means(
            jobs[0].parts,
            weights.variants,
            jobs[0].copies,
            jobs[0].is_x,
            memory_mb,
            workers=workers,
            spark=spark,
        )
        Work(jobs[0].folder).save("means-2f", found)
    means = np.load(path)
    return [replace(job, means=means) for job in jobs]


def _find_means(
    parts: tuple[Part, ...],
    variants: UInt32[np.ndarray, " rows"],
    copies: Float32[np.ndarray, "samples 2"],
    is_x: Bool[np.ndarray, " rows"],
    memory_mb: int,
    *,
    workers: int,
    spark: str | None,
) -> Float32[np.ndarray, " rows"]:
    step = int(np.clip(memory_mb * 2**20 // workers // (_CALL_BYTES * len(copies)), 1, _MOST_BLOCK_ROWS))
    size = max(step, -(-len(variants) // _MEANS_JOBS))
    shards = [
        MeansJob(parts, variants[first : first + size], copies, is_x[first : first + size], step)
        for first in range(0, len(variants), size)
    ]
    found = map_shards(
        find_means, shards, description="Frequencies", workers=workers, spark=spark, threads=True
    )
    return np.concatenate([np.empty(0, np.float32), *found])
