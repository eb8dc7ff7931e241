"""Windows of records, grouped by length into batches of a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int

from proband.core.batch import CENSORED, EVENT, NOT_SCORED, Batch
from proband.core.seeds import generator
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable, modality_inputs

_POOL_BATCHES = 64


@dataclass(frozen=True)
class Windows:
    """Slices of records: tokens ``start`` to ``stop`` of subject ``row``, scored from ``scored`` on.

    A record longer than the context is covered by windows that overlap by half, so that every event is
    scored exactly once, with at least half a context of history.
    """

    row: Int[np.ndarray, " windows"]
    start: Int[np.ndarray, " windows"]
    stop: Int[np.ndarray, " windows"]
    scored: Int[np.ndarray, " windows"]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def lengths(self) -> Int[np.ndarray, " windows"]:
        """Tokens per window."""
        return self.stop - self.start

    def take(self, index: np.ndarray) -> Windows:
        """The windows at ``index``, in that order."""
        return Windows(self.row[index], self.start[index], self.stop[index], self.scored[index])

    def ending(self, stop: Int[np.ndarray, " windows"]) -> Windows:
        """The windows cut at other ends."""
        return Windows(self.row, self.start, stop, self.scored)


def make_windows(store: TokenStore, rows: Int[np.ndarray, " rows"], context: int) -> Windows:
    """Windows that cover the records of ``rows``."""
    stride = context // 2
    lengths = store.offsets[rows + 1] - store.offsets[rows]
    numbers = 1 + np.maximum(0, -(-(lengths - context) // stride))
    row = np.repeat(rows, numbers)
    within = np.arange(len(row)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    start = within * stride
    stop = np.minimum(start + context, np.repeat(lengths, numbers))
    scored = np.where(within == 0, 0, start + context - stride)
    return Windows(row, start, stop, scored)


def plan_batches(
    lengths: Int[np.ndarray, " windows"], token_budget: int, shuffle: np.random.Generator | None = None
) -> list[Int[np.ndarray, " batch"]]:
    """Group windows of similar length so that rows times longest stays within ``token_budget``.

    With ``shuffle``, windows are mixed, sorted by length only within pools of some batches, and the batches'
    order is mixed again; without, all are sorted by length. Every window is in exactly one batch; one that
    alone exceeds the budget is a batch of its own.
    """
    if shuffle is None:
        order = np.argsort(lengths, kind="stable")
    else:
        order = _sorted_pools(lengths, token_budget, shuffle)
    ordered, batches, begin = lengths[order], [], 0
    while begin < len(order):
        ahead = ordered[begin : begin + max(1, token_budget // int(ordered[begin]))]
        padded = np.maximum.accumulate(ahead) * np.arange(1, len(ahead) + 1)
        end = begin + max(1, int(np.count_nonzero(padded <= token_budget)))
        batches.append(order[begin:end])
        begin = end
    if shuffle is not None:
        batches = [batches[number] for number in shuffle.permutation(len(batches))]
    return batches


def _sorted_pools(
    lengths: Int[np.ndarray, " windows"], token_budget: int, shuffle: np.random.Generator
) -> Int[np.ndarray, " windows"]:
    """All windows, mixed, then sorted by length within pools: up in one and down in the next, so that a
    batch across two pools holds windows of similar length too."""
    order = shuffle.permutation(len(lengths))
    pool = max(1, int(_POOL_BATCHES * token_budget / max(1.0, float(lengths.mean())))) if len(order) else 1
    for number, at in enumerate(range(0, len(order), pool)):
        part = order[at : at + pool]
        ascending = part[np.argsort(lengths[part], kind="stable")]
        order[at : at + pool] = ascending[::-1] if number % 2 else ascending
    return order


def epoch_batches(
    windows: Windows, token_budget: int, seed: int, epoch: int
) -> list[Int[np.ndarray, " batch"]]:
    """The batches of one training epoch, a function of (seed, epoch) alone."""
    return plan_batches(windows.lengths, token_budget, generator(seed, "batches", epoch))


def load_batch(
    store: TokenStore, windows: Windows, modalities: Mapping[str, ModalityTable] | None = None
) -> Batch:
    """Read windows into a right-padded batch, with the targets that follow-up allows."""
    inside = np.arange(int(windows.lengths.max()))
    real = inside < windows.lengths[:, None]
    # Each window and the token after it; beyond a record's end its last token stands in, and is masked.
    last = store.offsets[windows.row + 1] - 1
    index = np.minimum(
        (store.offsets[windows.row] + windows.start)[:, None] + np.arange(len(inside) + 1), last[:, None]
    )
    tokens, minutes = (np.asarray(array[index], dtype=np.int64) for array in (store.tokens, store.minutes))
    ages = np.where(real, minutes[:, :-1], 0)
    target, until = _targets(store, windows, real, index, minutes)
    scored = target != NOT_SCORED
    arrays = {
        "tokens": np.where(real, tokens[:, :-1], 0),
        "ages": ages,
        "target": target,
        "next_tokens": np.where(target == EVENT, tokens[:, 1:], 0),
        "gaps": np.where(scored, until - ages, 0),
        "waited": np.where(scored, np.maximum(0, store.entry[windows.row][:, None] - ages), 0),
        "statics": store.statics[windows.row].astype(np.int64),
        "seen_before": store.codes_before(windows.row, windows.start),
        "rows": windows.row.astype(np.int64),
    }
    return Batch(
        **{name: torch.from_numpy(array) for name, array in arrays.items()},
        modalities=modality_inputs(modalities or {}, windows.row, ages),
    )


def _targets(
    store: TokenStore,
    windows: Windows,
    real: Bool[np.ndarray, "batch length"],
    index: Int[np.ndarray, "batch length_and_one"],
    minutes: Int[np.ndarray, "batch length_and_one"],
) -> tuple[Int[np.ndarray, "batch length"], Int[np.ndarray, "batch length"]]:
    """What each position is asked, and the age in minutes of its answer: next event or end of follow-up."""
    entry, exit_ = (times[windows.row][:, None].astype(np.int64) for times in (store.entry, store.exit))
    ages, after = minutes[:, :-1], minutes[:, 1:]
    followed = real & (index[:, 1:] > index[:, :-1])
    scored = windows.start[:, None] + np.arange(real.shape[1]) >= windows.scored[:, None]
    event = scored & followed & (after > entry)
    alive = ~store.died[windows.row][:, None]
    end = scored & real & ~followed & alive & (exit_ > np.maximum(ages, entry))
    return np.where(event, EVENT, np.where(end, CENSORED, NOT_SCORED)), np.where(end, exit_, after)


def sequential_batches(
    store: TokenStore,
    rows: Int[np.ndarray, " rows"],
    context: int,
    token_budget: int,
    modalities: Mapping[str, ModalityTable] | None = None,
) -> Iterator[Batch]:
    """Every window of ``rows`` once, sorted by length: for evaluation."""
    windows = make_windows(store, rows, context)
    for index in plan_batches(windows.lengths, token_budget):
        yield load_batch(store, windows.take(index), modalities)
