"""Causal attention over a window."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def causal_attention(
    q: Float[Tensor, "batch heads length head_dim"],
    k: Float[Tensor, "batch heads length head_dim"],
    v: Float[Tensor, "batch heads length head_dim"],
) -> Float[Tensor, "batch heads length head_dim"]:
    """Softmax attention of each position to itself and those before it.

    In float32 on a CPU, where the backward pass in bfloat16 takes several times longer.
    """
    if v.device.type != "cpu":
        return F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q, k, v.float(), is_causal=True)
