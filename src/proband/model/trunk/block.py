"""One transformer block: pre-norm attention, then a SwiGLU layer."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from proband.model.config import ModelConfig
from proband.model.kernels.pages import Pages, Window
from proband.model.kernels.rotate import RotaryAngles
from proband.model.trunk.attention import Attention
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
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)


class Block(nn.Module):
    """Attention and feed-forward around a residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.dim)
        self.attention = Attention(config)
        self.feed_norm = nn.RMSNorm(config.dim)
        self.feed = SwiGLU(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        for layer in (self.attention.output, self.feed.down):  # the stream's variance stays flat in depth
            layer.start_small(_INITIAL_SD / (2 * config.depth) ** 0.5, config.dim)

    def forward(
        self, x: Float[Tensor, "batch length dim"], angles: RotaryAngles
    ) -> tuple[Float[Tensor, "batch length dim"], tuple[Tensor, Tensor]]:
        """Transform a window; also return keys and values, for a cache."""
        mixed, cache = self.attention(self.attention_norm(x), angles)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.feed(self.feed_norm(x))), cache

    def step(
        self,
        x: Float[Tensor, "rows 1 dim"],
        angles: RotaryAngles,
        lead_angles: RotaryAngles | None,
        pages: Pages,
        window: Window,
    ) -> Float[Tensor, "rows 1 dim"]:
        """Transform one new token per row (see :meth:`Attention.step`)."""
        x = x + self.attention.step(self.attention_norm(x), angles, lead_angles, pages, window)
        return x + self.feed(self.feed_norm(x))
