"""How numbers are computed: precision, compilation, and the error when memory is full."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch

from proband.core.errors import ConfigError
from proband.core.running.device import has_bfloat16
from proband.model.transformer import Proband
from proband.model.trunk.block import Block
from proband.train.config import Precision

BFLOAT16_WIDTH = 384
"""Width from which bfloat16 pays on a CPU that multiplies in it; below, casting costs more than it saves."""


def choose_precision(precision: Precision, device: torch.device, width: int) -> torch.dtype:
    """The type of matrix products and activations.

    ``auto`` is bfloat16 on a GPU that has it, and on a CPU that multiplies in it for models of a width of 384
    or more; else float32.
    """
    if precision != "auto":
        return torch.float32 if precision == "float32" else torch.bfloat16
    pays = has_bfloat16(device) and (device.type == "cuda" or width >= BFLOAT16_WIDTH)
    return torch.bfloat16 if pays else torch.float32


def computing_in(precision: torch.dtype, device: torch.device) -> AbstractContextManager[None]:
    """Products in ``precision``; weights stay float32, as do the heads' log probabilities."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16)


def prepare(model: Proband, device: torch.device, compiled: bool) -> None:
    """Move the model to ``device``; float32 products of a GPU use TF32; blocks are compiled on demand."""
    model.to(device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    if compiled:
        for block in model.blocks:
            assert isinstance(block, Block)
            block.compile(dynamic=True)  # windows of all lengths


@contextlib.contextmanager
def explained_memory(where: str, tokens: int) -> Iterator[None]:
    """Turn a failed allocation into one line that names the option to change.

    Args:
        where: The step.
        tokens: Padded tokens computed at once.

    Raises:
        ConfigError: Memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and "can't allocate memory" not in str(error):  # so says torch's allocator on the CPU
            raise
        raise ConfigError(
            "out of memory",
            where=where,
            found=f"{tokens} padded tokens computed at once",
            remedy="the same command with a lower --token-budget goes on; only random masks change",
        ) from None
