"""Causal attention: over a window, or a step at a time."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from proband.model.config import ModelConfig
from proband.model.kernels.attention import causal_attention
from proband.model.kernels.pages import Pages, Window, attend
from proband.model.kernels.rotate import RotaryAngles, rotate
from proband.model.trunk.width import WideLinear


class Attention(nn.Module):
    """Multi-head causal self-attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.inputs = WideLinear(config.dim, 3 * config.dim, bias=False)
        self.output = WideLinear(config.dim, config.dim, bias=False)

    def project(
        self, x: Float[Tensor, "batch length dim"], angles: RotaryAngles
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, each (batch, heads, length, head_dim)."""
        batch, length, dim = x.shape
        heads = (self.num_heads, dim // self.num_heads)
        # Two products, because slices of one would not be contiguous, which costs more in all that follows.
        queries_keys, values = self.inputs.weight.split([2 * dim, dim])
        q, k = rotate(F.linear(x, queries_keys).view(batch, length, 2, *heads), angles).unbind(2)
        v = F.linear(x, values).view(batch, length, *heads)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def forward(
        self, x: Float[Tensor, "batch length dim"], angles: RotaryAngles
    ) -> tuple[Float[Tensor, "batch length dim"], tuple[Tensor, Tensor]]:
        """Attend within the window; also return keys and values, for a cache."""
        q, k, v = self.project(x, angles)
        mixed = causal_attention(q, k, v)
        return self.output(mixed.transpose(1, 2).flatten(2)), (k, v)

    def step(
        self,
        x: Float[Tensor, "rows 1 dim"],
        angles: RotaryAngles,
        lead_angles: RotaryAngles | None,
        pages: Pages,
        window: Window,
    ) -> Float[Tensor, "rows 1 dim"]:
        """One new token per row, attending to the row's pages and to itself.

        Args:
            x: Input of the new tokens.
            angles: Rotary angles of the new tokens.
            lead_angles: Further rotation of queries to the leading positions, if any.
            pages: Keys and values so far; those of the new tokens are written here.
            window: Which pages each row reads.
        """
        projected = self.inputs(x).view(len(x), 3, self.num_heads, -1)
        mixed = attend(projected, angles, lead_angles, pages, window)
        return self.output(mixed.flatten(1)[:, None])
