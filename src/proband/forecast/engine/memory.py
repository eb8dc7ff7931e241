"""How many paths run together, from the memory they may take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from proband.core.errors import ConfigError
from proband.model.kernels.pages import PAGE, page_bytes
from proband.model.transformer import Proband

ROWS = 16
"""Rows are computed in multiples of this, the last ones idle: what a row gives must not depend on how many
stand beside it, and products of very few rows sum in another order."""
MOST_SLOTS = 256
"""More bring no speed on a processor core: products are at their best, and caches only grow."""
_BYTES_PER_CODE = 48
"""Logits and probabilities of one code at one row: float32 and float64, and copies on the way."""


@dataclass(frozen=True)
class Budget:
    """Sizes of the engine.

    Attributes:
        num_slots: Paths that run together, a multiple of ``ROWS``.
        num_histories: Histories held together.
        num_pages: Pages of their keys and values: enough whatever the paths' lengths.
        table_width: Pages of one path, its history's and those no longer read counted.
    """

    num_slots: int
    num_histories: int
    num_pages: int
    table_width: int


def plan_memory(
    model: Proband,
    *,
    longest: int,
    paths_per_history: int,
    most_paths: int,
    max_events: int,
    sums: int,
    memory_gib: float,
) -> Budget:
    """The engine's sizes within a memory.

    Args:
        model: The model.
        longest: Tokens of the longest history.
        paths_per_history: Paths that each begins with.
        most_paths: Paths that each may come to.
        max_events: Events on a path at most.
        sums: Numbers of eight bytes kept per path.
        memory_gib: What caches and sums may take.

    Raises:
        ConfigError: Not even ``ROWS`` paths fit.
    """
    config = model.config
    bytes_per_page = page_bytes(config.num_heads, config.head_dim) * len(model.blocks)
    history_pages = math.ceil(config.num_latents / PAGE) + math.ceil(longest / PAGE)
    path_pages = math.ceil(min(max_events, config.context) / PAGE) + 1
    per_path = path_pages * bytes_per_page + config.vocabulary_size * _BYTES_PER_CODE + 8 * sums
    per_history = history_pages * bytes_per_page + 8 * sums * most_paths
    slots = MOST_SLOTS
    while slots * per_path + _histories(slots, paths_per_history) * per_history > memory_gib * 2**30:
        slots -= ROWS
        if not slots:
            least = ROWS * per_path + _histories(ROWS, paths_per_history) * per_history
            raise ConfigError(
                "the memory is too small for the model",
                where="--memory",
                found=f"{memory_gib:g} GiB per process",
                expected=f"at least {least / 2**30:.2g}",
                remedy="raise --memory, or take fewer --workers, --paths or --max-paths",
            )
    histories = _histories(slots, paths_per_history)
    return Budget(
        num_slots=slots,
        num_histories=histories,
        num_pages=slots * path_pages + histories * history_pages,
        table_width=history_pages + math.ceil(max_events / PAGE) + 1,
    )


def _histories(slots: int, paths_per_history: int) -> int:
    """Histories that keep the slots busy: twice as many as fill them, since their last paths linger."""
    return 2 * math.ceil(slots / paths_per_history) + 1
