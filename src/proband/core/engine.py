"""Map one function over shards, in this process or in a local pool.

Stages write their work as ``function(shard) -> result`` with picklable arguments; where it runs is decided
here alone.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from proband.core.progress import track

Shard = TypeVar("Shard")
Result = TypeVar("Result")


def available_cores() -> int:
    """Cores this process may use, at least 1."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def map_shards(
    function: Callable[[Shard], Result],
    shards: Sequence[Shard],
    *,
    description: str = "Working",
    workers: int | None = None,
) -> list[Result]:
    """Apply ``function`` to every shard and return the results in the shards' order.

    Args:
        function: A module-level (picklable) function of one shard.
        shards: Picklable descriptions of the work, such as paths.
        description: Label of the progress bar.
        workers: Processes; default one per core, never more than shards. 1 runs in this process.

    Raises:
        Whatever ``function`` raises; the remaining shards are cancelled.

    >>> map_shards(abs, [-1, 2, -3], workers=1)
    [1, 2, 3]
    """
    workers = min(workers or available_cores(), max(1, len(shards)))
    if workers == 1:
        return [function(shard) for shard in track(shards, description, len(shards))]
    # spawn: forking a process that holds polars' or torch's threads can deadlock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(_cancelling(pool, function, shards, description))


def _cancelling(
    pool: ProcessPoolExecutor, function: Callable[[Shard], Result], shards: Sequence[Shard], description: str
) -> Iterator[Result]:
    futures = [pool.submit(function, shard) for shard in shards]
    try:
        for future in track(futures, description, len(futures)):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
