"""What every fusion has: latents with their times, and a layer before each block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from proband.model.config import ModelConfig

Prepared = tuple[Tensor, ...]
"""Tensors whose first axis is the subject."""


NEVER = torch.iinfo(torch.int32).max
"""An age in minutes that no position reaches, of 4,000 years."""


@dataclass(frozen=True)
class Spans:
    """When each item may be read: at ages from ``since`` until before ``until``, in minutes."""

    since: Int[Tensor, "batch items"]
    until: Int[Tensor, "batch items"]

    def known(self, ages: Int[Tensor, "batch length"]) -> Bool[Tensor, "batch length items"]:
        """Whether each item is read at each position."""
        ages = ages[:, :, None]
        return (ages >= self.since[:, None]) & (ages < self.until[:, None])


@dataclass(frozen=True)
class Latents:
    """All modalities of a batch, as items of which every position reads one per modality.

    Attributes:
        values: Latents of each item.
        spans: When each may be read.
        modality: Number of each item's modality; ascending.
    """

    values: Float[Tensor, "batch items latents dim"]
    spans: Spans
    modality: tuple[int, ...]

    def of(self, modality: int) -> slice:
        """The items of one modality."""
        first = self.modality.index(modality)
        return slice(first, first + self.modality.count(modality))


class FusionLayer(nn.Module, ABC):
    """What happens to the residual stream before one block."""

    @abstractmethod
    def prepare(self, latents: Latents) -> Prepared:
        """What this layer needs of the latents, once per subject."""

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "batch length dim"],
        ages: Int[Tensor, "batch length"],
        prepared: Prepared,
    ) -> Float[Tensor, "batch length dim"]:
        """The stream with the modalities that are known at each position's age."""


class PassThrough(FusionLayer):
    """Leaves the stream as it is."""

    def prepare(self, latents: Latents) -> Prepared:
        """Nothing."""
        return ()

    def forward(self, x: Tensor, ages: Tensor, prepared: Prepared) -> Tensor:
        """``x``."""
        return x


class FusionMethod(ABC):
    """One way in which modalities reach the trunk; an entry of :data:`proband.model.choices.FUSIONS`.

    Attributes:
        gated: Its layers start as the identity whatever the latents; else latents start at zero.
    """

    gated: ClassVar[bool] = False

    @abstractmethod
    def layer(self, config: ModelConfig, number: int) -> FusionLayer:
        """The layer before block ``number``."""

    def lead(
        self, leading: Float[Tensor, "batch latents dim"], latents: Latents, timed: Sequence[bool]
    ) -> Float[Tensor, "batch latents dim"]:
        """The leading positions of a window.

        Args:
            leading: The learned ones.
            latents: Of all modalities.
            timed: Whether each modality is measured at an age.
        """
        return leading
