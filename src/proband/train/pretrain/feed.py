"""What every optimiser step reads: an endless stream of steps, cut into micro-batches, loaded ahead.

A step's windows are a function of (seed, epoch), whatever the memory and the number of processes. They are
cut into micro-batches of ``token_budget`` padded tokens; process r of w takes those numbered r mod w. Dropout
of a micro-batch is a function of (seed, step, its number), so that neither resuming nor sharing changes it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Int

from proband.core.batch import NOT_SCORED, Batch
from proband.core.running.team import Team
from proband.core.seeds import name_key
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import Windows, epoch_batches, load_batch, make_windows, plan_batches
from proband.tokens.modalities.modality import ModalityTable
from proband.train.config import TrainConfig

Item = TypeVar("Item")
_AHEAD = 2
"""Steps loaded ahead: one in use, one ready; more would only hold memory."""
_CHECK_SECONDS = 0.1


@dataclass(frozen=True)
class Step:
    """One optimiser step, as one process sees it.

    Attributes:
        epoch, index: Where the stream stands after this step.
        micro: This process's micro-batches, on its device; every process has as many.
        keys: Seed of each one's dropout.
        num_real, num_padded: Tokens of this process's micro-batches, without and with padding.
    """

    epoch: int
    index: int
    micro: list[Batch]
    keys: list[int]
    num_real: int
    num_padded: int


class StepStream:
    """The steps of a training, from any point on.

    Args:
        store: Tokens.
        tables: Modalities by name.
        config: Settings.
        team: Which process this is, and of how many.
    """

    def __init__(
        self, store: TokenStore, tables: Mapping[str, ModalityTable], config: TrainConfig, team: Team
    ) -> None:
        self.store, self.tables, self.config, self.team = store, tables, config, team
        self.windows: Windows = make_windows(store, store.rows_of("train"), config.context)
        self.steps_per_epoch = len(self._plan(0))

    def _plan(self, epoch: int) -> list[Int[np.ndarray, " batch"]]:
        return epoch_batches(self.windows, self.config.batch_tokens, self.config.seed, epoch)

    def steps(self, epoch: int = 0, index: int = 0) -> Iterator[Step]:
        """Steps without end, from step ``index`` of pass ``epoch`` on."""
        while True:
            plan = self._plan(epoch)
            for number in range(index, len(plan)):
                yield self._load(epoch, number, plan[number])
            epoch, index = epoch + 1, 0

    def _load(self, epoch: int, index: int, chosen: Int[np.ndarray, " batch"]) -> Step:
        parts = cut(self.windows.lengths[chosen], self.config.token_budget, self.team.size)
        micro, keys, num_real, num_padded = [], [], 0, 0
        for number in range(self.team.rank, _whole_rounds(len(parts), self.team.size), self.team.size):
            windows = self.windows.take(chosen[parts[min(number, len(parts) - 1)]])
            batch = load_batch(self.store, windows, self.tables)
            if number < len(parts):
                num_real += int(windows.lengths.sum())
                num_padded += batch.tokens.numel()
            else:
                batch = unscored(batch)
            micro.append(self.team.to_device(batch))
            keys.append(name_key("dropout", self.config.seed, epoch, index, number))
        return Step(epoch, index + 1, micro, keys, num_real, num_padded)

    def tuning(self, token_budget: int) -> Iterator[Batch]:
        """This process's share of the tuning windows; every process gets as many batches."""
        windows = make_windows(self.store, self.store.rows_of("tuning"), self.config.context)
        plan = plan_batches(windows.lengths, token_budget)
        for number in range(self.team.rank, _whole_rounds(len(plan), self.team.size), self.team.size):
            batch = load_batch(self.store, windows.take(plan[min(number, len(plan) - 1)]), self.tables)
            yield self.team.to_device(batch if number < len(plan) else unscored(batch))


def cut(
    lengths: Int[np.ndarray, " windows"], token_budget: int | None, processes: int
) -> list[Int[np.ndarray, " part"]]:
    """Cut a step's windows into micro-batches.

    Args:
        lengths: Tokens of each window.
        token_budget: Padded tokens of a micro-batch, at most (one window may exceed it); None for one
            micro-batch per process, of as many windows each as can be.
        processes: How many share the step.

    Returns:
        Positions in ``lengths``, every one once.
    """
    if token_budget is not None:
        return plan_batches(lengths, token_budget)
    order = np.argsort(lengths, kind="stable")
    return [part for part in np.array_split(order, processes) if len(part)]


def unscored(batch: Batch) -> Batch:
    """The batch with nothing to predict: padding where a process has none, since collectives need all."""
    return replace(batch, target=torch.full_like(batch.target, NOT_SCORED))


def _whole_rounds(number: int, processes: int) -> int:
    return -(-number // processes) * processes


class Ahead(Generic[Item]):
    """Iterates over ``items`` that a thread prepares ahead; an error there is raised here.

    Args:
        items: Read in the thread alone, in order.

    Attributes:
        waited: Seconds that the consumer has waited for an item.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.waited = 0.0
        self._queue: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(items,), name="loader", daemon=True)

    def __enter__(self) -> Ahead[Item]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while True:
            began = time.perf_counter()
            item, error = self._queue.get()
            self.waited += time.perf_counter() - began
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    def take_waited(self) -> float:
        """Seconds waited since the last call."""
        waited, self.waited = self.waited, 0.0
        return waited

    def _work(self, items: Iterable[Item]) -> None:
        try:
            for item in items:
                if not self._put(item, None):
                    return
            self._put(None, None)
        except BaseException as error:
            self._put(None, error)

    def _put(self, item: Item | None, error: BaseException | None) -> bool:
        """Block while the queue is full; False once the reader has stopped."""
        while not self._stopped.is_set():
            try:
                self._queue.put((item, error), timeout=_CHECK_SECONDS)
            except queue.Full:
                continue
            return True
        return False
