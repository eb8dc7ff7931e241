"""The two heads: when the next event happens, and what it is given when."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from proband.model.config import ModelConfig
from proband.model.next_event.clock import Moment, PersonClock
from proband.model.trunk.block import SwiGLU
from proband.model.trunk.width import WideLinear, width_scale

_NEVER = 1 << 30
BIRTH_INDEX = 1


class WhenHead(nn.Module):
    """Log probabilities of the gap bins."""

    def __init__(self, config: ModelConfig, num_bins: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.dim)
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
    and one after it was had: most of a record repeats, and an onset is what does not. While it is new, the
    log of its rate per year over the hazard of events is added
    (:class:`proband.model.next_event.clock.PersonClock`):

        logit_c = w_c · x + bias_c + log(rate_c(age, sex) / h)  while code c is new to the subject
        logit_c = w_c · x + bias_c + repeat_c                   after it was had

    A code that happens once has no probability after it was had.

    Args:
        config: The model's shape.
        num_bins: Bins of the gap.
        once: Per token, whether it happens at most once in a life.
        alike: Per token, the lowest of the tokens of which only one happens, and once: value bins of a code
            recorded once. Default each its own.

    Attributes:
        members: Per token, all that count as had with it, itself repeated where there are fewer.
    """

    blocked: Tensor
    once: Tensor
    members: Tensor

    def __init__(
        self,
        config: ModelConfig,
        num_bins: int,
        once: Bool[Tensor, " vocabulary"],
        alike: Int[Tensor, " vocabulary"] | None = None,
    ) -> None:
        super().__init__()
        self.gap = nn.Embedding(num_bins, config.dim)
        self.mix_norm = nn.RMSNorm(config.dim)
        self.mix = SwiGLU(config.dim)
        self.norm = nn.RMSNorm(config.dim)
        self.scale = width_scale(config.dim)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        self.repeat = nn.Parameter(torch.zeros(config.vocabulary_size))
        nn.init.normal_(self.gap.weight, std=0.02)
        blocked = torch.arange(config.vocabulary_size) <= BIRTH_INDEX  # padding and birth are never events
        self.register_buffer("blocked", blocked, persistent=False)
        self.register_buffer("once", once, persistent=False)
        self.register_buffer("members", _members(once, alike), persistent=False)
        self.clock = PersonClock(config.vocabulary_size, config.num_statics)

    def forward(
        self,
        hidden: Float[Tensor, "n dim"],
        gap_bins: Int[Tensor, " n"],
        embedding: Float[Tensor, "vocabulary dim"],
        seen: Bool[Tensor, "n vocabulary"],
        moment: Moment,
    ) -> Float[Tensor, "n vocabulary"]:
        """Log probabilities, float32; ``seen``: codes in the history."""
        return self._logits(hidden, gap_bins, embedding, seen, moment).log_softmax(-1)

    def nats(
        self,
        hidden: Float[Tensor, "n dim"],
        gap_bins: Int[Tensor, " n"],
        rows: Int[Tensor, " n"],
        positions: Int[Tensor, " n"],
        target: Int[Tensor, " n"],
        moment: Moment,
        first: Int[Tensor, "batch vocabulary"],
        embedding: Float[Tensor, "vocabulary dim"],
    ) -> Float[Tensor, " n"]:
        """−log probability of ``target`` at positions of a batch whose :func:`first_positions` are given."""
        seen = first[rows] <= positions[:, None]
        logits = self._logits(hidden, gap_bins, embedding, seen, moment)
        return F.cross_entropy(logits, target, reduction="none")

    def _logits(
        self,
        hidden: Float[Tensor, "n dim"],
        gap_bins: Int[Tensor, " n"],
        embedding: Float[Tensor, "vocabulary dim"],
        seen: Bool[Tensor, "n vocabulary"],
        moment: Moment,
    ) -> Float[Tensor, "n vocabulary"]:
        x = hidden + self.gap(gap_bins)
        x = x + self.mix(self.mix_norm(x))
        return F.linear(self.norm(x) * self.scale, embedding).float() + self.base_logits(seen, moment)

    def base_logits(
        self, seen: Bool[Tensor, "n vocabulary"], moment: Moment
    ) -> Float[Tensor, "n vocabulary"]:
        """What is added to the trunk's part of the logits, which starts near 0."""
        new = self.bias.masked_fill(self.blocked, -torch.inf)
        had = (self.bias + self.repeat).masked_fill(self.blocked | self.once, -torch.inf)
        return torch.where(seen, had, new + self.clock(moment, seen))

    def impossible_next(
        self, tokens: Int[Tensor, "batch length"], first: Int[Tensor, "batch vocabulary"]
    ) -> Bool[Tensor, "batch length"]:
        """Whether ``tokens``, each the one after a position, happen once and were had by that position."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return self.once[tokens] & (first.gather(1, tokens) <= positions)


def _members(
    once: Bool[Tensor, " vocabulary"], alike: Int[Tensor, " vocabulary"] | None
) -> Int[Tensor, "vocabulary members"]:
    """Per token the tokens that happen once among them, itself to fill up."""
    each = torch.arange(len(once))
    if alike is None:
        return each[:, None]
    groups: dict[int, list[int]] = {}
    for token in once.nonzero().squeeze(-1).tolist():
        groups.setdefault(int(alike[token]), []).append(token)
    members = each[:, None].repeat(1, max([1, *map(len, groups.values())]))
    for group in groups.values():
        members[group, : len(group)] = each[group]
    return members


def first_positions(
    tokens: Int[Tensor, "batch length"],
    seen_before: Int[Tensor, "batch codes"],
    vocabulary_size: int,
    members: Int[Tensor, "vocabulary members"] | None = None,
) -> Int[Tensor, "batch vocabulary"]:
    """Position of each token's first occurrence: -1 before the window, large if never.

    With ``members``, that of the first of all tokens that count as had with it.
    """
    batch, length = tokens.shape
    first = torch.full((batch, vocabulary_size), _NEVER, dtype=torch.int32, device=tokens.device)
    positions = torch.arange(length, dtype=torch.int32, device=tokens.device).expand(batch, -1)
    if members is not None and members.shape[1] > 1:
        positions = positions.repeat_interleave(members.shape[1], dim=1)
        tokens, seen_before = members[tokens].flatten(1), members[seen_before].flatten(1)
    first.scatter_reduce_(1, tokens, positions, "amin")
    before = torch.full_like(seen_before, -1, dtype=torch.int32)
    return first.scatter_reduce_(1, seen_before, before, "amin")
