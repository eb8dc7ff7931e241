"""Map one function over shards, in this process or in a local pool.

Stages write their work as ``function(shard) -> result`` with picklable arguments; where it runs is decided
here alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
    # joblib's loky: no forked locks, and unlike spawn it does not run the caller's script again, so that
    # notebooks and scripts without a __main__ guard work.
    from joblib import Parallel, delayed

    results = Parallel(n_jobs=workers, backend="loky", return_as="generator")(
        delayed(_in_folder)(os.getcwd(), function, shard) for shard in shards
    )
    return list(track(results, description, len(shards)))


def _in_folder(folder: str, function: Callable[[Shard], Result], shard: Shard) -> Result:
    """Work in the caller's folder: workers outlive a call, and relative paths must mean what they meant."""
    os.chdir(folder)
    return function(shard)
