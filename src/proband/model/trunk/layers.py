"""Layers that PyTorch has, written so that a CPU passes over the data less often.

On other devices, and in compiled code, they are PyTorch's own, whose kernels are fused there.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 1 << 16
"""Random 16-bit numbers, four from each draw of the generator, decide what is dropped."""


def _own_kernel(x: Tensor) -> bool:
    return x.device.type != "cpu" or torch.compiler.is_compiling()


def _one_pass(x: Tensor) -> bool:
    """Whether ``x`` is for the compiled layers: on a CPU, in float32, and nothing to be learnt."""
    return not (_own_kernel(x) or torch.is_grad_enabled() or x.dtype != torch.float32)


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """``x`` over its root mean square, times the weight."""
        if _own_kernel(x):
            return super().forward(x)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        if _one_pass(x):
            from proband.model.kernels.layers_numba import normalise  # numba takes a fifth of a second

            x = x.contiguous()
            y, rows = torch.empty_like(x), (-1, x.shape[-1])
            normalise(x.view(rows).numpy(), self.weight.numpy(), eps, y.view(rows).numpy())
            return y
        return _OverRoot.apply(x, eps) * self.weight


class _OverRoot(torch.autograd.Function):
    """y = x r with r = (mean x² + eps)^−½, so that dx = r (dy − y mean(y dy))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        inverse = (torch.linalg.vecdot(x, x) / x.shape[-1] + eps).rsqrt_()[..., None]
        y = x * inverse
        ctx.save_for_backward(y, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        y, inverse = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, y)[..., None] / y.shape[-1]
        return torch.addcmul(grad, y, along, value=-1) * inverse, None


def gated(x: Float[Tensor, "*batch twice"]) -> Float[Tensor, "*batch hidden"]:
    """``silu(a) * b`` for the halves a and b of the last axis."""
    if not _one_pass(x):
        a, b = x.chunk(2, dim=-1)
        return F.silu(a) * b
    from proband.model.kernels.layers_numba import gate

    x = x.contiguous()
    y = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
    gate(x.view(-1, x.shape[-1]).numpy(), y.view(-1, y.shape[-1]).numpy())
    return y


class Dropout(nn.Dropout):
    """Sets a share of values to 0 in training and scales the others; the share is a multiple of 2^−16."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """``x`` in evaluation, a random part of it in training."""
        if _own_kernel(x) or not self.training or not self.p:
            return super().forward(x)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
        levels = draws.view(torch.int16)[: x.numel()].view(x.shape)
        dropped = round(self.p * _LEVELS)
        kept = levels >= dropped - _LEVELS // 2
        return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))
