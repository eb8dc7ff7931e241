"""From futures and the train split to the tables of memorisation."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.core.seeds import generator
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.ehr.cohort import prediction_times
from proband.ehr.outcomes import Task
from proband.realism.futures import Futures, Points, real_futures
from proband.realism.memorisation import (
    DISTANCE,
    LEAST_TOKENS,
    MEMORISATION,
    NEARNESS,
    RUN,
    Nearness,
    Sequences,
    longest_runs,
    nearest_distances,
    sequences,
)
from proband.tokens.dataset import TokenStore

MOST_TRAIN_TOKENS = 20_000_000
"""Train records in which copies are looked for, drawn at random beyond."""
MOST_TRAIN_WINDOWS = 20_000
"""Windows of train subjects among which the nearest is looked for, drawn at random beyond."""


def measure(
    store: TokenStore,
    task: Task,
    points: Points,
    real: Futures,
    simulated: Futures,
    leaving: Int[np.ndarray, " points"],
    seed: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Nearness to train of real and simulated futures.

    Args:
        store: Tokens of all subjects.
        task: The task that set the prediction times.
        points: All prediction points.
        real: One real future of some of the points.
        simulated: One simulated future of the same points, followed alike.
        leaving: When each point's subject leaves, minutes after it.
        seed: Of the draws of train subjects.

    Returns:
        Frames of :data:`MEMORISATION` and :data:`NEARNESS`; a measure for which no pair of futures is long
        enough has no rows.
    """
    subject = points.frame["source_subject_id"].to_numpy()[real.point]
    found = [
        _runs(store, real, simulated, subject, seed),
        _distances(store, task, real, simulated, subject, leaving, seed),
    ]
    held = [item for item in found if len(item.subject)]
    rows = pl.DataFrame([item.row() for item in held], schema=MEMORISATION.empty().schema)
    return rows, pl.concat([NEARNESS.empty(), *(item.histogram() for item in held)])


def _runs(store: TokenStore, real: Futures, simulated: Futures, subject: np.ndarray, seed: int) -> Nearness:
    """Longest runs of both futures of a point, the longer one cut to the other's number of tokens."""
    sides = [sequences(real), sequences(simulated)]
    same = np.minimum(*(side.lengths for side in sides))
    enough = same >= LEAST_TOKENS
    train = _train_records(store, seed)
    of_real, of_simulated = (longest_runs(side.cut(same), train)[enough].astype(float) for side in sides)
    return Nearness(RUN, of_real, of_simulated, subject[enough])


def _train_records(store: TokenStore, seed: int) -> Sequences:
    rows = generator(seed, "train records").permutation(store.rows_of("train"))
    lengths = np.diff(store.offsets)[rows]
    rows = rows[: max(1, int(np.searchsorted(np.cumsum(lengths), MOST_TRAIN_TOKENS, side="right")))]
    records = [store.record(int(row))[0] for row in rows]
    offsets = np.cumsum([0, *(len(record) for record in records)])
    return Sequences(np.concatenate(records), offsets)


def _distances(
    store: TokenStore,
    task: Task,
    real: Futures,
    simulated: Futures,
    subject: np.ndarray,
    leaving: np.ndarray,
    seed: int,
) -> Nearness:
    """Distances over windows of one length, the median time until the points' subjects leave."""
    window = int(np.median(leaving[real.point]))
    sides = [side.followed_until(np.full(len(side), window)) for side in (real, simulated)]
    texts = [sequences(side) for side in sides]
    shorter = np.minimum(*(text.lengths for text in texts))
    long = np.flatnonzero((leaving[real.point] >= window) & (shorter >= LEAST_TOKENS))
    train = sequences(_train_windows(store, task, window, seed))
    size = len(store.vocabulary)
    of_real, of_simulated = (nearest_distances(sequences(side.take(long)), train, size) for side in sides)
    return Nearness(DISTANCE, of_real, of_simulated, subject[long])


def _train_windows(store: TokenStore, task: Task, window: int, seed: int) -> Futures:
    """What followed the task's prediction times of train subjects, for those known so long or dead."""
    subjects = store.subjects.with_row_index("row")[store.rows_of("train")]
    times = prediction_times(subjects, task).join(
        subjects.select("subject_id", "row", "birth_time"), on="subject_id", maintain_order="left"
    )
    since_birth = (pl.col("prediction_time") - pl.col("birth_time")).dt.total_microseconds()
    start = times.select(since_birth // MICROSECONDS_PER_MINUTE).to_series().to_numpy()
    row = times["row"].to_numpy().astype(np.int64)
    usable = np.flatnonzero((store.exit[row] - start >= window) | store.died[row])
    usable = np.sort(generator(seed, "train windows").permutation(usable)[:MOST_TRAIN_WINDOWS])
    frame = times[usable].select(source_subject_id="subject_id", prediction_time="prediction_time")
    points = Points(frame, row[usable], start[usable], np.full(len(usable), window))
    return real_futures(store, points)
