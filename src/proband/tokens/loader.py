"""Windows of records, grouped by length into batches of a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from proband.core.batch import CENSORED, EVENT, NOT_SCORED, Batch
from proband.core.seeds import generator
from proband.tokens.dataset import TokenStore
from proband.tokens.modality import ModalityTable, modality_inputs

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
    order = np.argsort(lengths, kind="stable") if shuffle is None else shuffle.permutation(len(lengths))
    if shuffle is not None and len(order):
        pool = max(1, int(_POOL_BATCHES * token_budget / max(1.0, float(lengths.mean()))))
        pools = [order[at : at + pool] for at in range(0, len(order), pool)]
        order = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in pools])
    batches, begin, longest = [], 0, 0
    for at, index in enumerate(order):
        longest_with = max(longest, int(lengths[index]))
        if at > begin and longest_with * (at - begin + 1) > token_budget:
            batches.append(order[begin:at])
            begin, longest_with = at, int(lengths[index])
        longest = longest_with
    if begin < len(order):
        batches.append(order[begin:])
    if shuffle is not None:
        batches = [batches[number] for number in shuffle.permutation(len(batches))]
    return batches


def epoch_batches(
    windows: Windows, token_budget: int, seed: int, epoch: int
) -> list[Int[np.ndarray, " batch"]]:
    """The batches of one training epoch, a function of (seed, epoch) alone."""
    return plan_batches(windows.lengths, token_budget, generator(seed, "batches", epoch))


def load_batch(
    store: TokenStore, windows: Windows, modalities: Mapping[str, ModalityTable] | None = None
) -> Batch:
    """Read windows into a right-padded batch, with the targets that follow-up allows."""
    size, length = len(windows), int(windows.lengths.max())
    arrays = {name: np.zeros((size, length), dtype=np.int64) for name in _POSITIONAL}
    for at in range(size):
        _fill_row(store, windows, at, arrays)
    return Batch(
        **{name: torch.from_numpy(array) for name, array in arrays.items()},
        statics=torch.from_numpy(store.statics[windows.row].astype(np.int64)),
        seen_before=torch.from_numpy(store.codes_before(windows.row, windows.start)),
        rows=torch.from_numpy(windows.row.astype(np.int64)),
        modalities=modality_inputs(modalities or {}, windows.row, arrays["ages"]),
    )


_POSITIONAL = ("tokens", "ages", "target", "next_tokens", "gaps", "waited")


def _fill_row(store: TokenStore, windows: Windows, at: int, arrays: Mapping[str, np.ndarray]) -> None:
    row, start, stop = int(windows.row[at]), int(windows.start[at]), int(windows.stop[at])
    begin, end = int(store.offsets[row]), int(store.offsets[row + 1])
    length = stop - start
    ages = store.minutes[begin + start : begin + stop].astype(np.int64)
    arrays["tokens"][at, :length] = store.tokens[begin + start : begin + stop]
    arrays["ages"][at, :length] = ages
    following = slice(begin + start + 1, min(begin + stop + 1, end))
    num_next = following.stop - following.start
    target = np.full(length, NOT_SCORED)
    after = store.minutes[following].astype(np.int64)
    entry, exit_ = int(store.entry[row]), int(store.exit[row])
    target[:num_next] = np.where(after > entry, EVENT, NOT_SCORED)
    gaps = np.zeros(length, dtype=np.int64)
    gaps[:num_next] = after - ages[:num_next]
    if num_next < length and not store.died[row] and exit_ > max(int(ages[-1]), entry):
        target[-1], gaps[-1] = CENSORED, exit_ - ages[-1]
    target[: max(0, int(windows.scored[at]) - start)] = NOT_SCORED
    scored = target != NOT_SCORED
    arrays["target"][at, :length] = target
    arrays["next_tokens"][at, :num_next] = np.where(target[:num_next] == EVENT, store.tokens[following], 0)
    arrays["gaps"][at, :length] = np.where(scored, gaps, 0)
    arrays["waited"][at, :length] = np.where(scored, np.maximum(0, entry - ages), 0)


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
