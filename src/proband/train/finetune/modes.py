"""What of the trunk is trained on a new outcome, and how it becomes weights of an ordinary model again.

In every mode the trunk ends with matrices of the same shapes, so that whatever reads a model reads it too:
factors and low-rank terms are parts of the matrices while they are trained, and multiplied out at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from proband.model.transformer import Proband
from proband.model.trunk.width import WideLinear

_INITIAL_SD = 0.02


class Mode(ABC):
    """A way to adapt the trunk.

    Attributes:
        changes_trunk: Whether anything but rows is trained.
        has_rank: Whether what is trained depends on a rank.
        learning_rate: Peak rate per step.
    """

    changes_trunk: ClassVar[bool] = True
    has_rank: ClassVar[bool] = False
    learning_rate: ClassVar[float] = 1e-3

    @abstractmethod
    def prepare(self, model: Proband, rank: int) -> None:
        """Make parameters trainable, of a model whose parameters are all fixed."""

    def finish(self, model: Proband) -> None:
        """Turn what was added into plain weights, and fix all parameters."""
        for layer in _layers(model):
            if parametrize.is_parametrized(layer):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        model.requires_grad_(False)


class Frozen(Mode):
    """The trunk stays: new rows are fitted in closed form."""

    changes_trunk = False

    def prepare(self, model: Proband, rank: int) -> None:
        """Nothing is trained."""


class Rescaled(Mode):
    """A factor for each output of the trunk's matrices, after (IA)^3 (Liu et al. 2022, arXiv 2205.05638)."""

    learning_rate = 3e-3

    def prepare(self, model: Proband, rank: int) -> None:
        """Add factors of 1."""
        for layer in _layers(model):
            parametrize.register_parametrization(
                layer, "weight", _Factors(len(layer.weight)).to(layer.weight)
            )


class LowRank(Mode):
    """A low-rank term beside each of the trunk's matrices: LoRA (Hu et al. 2022, arXiv 2106.09685)."""

    has_rank = True

    def prepare(self, model: Proband, rank: int) -> None:
        """Add terms that are 0."""
        for layer in _layers(model):
            term = _LowRankTerm(layer.out_features, layer.in_features, rank).to(layer.weight)
            parametrize.register_parametrization(layer, "weight", term)


class Full(Mode):
    """All weights of the blocks, and the embedding of tokens and times."""

    learning_rate = 2e-4

    def prepare(self, model: Proband, rank: int) -> None:
        """Make them trainable."""
        model.blocks.requires_grad_(True)
        model.embedding.requires_grad_(True)


def _layers(model: Proband) -> Iterator[WideLinear]:
    """The matrices of the trunk."""
    return (layer for layer in model.blocks.modules() if isinstance(layer, WideLinear))


class _Factors(nn.Module):
    """W -> diag(1 + s) W."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(outputs))

    def forward(self, weight: Float[Tensor, "outputs inputs"]) -> Float[Tensor, "outputs inputs"]:
        """The matrix with its outputs rescaled."""
        return weight * (1 + self.change)[:, None]


class _LowRankTerm(nn.Module):
    """W -> W + B A, with B = 0 at first."""

    def __init__(self, outputs: int, inputs: int, rank: int) -> None:
        super().__init__()
        rank = min(rank, outputs, inputs)
        self.down = nn.Parameter(_INITIAL_SD * torch.randn(rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight: Float[Tensor, "outputs inputs"]) -> Float[Tensor, "outputs inputs"]:
        """The matrix with its term."""
        return weight + self.up @ self.down
