"""RMS norm, the gate of SwiGLU, and dropout, with fewer passes over the data on a CPU.

On other devices, and in compiled code, they are PyTorch's own, whose kernels are fused there.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_LEVELS = 1 << 16
"""Random 16-bit numbers, four from each draw of the generator, decide what is dropped."""


def _is_plain(x: Tensor) -> bool:
    """Whether PyTorch's own kernels serve ``x``: not on a CPU, or compiled."""
    return x.device.type != "cpu" or torch.compiler.is_compiling()


def _is_inference(x: Tensor) -> bool:
    """Whether numba's kernels serve ``x``: on a CPU, in float32, without gradients."""
    return not (_is_plain(x) or torch.is_grad_enabled() or x.dtype != torch.float32)


def rms_norm(
    x: Float[Tensor, "*batch dim"], weight: Float[Tensor, " dim"], eps: float | None = None
) -> Float[Tensor, "*batch dim"]:
    """``x / sqrt(mean(x²) + eps) * weight`` over the last axis; ``eps`` is by default the type's."""
    if _is_plain(x):
        return F.rms_norm(x, x.shape[-1:], weight, eps)
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    if _is_inference(x):
        from proband.model.kernels.layers_numba import normalise  # numba takes a fifth of a second

        x = x.contiguous()
        y, rows = torch.empty_like(x), (-1, x.shape[-1])
        normalise(x.view(rows).numpy(), weight.numpy(), eps, y.view(rows).numpy())
        return y
    return _OverRoot.apply(x, eps) * weight


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


def swiglu(
    x: Float[Tensor, "*batch dim"], weight: Float[Tensor, "twice dim"]
) -> Float[Tensor, "*batch hidden"]:
    """``silu(x A) * (x B)`` for the two halves A and B of ``weight``."""
    if torch.is_grad_enabled():
        gate, value = weight.chunk(2)  # two products: halves of one would not be contiguous
        return F.silu(F.linear(x, gate)) * F.linear(x, value)
    return gated(F.linear(x, weight))


def gated(x: Float[Tensor, "*batch twice"]) -> Float[Tensor, "*batch hidden"]:
    """``silu(a) * b`` for the halves a and b of the last axis."""
    if not _is_inference(x):
        a, b = x.chunk(2, dim=-1)
        return F.silu(a) * b
    from proband.model.kernels.layers_numba import gate

    x = x.contiguous()
    y = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
    gate(x.view(-1, x.shape[-1]).numpy(), y.view(-1, y.shape[-1]).numpy())
    return y


def dropout(x: Float[Tensor, "*shape"], share: float) -> Float[Tensor, "*shape"]:
    """``x`` with a share of its values at random 0, the others scaled; a multiple of 2^−16 on a CPU."""
    if _is_plain(x):
        return F.dropout(x, share)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    levels = draws.view(torch.int16)[: x.numel()].view(x.shape)
    dropped = round(share * _LEVELS)
    kept = levels >= dropped - _LEVELS // 2
    return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))
