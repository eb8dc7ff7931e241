"""The two heads: when the next event happens, and what it is given when."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from proband.model.block import SwiGLU
from proband.model.config import ModelConfig

_NEVER = 1 << 30


class WhenHead(nn.Module):
    """Log probabilities of the gap bins."""

    def __init__(self, config: ModelConfig, num_bins: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.dim)
        self.output = nn.Linear(config.dim, num_bins)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, hidden: Float[Tensor, "n dim"]) -> Float[Tensor, "n bins"]:
        """Normalised log mass per bin, float32."""
        return self.output(self.norm(hidden)).float().log_softmax(-1)


class WhatHead(nn.Module):
    """Logits of the next code given history and the gap's bin.

    The gap enters as an embedding, so the realised gap informs the code without taking a position. Weights
    are shared with the token embedding.
    """

    allowed: Tensor

    def __init__(self, config: ModelConfig, num_bins: int) -> None:
        super().__init__()
        self.gap = nn.Embedding(num_bins, config.dim)
        self.mix_norm = nn.RMSNorm(config.dim)
        self.mix = SwiGLU(config.dim)
        self.norm = nn.RMSNorm(config.dim)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        nn.init.normal_(self.gap.weight, std=0.02)
        allowed = torch.arange(config.vocabulary_size) > 1  # padding and birth are never events
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(
        self,
        hidden: Float[Tensor, "n dim"],
        gap_bins: Int[Tensor, " n"],
        embedding: Float[Tensor, "vocabulary dim"],
        masked: Bool[Tensor, "n vocabulary"] | None,
    ) -> Float[Tensor, "n vocabulary"]:
        """Log probabilities, float32; ``masked`` codes get none."""
        x = hidden + self.gap(gap_bins)
        x = x + self.mix(self.mix_norm(x))
        logits = (self.norm(x) @ embedding.T + self.bias).float()
        blocked = ~self.allowed if masked is None else masked | ~self.allowed
        return logits.masked_fill(blocked, -torch.inf).log_softmax(-1)


class OnceMask(nn.Module):
    """Which codes that happen once have already happened, position by position."""

    slot: Tensor
    tokens: Tensor

    def __init__(self, once: Bool[Tensor, " vocabulary"]) -> None:
        super().__init__()
        tokens = once.nonzero().squeeze(-1)
        slot = torch.full((len(once),), len(tokens))
        slot[tokens] = torch.arange(len(tokens))
        self.register_buffer("slot", slot, persistent=False)
        self.register_buffer("tokens", tokens, persistent=False)

    def first_positions(
        self, tokens: Int[Tensor, "batch length"], once_before: Int[Tensor, "batch codes"]
    ) -> Int[Tensor, "batch slots"]:
        """Position of each once-token's first occurrence: -1 before the window, large if never."""
        batch, length = tokens.shape
        first = torch.full((batch, len(self.tokens) + 1), _NEVER, device=tokens.device)
        positions = torch.arange(length, device=tokens.device).expand(batch, -1)
        first.scatter_reduce_(1, self.slot[tokens], positions, "amin")
        before = torch.full_like(once_before, -1)
        first.scatter_reduce_(1, self.slot[once_before], before, "amin")
        return first[:, :-1]

    def mask(
        self, first: Int[Tensor, "n slots"], positions: Int[Tensor, " n"]
    ) -> Bool[Tensor, "n vocabulary"]:
        """True where a code happened at or before the position."""
        mask = torch.zeros((len(first), len(self.slot)), dtype=torch.bool, device=first.device)
        mask[:, self.tokens] = first <= positions[:, None]
        return mask
