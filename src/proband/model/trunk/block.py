"""One transformer block: pre-norm attention, then a SwiGLU layer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from proband.model.config import ModelConfig
from proband.model.kernels.pages import Pages, Window
from proband.model.trunk.attention import Attention
from proband.model.trunk.layers import Dropout, RMSNorm, gated
from proband.model.trunk.rotary import Turn
from proband.model.trunk.width import WideLinear

_INITIAL_SD = 0.02


class SwiGLU(nn.Module):
    """Gated feed-forward layer (Shazeer 2020, arXiv 2002.05202) with about 8 dim² weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = 8 * round(dim / 3)
        self.up = WideLinear(dim, 2 * hidden, bias=False)
        self.down = WideLinear(hidden, dim, bias=False)

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Apply position by position."""
        if not torch.is_grad_enabled():
            return self.down(gated(self.up(x)))
        gate, value = self.up.weight.chunk(2)  # two products: halves of one would not be contiguous
        return self.down(F.silu(F.linear(x, gate)) * F.linear(x, value))


class Block(nn.Module):
    """Attention and feed-forward around a residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.dim)
        self.attention = Attention(config)
        self.feed_norm = RMSNorm(config.dim)
        self.feed = SwiGLU(config.dim)
        self.dropout = Dropout(config.dropout)
        for layer in (self.attention.output, self.feed.down):  # the stream's variance stays flat in depth
            layer.start_small(_INITIAL_SD / (2 * config.depth) ** 0.5, config.dim)

    def forward(
        self, x: Float[Tensor, "batch length dim"], turn: Turn
    ) -> tuple[Float[Tensor, "batch length dim"], tuple[Tensor, Tensor]]:
        """Transform a window; also return keys and values, for a cache."""
        mixed, cache = self.attention(self.attention_norm(x), turn)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.feed(self.feed_norm(x))), cache

    def step(
        self,
        x: Float[Tensor, "rows 1 dim"],
        turn: Turn,
        lead_turn: Turn | None,
        pages: Pages,
        window: Window,
    ) -> Float[Tensor, "rows 1 dim"]:
        """Transform one new token per row (see :meth:`Attention.step`)."""
        x = x + self.attention.step(self.attention_norm(x), turn, lead_turn, pages, window)
        return x + self.feed(self.feed_norm(x))
