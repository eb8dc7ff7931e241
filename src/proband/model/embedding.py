"""Tokens, statics and ages as vectors."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils import parametrize

from proband.core.units import MINUTES_PER_DAY, MINUTES_PER_YEAR
from proband.model.config import ModelConfig

_AGE_PERIODS_YEARS = (1.25, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)


def age_features(
    ages: Int[Tensor, "batch length"], gaps: Int[Tensor, "batch length"]
) -> Float[Tensor, "batch length features"]:
    """Smooth features of age and of the time since the previous token.

    Args:
        ages: Minutes since birth.
        gaps: Minutes since the previous token, 0 at the first.
    """
    years = ages.float() / MINUTES_PER_YEAR
    periods = torch.tensor(_AGE_PERIODS_YEARS, device=ages.device)
    phase = years[..., None] * (2 * math.pi / periods)
    since = torch.log1p(gaps.float().clamp(min=0) / MINUTES_PER_DAY)
    return torch.cat([phase.sin(), phase.cos(), years[..., None] / 100, since[..., None] / 5], dim=-1)


NUM_AGE_FEATURES = 2 * len(_AGE_PERIODS_YEARS) + 2


class Embedding(nn.Module):
    """Sum of token, static and age embeddings. Statics condition every position and are never cropped."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary_size, config.dim)
        self.statics = nn.Embedding(config.num_statics + 1, config.dim)
        self.age = nn.Linear(NUM_AGE_FEATURES, config.dim)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.statics.weight, std=0.02)

    def forward(
        self,
        tokens: Int[Tensor, "batch length"],
        ages: Int[Tensor, "batch length"],
        gaps: Int[Tensor, "batch length"],
        statics: Int[Tensor, "batch statics"],
    ) -> Float[Tensor, "batch length dim"]:
        """Embed positions; static index 0 (none) adds nothing."""
        present = (statics > 0)[..., None]
        static = (self.statics(statics) * present).sum(1, keepdim=True)
        return self.tokens(tokens) + static + self.age(age_features(ages, gaps))


class FamilyVectors(nn.Module):
    """Adds to every token's vector those of its families, so that rare codes learn from their relatives.

    Args:
        families: Per token its families, counted from 1; 0 is none.
        dim: Width of a vector.
    """

    families: Tensor

    def __init__(self, families: Int[Tensor, "vocabulary levels"], dim: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(int(families.max()) + 1, dim, padding_idx=0)
        nn.init.normal_(self.vectors.weight[1:], std=0.02)
        self.register_buffer("families", families, persistent=False)

    def forward(self, own: Float[Tensor, "vocabulary dim"]) -> Float[Tensor, "vocabulary dim"]:
        """Own vectors plus those of the families."""
        return own + self.vectors(self.families).sum(1)


def share_families(embedding: Embedding, families: Int[Tensor, "vocabulary levels"]) -> None:
    """Let the token vectors be sums of own and family vectors from here on (for training)."""
    vectors = FamilyVectors(families, embedding.tokens.embedding_dim)
    parametrize.register_parametrization(embedding.tokens, "weight", vectors)


def fold_families(embedding: Embedding) -> None:
    """Turn the sums back into plain token vectors, which is how a model is saved; nothing else changes."""
    if parametrize.is_parametrized(embedding.tokens, "weight"):
        parametrize.remove_parametrizations(embedding.tokens, "weight")
