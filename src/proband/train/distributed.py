"""The processes that train together: one alone, or several that torchrun has started.

Every process reads its share of a step, and gradients are added up over all. With ``ddp`` each holds the
whole model; with ``fsdp`` weights, gradients and moments are split among them, block by block. The first
process speaks and writes; all must see the same files.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch import distributed as dist

from proband.core.batch import Batch
from proband.core.errors import ConfigError, ProbandError, first_line
from proband.model.transformer import Proband
from proband.train.config import Parallel

Found = TypeVar("Found")
_FAILED = "proband_failed"
"""Key under which the process that fails first notes its rank, for the others to be silent."""
_STORE_SECONDS = 30
_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""How exchanges fail when the process at the other end was killed."""


@dataclass(frozen=True)
class Team:
    """The processes that train one model, as one of them sees it.

    Attributes:
        rank: This one's number, from 0.
        size: How many there are.
        device: Where this one computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this is the one that speaks and writes."""
        return self.rank == 0

    def to_device(self, batch: Batch) -> Batch:
        """The batch where this process computes."""
        return batch if self.device.type == "cpu" else batch.pinned().to(self.device)

    def sum(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Sums over all processes, the same on each."""
        if self.size == 1:
            return values
        shared = torch.from_numpy(values).to(self.device)
        dist.all_reduce(shared)
        return shared.cpu().numpy()

    def decide(self, function: Callable[[], Found]) -> Found:
        """What the first process finds, told to all; the others do not look."""
        if self.size == 1:
            return function()
        box = [function() if self.is_first else None]
        dist.broadcast_object_list(box, device=self.device)
        return box[0]  # type: ignore[return-value]

    @contextlib.contextmanager
    def sharing(self, opened: AbstractContextManager[Found]) -> Iterator[Found]:
        """What the first process opens and closes, told to all."""
        with contextlib.ExitStack() as stack:
            yield self.decide(lambda: stack.enter_context(opened))

    def wait(self) -> None:
        """Go on once all have come here."""
        if self.size > 1:
            self.sum(np.zeros(1))


@contextlib.contextmanager
def join_team(device: torch.device) -> Iterator[Team]:
    """This process's team, by what torchrun says; alone without it.

    When one process fails, all end: the first to fail raises its error, the others leave quietly.

    Args:
        device: Where to compute; of several GPUs, the one of this process's local rank is taken.
    """
    if not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Team(device=device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    team = Team(dist.get_rank(), dist.get_world_size(), device)
    with _one_speaks(team):
        yield team
        team.wait()  # whoever leaves first would cut the others' last exchange
    dist.destroy_process_group()


@contextlib.contextmanager
def _one_speaks(team: Team) -> Iterator[None]:
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=_STORE_SECONDS))
    name, key = str(team.rank), f"{_FAILED}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # agreed on by all, after a signal
        if team.is_first:
            raise
        raise SystemExit(0) from None
    except Exception as error:
        is_first = store.compare_set(key, "", name).decode() == name
        # Once a process is gone, the exchanges of the others fail too, in ways of their own.
        if not is_first and isinstance(error, ProbandError | RuntimeError):
            raise SystemExit(2) from None
        if isinstance(error, dist.DistBackendError) or any(text in str(error) for text in _LOST):
            raise ConfigError(
                "another process of the training ended without a word",
                found=first_line(error),
                remedy="if memory was full, lower --token-budget; the same command goes on",
            ) from None
        raise


def share_model(model: Proband, team: Team, kind: Parallel) -> nn.Module:
    """Share ``model`` among the team; returns what to call in training.

    ``model`` itself stays what evaluates and holds the weights, as shards with ``fsdp``.
    """
    if team.size == 1:
        return model
    if kind == "ddp":
        from torch.nn.parallel import DistributedDataParallel

        devices = [team.device] if team.device.type == "cuda" else None
        return DistributedDataParallel(
            model, device_ids=devices, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # Blocks return keys and values too, which training does not touch.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(team.device.type, (team.size,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def accumulating(shared: nn.Module, is_last: bool) -> AbstractContextManager[None]:
    """Let the team exchange gradients with the last micro-batch of a step only."""
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(shared, DistributedDataParallel):
        return contextlib.nullcontext() if is_last else shared.no_sync()
    if isinstance(shared, FSDPModule):
        shared.set_requires_gradient_sync(is_last)
    return contextlib.nullcontext()


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together from its shards; all processes must ask for it."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor, cut and placed as ``model`` is; all processes must ask for it."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    tensor = tensor.to(model.device)
    if isinstance(model, DTensor):
        return distribute_tensor(tensor, model.device_mesh, model.placements)
    return tensor
