"""Causal attention with rotary embeddings of position and of age, and its two-part cache."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from proband.core.units import DAYS_PER_YEAR, MINUTES_PER_YEAR
from proband.model.config import ModelConfig

_POSITION_BASE = 10_000.0  # as in Su et al. 2021, doi:10.1016/j.neucom.2023.127063
_SHORTEST_PERIOD_YEARS = 30 / DAYS_PER_YEAR
_LONGEST_PERIOD_YEARS = 200.0


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

    def forward(
        self, positions: Int[Tensor, "batch length"], ages: Int[Tensor, "batch length"]
    ) -> tuple[Float[Tensor, "batch 1 length pairs"], Float[Tensor, "batch 1 length pairs"]]:
        """Cosines and sines per position, shared by all heads."""
        years = ages.float() / MINUTES_PER_YEAR
        angles = torch.cat(
            [positions.float()[..., None] * self.position_rates, years[..., None] * self.age_rates], dim=-1
        )[:, None]
        return angles.cos(), angles.sin()


def rotate(
    x: Float[Tensor, "batch heads length head_dim"],
    turn: tuple[Float[Tensor, "batch 1 length pairs"], Float[Tensor, "batch 1 length pairs"]],
) -> Float[Tensor, "batch heads length head_dim"]:
    """Turn each pair (first half, second half) of ``x`` by its angle."""
    cosine, sine = turn
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class Attention(nn.Module):
    """Multi-head causal self-attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.inputs = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.output = nn.Linear(config.dim, config.dim, bias=False)

    def project(
        self, x: Float[Tensor, "batch length dim"], turn: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, each (batch, heads, length, head_dim)."""
        batch, length, dim = x.shape
        shape = (batch, length, 3, self.num_heads, dim // self.num_heads)
        q, k, v = self.inputs(x).view(shape).permute(2, 0, 3, 1, 4)
        return rotate(q, turn), rotate(k, turn), v

    def forward(
        self, x: Float[Tensor, "batch length dim"], turn: tuple[Tensor, Tensor]
    ) -> tuple[Float[Tensor, "batch length dim"], tuple[Tensor, Tensor]]:
        """Attend within the window; also return keys and values, for a cache."""
        q, k, v = self.project(x, turn)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(mixed.transpose(1, 2).flatten(2)), (k, v)

    def step(
        self,
        x: Float[Tensor, "subjects paths dim"],
        turn: tuple[Tensor, Tensor],
        prompt: tuple[Tensor, ...],
        prompt_mask: Tensor,
        path: tuple[Tensor, Tensor],
        length: int,
    ) -> Float[Tensor, "subjects paths dim"]:
        """One new token per path, attending to the shared prompt and to its own path.

        Args:
            x: Input of the new tokens; paths of a subject share their prompt.
            turn: Rotary angles of the new tokens, paths on the length axis.
            prompt: Keys and values (subjects, heads, prompt length, head_dim), computed once.
            prompt_mask: True where a prompt position is real, (subjects, prompt length).
            path: Buffers (subjects, heads, paths, head_dim, capacity), written here at ``length``; time is
                the last axis, so that a slice of it still multiplies without a copy.
            length: Tokens already on the paths.
        """
        q, k, v = self.project(x, turn)
        path[0][..., length], path[1][..., length] = k, v
        own_k, own_v = path[0][..., : length + 1], path[1][..., : length + 1]
        scale = 1 / math.sqrt(q.shape[-1])
        to_prompt = (q @ prompt[0].transpose(-1, -2)) * scale
        to_prompt = to_prompt.masked_fill(~prompt_mask[:, None, None, :], -torch.inf)
        to_path = (q[..., None, :] @ own_k).squeeze(-2) * scale
        weights = torch.cat([to_prompt, to_path], dim=-1).softmax(dim=-1)
        on_prompt, on_path = weights.split([to_prompt.shape[-1], length + 1], dim=-1)
        mixed = on_prompt @ prompt[1] + (on_path[..., None, :] @ own_v.transpose(-1, -2)).squeeze(-2)
        return self.output(mixed.transpose(1, 2).flatten(2))
