"""The two heads: when the next event happens, and what it is given when."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from proband.model.block import SwiGLU
from proband.model.config import ModelConfig
from proband.model.layers import RMSNorm
from proband.model.width import WideLinear, width_scale

_NEVER = 1 << 30
BIRTH_INDEX = 1


class WhenHead(nn.Module):
    """Log probabilities of the gap bins."""

    def __init__(self, config: ModelConfig, num_bins: int) -> None:
        super().__init__()
        self.norm = RMSNorm(config.dim)
        self.output = WideLinear(config.dim, num_bins)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, hidden: Float[Tensor, "n dim"]) -> Float[Tensor, "n bins"]:
        """Normalised log mass per bin, float32."""
        return self.output(self.norm(hidden)).float().log_softmax(-1)


class WhatHead(nn.Module):
    """Logits of the next code given history and the gap's bin.

    The gap enters as an embedding, so the realised gap informs the code without taking a position. Weights
    are shared with the token embedding. Every code has two output biases, one while it is new to the subject
    and one after it was had: most of a record repeats, and an onset is what does not. A code that happens
    once has no probability after it was had.

    Args:
        config: The model's shape.
        num_bins: Bins of the gap.
        once: Per token, whether it happens at most once in a life.
    """

    blocked: Tensor
    once: Tensor

    def __init__(self, config: ModelConfig, num_bins: int, once: Bool[Tensor, " vocabulary"]) -> None:
        super().__init__()
        self.gap = nn.Embedding(num_bins, config.dim)
        self.mix_norm = RMSNorm(config.dim)
        self.mix = SwiGLU(config.dim)
        self.norm = RMSNorm(config.dim)
        self.scale = width_scale(config.dim)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        self.repeat = nn.Parameter(torch.zeros(config.vocabulary_size))
        nn.init.normal_(self.gap.weight, std=0.02)
        blocked = torch.arange(config.vocabulary_size) <= BIRTH_INDEX  # padding and birth are never events
        self.register_buffer("blocked", blocked, persistent=False)
        self.register_buffer("once", once, persistent=False)

    def forward(
        self,
        hidden: Float[Tensor, "n dim"],
        gap_bins: Int[Tensor, " n"],
        embedding: Float[Tensor, "vocabulary dim"],
        seen: Bool[Tensor, "n vocabulary"],
    ) -> Float[Tensor, "n vocabulary"]:
        """Log probabilities, float32; ``seen`` tells which codes the subject has had."""
        x = hidden + self.gap(gap_bins)
        x = x + self.mix(self.mix_norm(x))
        logits = (self.norm(x) * self.scale) @ embedding.T + self.bias + self.repeat * seen
        return logits.float().masked_fill(self.blocked | self.impossible(seen), -torch.inf).log_softmax(-1)

    def impossible(self, seen: Bool[Tensor, "n vocabulary"]) -> Bool[Tensor, "n vocabulary"]:
        """Codes that happen once and were had."""
        return seen & self.once


def first_positions(
    tokens: Int[Tensor, "batch length"], seen_before: Int[Tensor, "batch codes"], vocabulary_size: int
) -> Int[Tensor, "batch vocabulary"]:
    """Position of each token's first occurrence: -1 before the window, large if never."""
    batch, length = tokens.shape
    first = torch.full((batch, vocabulary_size), _NEVER, device=tokens.device)
    positions = torch.arange(length, device=tokens.device).expand(batch, -1)
    first.scatter_reduce_(1, tokens, positions, "amin")
    return first.scatter_reduce_(1, seen_before, torch.full_like(seen_before, -1), "amin")
