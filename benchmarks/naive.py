"""What training is measured against: the same size, trained as the peer of shared records describes itself.

Twelve layers of width 120 and twelve heads in float32; rows of a fixed length, padded; sex and "no event"
tokens in the sequence; an explicit mask and a softmax written out; a vocabulary loss at every position.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from records import ArrayStore
from torch import Tensor, nn
from torch.nn import functional as F

from proband.core.units import MINUTES_PER_YEAR

LENGTH, ROWS = 48, 128
DEPTH, WIDTH, HEADS = 12, 120, 12
_NO_EVENT_YEARS = 5.0
_EXTRA_TOKENS = 3  # no event and two sexes, after the store's own


class NaiveModel(nn.Module):
    """A decoder of learnt layers with weights of its own per product, as in many teaching codes.

    Args:
        size: Tokens.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(size, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2 * DEPTH + 1))
        self.inputs = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH, bias=False) for _ in range(DEPTH))
        self.outputs = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(DEPTH))
        self.up = nn.ModuleList(nn.Linear(WIDTH, 4 * WIDTH, bias=False) for _ in range(DEPTH))
        self.down = nn.ModuleList(nn.Linear(4 * WIDTH, WIDTH, bias=False) for _ in range(DEPTH))
        self.age = nn.Linear(WIDTH, WIDTH, bias=False)
        self.rates = nn.Parameter(torch.exp(-torch.arange(0, WIDTH, 2) / WIDTH * 9), requires_grad=False)

    def forward(self, tokens: Tensor, ages: Tensor, target: Tensor, waits: Tensor) -> Tensor:
        """Mean loss of the next type and of the time to it; tokens of 0 are padding."""
        rows, length = tokens.shape
        phase = ages[..., None] * self.rates
        x = self.tokens(tokens) + self.age(torch.cat([phase.sin(), phase.cos()], dim=-1))
        mask = torch.ones(length, length, dtype=torch.bool).tril() & (tokens > 0)[:, None, None, :]
        mask = mask | torch.eye(length, dtype=torch.bool)
        for layer in range(DEPTH):
            shape = (rows, length, HEADS, WIDTH // HEADS)
            q, k, v = (
                part.view(shape).transpose(1, 2)
                for part in self.inputs[layer](self.norms[2 * layer](x)).split(WIDTH, dim=-1)
            )
            score = (q @ k.transpose(-2, -1)) / math.sqrt(WIDTH // HEADS)
            share = score.masked_fill(~mask, -torch.inf).softmax(-1)
            x = x + self.outputs[layer]((share @ v).transpose(1, 2).reshape(rows, length, WIDTH))
            x = x + self.down[layer](F.gelu(self.up[layer](self.norms[2 * layer + 1](x))))
        logits = self.norms[-1](x) @ self.tokens.weight.T
        what = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=0)
        rate = logits.logsumexp(-1)
        when = (torch.exp(rate) * waits - rate)[target > 0].mean()
        return what + when


def naive_batch(
    store: ArrayStore, subjects: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], int]:
    """A batch of whole rows, cropped at random to ``LENGTH``, and how many events of the store it holds."""
    size = len(store.vocabulary)
    grid = np.zeros((3, len(subjects), LENGTH + 1))
    num_events = 0
    for at, row in enumerate(subjects):
        tokens, minutes = store.record(int(row))
        years = minutes / MINUTES_PER_YEAR
        silent = rng.uniform(0, years[-1], size=int(years[-1] / _NO_EVENT_YEARS))
        tokens = np.concatenate(
            [[size + 1 + store.statics[row, 0] % 2], tokens[1:], np.full(len(silent), size)]
        )
        years = np.concatenate([[0.0], years[1:], silent])
        order = np.argsort(years, kind="stable")
        begin = rng.integers(0, max(1, len(order) - LENGTH))
        order = order[begin : begin + LENGTH + 1]
        num_events += int((tokens[order[:LENGTH]] < size).sum())
        grid[:2, at, : len(order)] = tokens[order], years[order]
    tokens, ages = torch.from_numpy(grid[0]).long(), torch.from_numpy(grid[1]).float()
    waits = torch.diff(ages, dim=1).clamp(min=1 / 365)
    return (tokens[:, :-1], ages[:, :-1], tokens[:, 1:], waits), num_events


def naive_model(store: ArrayStore) -> NaiveModel:
    """A model for the store's vocabulary and the extra tokens."""
    return NaiveModel(len(store.vocabulary) + _EXTRA_TOKENS)
