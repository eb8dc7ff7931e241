"""Causal attention with rotary embeddings of position and of age: over a window, or a step at a time."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from proband.core.units import DAYS_PER_YEAR, MINUTES_PER_YEAR
from proband.model.config import ModelConfig
from proband.model.pages import Pages, Window, attend
from proband.model.width import WideLinear

_POSITION_BASE = 10_000.0  # as in Su et al. 2021, doi:10.1016/j.neucom.2023.127063
_SHORTEST_PERIOD_YEARS = 30 / DAYS_PER_YEAR
_LONGEST_PERIOD_YEARS = 200.0

Turn = Float[Tensor, "batch length 1 1 pairs 2"]
"""Cosine and sine of the rotary angles."""


class Rotary(nn.Module):
    """Half the rotary pairs turn with position, half with age in years.

    Age periods are log-spaced from a month to two centuries, so that attention sees how long ago, not only
    how many tokens ago.
    """

    position_rates: Tensor
    age_rates: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        pairs = head_dim // 2
        half = pairs // 2
        position = _POSITION_BASE ** (-torch.arange(half) / half)
        periods = torch.logspace(
            math.log10(_SHORTEST_PERIOD_YEARS), math.log10(_LONGEST_PERIOD_YEARS), pairs - half
        )
        self.register_buffer("position_rates", position, persistent=False)
        self.register_buffer("age_rates", 2 * math.pi / periods, persistent=False)

    def forward(self, positions: Int[Tensor, "batch length"], ages: Int[Tensor, "batch length"]) -> Turn:
        """Cosines and sines per position, shared by all heads."""
        years = ages.float() / MINUTES_PER_YEAR
        angles = torch.cat(
            [positions.float()[..., None] * self.position_rates, years[..., None] * self.age_rates], dim=-1
        )
        return torch.stack([angles.cos(), angles.sin()], dim=-1)[:, :, None, None]


def rotate(
    x: Float[Tensor, "batch length several heads head_dim"], turn: Turn
) -> Float[Tensor, "batch length several heads head_dim"]:
    """Turn each pair (two neighbours on the last axis) of ``x`` by its angle, in float32."""
    pairs = x.float().unflatten(-1, (-1, 2))
    if x.device.type == "cpu" and not torch.compiler.is_compiling():  # one pass; compilers fuse the other
        return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turn)).flatten(-2)
    (first, second), (cosine, sine) = pairs.unbind(-1), turn.unbind(-1)
    return torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1).flatten(-2)


class Attention(nn.Module):
    """Multi-head causal self-attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.inputs = WideLinear(config.dim, 3 * config.dim, bias=False)
        self.output = WideLinear(config.dim, config.dim, bias=False)

    def project(self, x: Float[Tensor, "batch length dim"], turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, each (batch, heads, length, head_dim)."""
        batch, length, dim = x.shape
        heads = (self.num_heads, dim // self.num_heads)
        # Two products, because slices of one would not be contiguous, which costs more in all that follows.
        queries_keys, values = self.inputs.weight.split([2 * dim, dim])
        q, k = rotate(F.linear(x, queries_keys).view(batch, length, 2, *heads), turn).unbind(2)
        v = F.linear(x, values).view(batch, length, *heads)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def forward(
        self, x: Float[Tensor, "batch length dim"], turn: Turn
    ) -> tuple[Float[Tensor, "batch length dim"], tuple[Tensor, Tensor]]:
        """Attend within the window; also return keys and values, for a cache."""
        q, k, v = self.project(x, turn)
        mixed = _attend(q, k, v)
        return self.output(mixed.transpose(1, 2).flatten(2)), (k, v)

    def step(
        self,
        x: Float[Tensor, "rows 1 dim"],
        turn: Turn,
        lead_turn: Turn | None,
        pages: Pages,
        window: Window,
    ) -> Float[Tensor, "rows 1 dim"]:
        """One new token per row, attending to the row's pages and to itself.

        Args:
            x: Input of the new tokens.
            turn: Rotary angles of the new tokens.
            lead_turn: Further turn of queries to the leading positions, if any.
            pages: Keys and values so far; those of the new tokens are written here.
            window: Which pages each row reads.
        """
        q, k, v = (item[:, :, 0] for item in self.project(x, turn))
        q_lead = q if lead_turn is None else rotate(q[:, None, None], lead_turn)[:, 0, 0]
        mixed = attend(q, q_lead, k, v, pages, window)
        return self.output(mixed.flatten(1)[:, None])


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Float[Tensor, "batch heads length head_dim"]:
    """Causal attention; in float32 on a CPU, where going back in bfloat16 takes several times longer."""
    if v.device.type != "cpu":
        return F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q, k, v.float(), is_causal=True)
