"""Where keys and values lie: pages of histories, which their paths share, and pages of paths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int

from proband.forecast.engine.memory import Budget
from proband.model.kernels.pages import PAGE, Pages, Window
from proband.model.transformer import BlockCache, Proband


class Cache:
    """Pages of all blocks, and for every slot the list of pages its path reads.

    A path reads the leading positions always and of history and path the newest ``context`` tokens: the
    oldest are dropped one by one (a sliding window), and nothing is computed again.

    Args:
        model: Whose keys and values.
        budget: Slots and pages.
        device: Where they lie.
    """

    def __init__(self, model: Proband, budget: Budget, device: torch.device) -> None:
        config = model.config
        self.context = config.context
        self.num_latents = config.num_latents
        self.num_lead = math.ceil(config.num_latents / PAGE)
        self._device = device
        self.pages = [
            Pages.empty(budget.num_pages, config.num_heads, config.head_dim, device) for _ in model.blocks
        ]
        self._free = list(range(budget.num_pages - 1, -1, -1))  # the last freed is the first reused
        shape = (budget.num_slots, budget.table_width)
        self._table = np.zeros(shape, dtype=np.int32)
        self._used = np.zeros(shape, dtype=np.uint8)
        self._begin = np.zeros(budget.num_slots, dtype=np.int64)
        self._skip = np.zeros(budget.num_slots, dtype=np.int64)
        self._count = np.zeros(budget.num_slots, dtype=np.int64)
        self._own = np.zeros(budget.num_slots, dtype=np.int64)  # first page of the path itself
        self._tokens = np.zeros(budget.num_slots, dtype=np.int64)  # read beside the leading positions

    def keep_history(self, blocks: Sequence[BlockCache], row: int, length: int) -> Int[np.ndarray, " pages"]:
        """Write one history of a batch that was read; returns its pages, leading ones first.

        Args:
            blocks: What :meth:`Proband.hidden` returned.
            row: The history's row.
            length: Its tokens.
        """
        pages = self._take(self.num_lead + math.ceil(length / PAGE))
        lead, latents = self.num_lead, self.num_latents
        for store, (keys, values) in zip(self.pages, blocks, strict=True):
            store.fill(pages[:lead], keys[row, :, :latents], values[row, :, :latents])
            record = slice(latents, latents + length)
            store.fill(pages[lead:], keys[row, :, record], values[row, :, record])
        return pages

    def free_history(self, pages: Int[np.ndarray, " pages"]) -> None:
        """Free the pages of a history that no path needs any more."""
        self._free.extend(pages.tolist())

    def start(self, slots: slice, pages: Int[np.ndarray, " pages"], length: int) -> None:
        """Let empty slots continue from the history at ``pages``, of ``length`` tokens."""
        number = len(pages)
        self._table[slots, :number] = pages
        self._used[slots, : self.num_lead] = _filled(self.num_latents)
        self._used[slots, self.num_lead : number] = _filled(length)
        self._begin[slots], self._skip[slots] = self.num_lead, 0
        self._count[slots] = self._own[slots] = number
        self._tokens[slots] = length

    def append(self, slots: Int[np.ndarray, " slots"]) -> None:
        """Allocate one position in each of ``slots``, which are in use."""
        count = self._count[slots]
        full = (count == self._own[slots]) | (self._used[slots, count - 1] == PAGE)
        grown = slots[full]
        self._table[grown, count[full]] = self._take(len(grown))
        self._used[grown, count[full]] = 0
        count += full
        self._count[slots] = count
        self._used[slots, count - 1] += 1
        self._tokens[slots] += 1
        crowded = slots[self._tokens[slots] > self.context]
        if len(crowded):
            self._forget(crowded)

    def _forget(self, rows: Int[np.ndarray, " rows"]) -> None:
        """Stop reading the oldest token of ``rows``."""
        self._tokens[rows] -= 1
        self._skip[rows] += 1
        rows = rows[self._skip[rows] == self._used[rows, self._begin[rows]]]
        own = rows[self._begin[rows] >= self._own[rows]]
        self._free.extend(self._table[own, self._begin[own]].tolist())
        self._begin[rows] += 1
        self._skip[rows] = 0

    def end(self, slots: Int[np.ndarray, " slots"]) -> None:
        """Free the pages of finished paths."""
        for slot in slots.tolist():
            first = max(self._own[slot], self._begin[slot])
            self._free.extend(self._table[slot, first : self._count[slot]].tolist())
        self._count[slots] = 0

    def move(self, to: Int[np.ndarray, " moved"], origin: Int[np.ndarray, " moved"]) -> None:
        """Move the paths in slots ``origin`` to the empty slots ``to``."""
        for array in (
            self._table,
            self._used,
            self._begin,
            self._skip,
            self._count,
            self._own,
            self._tokens,
        ):
            array[to] = array[origin]
        self._count[origin] = 0

    def window(self, num_slots: int, idle: Bool[np.ndarray, " slots"] | None = None) -> Window:
        """What the first slots read; nothing where a row is ``idle``."""
        first = slice(num_slots)
        count = self._count[first]
        return Window(
            self._table[first],
            self._used[first],
            self._begin[first],
            self._skip[first],
            count if idle is None else np.where(idle, 0, count),
            self.num_lead,
            self._device,
        )

    def _take(self, number: int) -> Int[np.ndarray, " number"]:
        taken = [self._free.pop() for _ in range(number)]
        return np.asarray(taken, dtype=np.int64)


def _filled(length: int) -> Int[np.ndarray, " pages"]:
    """Positions in use per page of a stretch of ``length``."""
    used = np.full(math.ceil(length / PAGE), PAGE)
    used[-1] = length - PAGE * (len(used) - 1)
    return used
