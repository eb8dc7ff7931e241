"""Rotation of pairs by rotary angles."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

RotaryAngles = Float[Tensor, "batch length 1 1 pairs 2"]
"""Cosine and sine of the rotary angles."""


def rotate(
    x: Float[Tensor, "batch length several heads head_dim"], angles: RotaryAngles
) -> Float[Tensor, "batch length several heads head_dim"]:
    """Rotate each pair (two neighbours on the last axis) of ``x`` by its angle, in float32."""
    pairs = x.float().unflatten(-1, (-1, 2))
    if x.device.type == "cpu" and not torch.compiler.is_compiling():  # one pass; compilers fuse the other
        return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(angles)).flatten(-2)
    (first, second), (cosine, sine) = pairs.unbind(-1), angles.unbind(-1)
    return torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1).flatten(-2)
