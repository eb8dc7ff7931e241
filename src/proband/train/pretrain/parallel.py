"""How the processes of a training share a model.

Every process reads its share of a step, and gradients are added up over all. With ``ddp`` each holds the
whole model; with ``fsdp`` weights, gradients and moments are split among them, block by block.
"""

from __future__ import annotations

import contextlib
import warnings
from contextlib import AbstractContextManager

from torch import Tensor, nn

from proband.core.running.team import Team
from proband.model.transformer import Proband
from proband.train.config import Parallel


def share_model(model: Proband, team: Team, kind: Parallel) -> nn.Module:
    """Share ``model`` among the processes; returns what to call in training.

    ``model`` itself still evaluates and holds the weights, as shards with ``fsdp``.
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
    """All-reduce gradients with the last micro-batch of a step only."""
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(shared, DistributedDataParallel):
        return contextlib.nullcontext() if is_last else shared.no_sync()
    if isinstance(shared, FSDPModule):
        shared.set_requires_gradient_sync(is_last)
    return contextlib.nullcontext()


def full_tensor(tensor: Tensor) -> Tensor:
    """A tensor put together from its shards; a collective: all processes must call it."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor, cut and placed as ``model`` is; a collective: all processes must call it."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    tensor = tensor.to(model.device)
    if isinstance(model, DTensor):
        return distribute_tensor(tensor, model.device_mesh, model.placements)
    return tensor
