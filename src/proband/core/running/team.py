"""The process group of a stage: one process alone, or several that torchrun has started.

Rank 0 prints and writes; all processes must see the same files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import distributed as dist

from proband.core.batch import Batch
from proband.core.errors import ConfigError, ProbandError, first_line

Found = TypeVar("Found")
_FAILED = "proband_failed"
"""Key under which the process that fails first stores its rank; the others end without a message."""
_STORE_TIMEOUT = timedelta(seconds=30)
"""Of the store, once the process group is initialised."""
_RENDEZVOUS_TIMEOUT = timedelta(minutes=30)
"""Until all processes of a group have started; PyTorch's default for gloo."""
_COLLECTIVE_TIMEOUT = timedelta(days=30)
"""Of a collective operation. What rank 0 does alone, such as fitting onset hazards, may take hours while the
others wait; a process that fails ends them all, whatever this is."""
_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""How collectives fail when a peer was killed."""


@dataclass(frozen=True)
class Team:
    """The process group that works on one output, as one of its processes sees it.

    Attributes:
        rank: Rank of this process, from 0.
        size: World size.
        device: Where this process computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which alone prints and writes."""
        return self.rank == 0

    def to_device(self, batch: Batch) -> Batch:
        """The batch where this process computes."""
        return batch if self.device.type == "cpu" else batch.pinned().to(self.device)

    def sum(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Sums over all processes (all-reduce)."""
        if self.size == 1:
            return values
        shared = torch.from_numpy(values).to(self.device)
        dist.all_reduce(shared)
        return shared.cpu().numpy()

    def decide(self, function: Callable[[], Found]) -> Found:
        """What ``function`` returns on rank 0, broadcast to all; other ranks do not call it."""
        if self.size == 1:
            return function()
        box = [function() if self.is_first else None]
        dist.broadcast_object_list(box, device=self.device)
        return box[0]  # type: ignore[return-value]

    @contextlib.contextmanager
    def sharing(self, opened: AbstractContextManager[Found]) -> Iterator[Found]:
        """What rank 0 opens and closes, told to all."""
        with contextlib.ExitStack() as stack:
            yield self.decide(lambda: stack.enter_context(opened))

    def wait(self) -> None:
        """A barrier."""
        if self.size > 1:
            self.sum(np.zeros(1))


@contextlib.contextmanager
def join_team(device: torch.device) -> Iterator[Team]:
    """This process's group, from the environment that torchrun sets; a group of one without it.

    When one process fails, all end: the first to fail raises its error, the others exit without a message.

    Args:
        device: Where to compute; of several GPUs, the one of this process's local rank is taken.
    """
    if not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Team(device=device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_COLLECTIVE_TIMEOUT, **_rendezvous())
    team = Team(dist.get_rank(), dist.get_world_size(), device)
    with _one_error(team):
        yield team
        team.wait()  # a process that ends first would break the others' last collective
    dist.destroy_process_group()


def _rendezvous() -> dict[str, Any]:
    """Arguments of ``init_process_group``: a store with keys of this attempt alone, where torchrun keeps one.

    Its agent has one store for all attempts. A restarted process would otherwise connect to the address of a
    killed one, until that one's successor has written its own.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True):
        return {}
    store = dist.PrefixStore(f"proband/{_attempt()}", _agents_store(_RENDEZVOUS_TIMEOUT))
    return {"store": store, "rank": int(os.environ["RANK"]), "world_size": int(os.environ["WORLD_SIZE"])}


def _agents_store(timeout: timedelta) -> dist.TCPStore:
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return dist.TCPStore(host, port, is_master=False, timeout=timeout)


def _attempt() -> str:
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


@contextlib.contextmanager
def _one_error(team: Team) -> Iterator[None]:
    store = _agents_store(_STORE_TIMEOUT)
    name, key = str(team.rank), f"{_FAILED}/{_attempt()}"
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # agreed on by all, after a signal
        if team.is_first:
            raise
        raise SystemExit(0) from None
    except Exception as error:
        is_first = store.compare_set(key, "", name).decode() == name
        # Once a process is gone, the collectives of the others fail too, with errors of their own.
        if not is_first and isinstance(error, ProbandError | RuntimeError):
            raise SystemExit(2) from None
        if isinstance(error, dist.DistBackendError) or any(text in str(error) for text in _LOST):
            raise ConfigError(
                "another process of the training ended without a word",
                found=first_line(error),
                remedy="if memory was full, lower --token-budget; the same command goes on",
            ) from None
        raise
