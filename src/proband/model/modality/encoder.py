"""Encoders of modalities: the values of one measurement to a few latents.

A subject without the modality is a normal input: it gets the learned absent latents. A new modality is one
entry of ``ModelConfig.modalities``; a new way to read values is one subclass of :class:`ModalityEncoder` and
one entry of :data:`proband.model.choices.ENCODERS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from proband.core.batch import ModalityInput
from proband.model.config import ModalityConfig

_INITIAL_SD = 0.02


class ModalityEncoder(nn.Module, ABC):
    """Standardised values and their missing mask to latents.

    Args:
        config: Width, hidden size and dropouts.
        num_latents: Latents per subject.
        dim: Width of a latent.
        zero_init: Start with latents of zero, for a fusion that has no gate of its own.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ModalityConfig, num_latents: int, dim: int, *, zero_init: bool) -> None:
        super().__init__()
        self.config = config
        self.shape = (num_latents, dim)
        self.register_buffer("mean", torch.zeros(config.width))
        self.register_buffer("scale", torch.ones(config.width))
        self.output = nn.Linear(config.hidden, self._outputs(), bias=False)
        self.absent = nn.Parameter(torch.randn(num_latents, dim) * (0 if zero_init else _INITIAL_SD))
        if zero_init:
            nn.init.zeros_(self.output.weight)

    def _outputs(self) -> int:
        return self.shape[0] * self.shape[1]

    def standardise_with(self, mean: Float[Tensor, " width"], sd: Float[Tensor, " width"]) -> None:
        """Store the train split's means and deviations; a column of zero variance is switched off."""
        constant = ~(sd > 0) | ~mean.isfinite()
        self.mean.copy_(torch.where(constant, torch.zeros_like(mean), mean))
        self.scale.copy_(torch.where(constant, torch.zeros_like(sd), 1 / sd))

    def forward(self, item: ModalityInput) -> Float[Tensor, "batch measurements latents dim"]:
        """Latents of every measurement; in training some values and whole subjects are hidden."""
        missing = item.values.isnan()
        observed = item.observed
        if self.training:
            missing = missing | (torch.rand_like(item.values) < self.config.drop_values)
            observed = observed & (
                torch.rand(len(observed), 1, device=observed.device) >= self.config.drop_modality
            )
        standard = ((item.values - self.mean) * self.scale).masked_fill(missing, 0)
        latents = self.encode(standard.flatten(0, 1), missing.flatten(0, 1)).unflatten(0, observed.shape)
        return torch.where(observed[..., None, None], latents, self.absent)

    @abstractmethod
    def encode(
        self, standard: Float[Tensor, "n width"], missing: Bool[Tensor, "n width"]
    ) -> Float[Tensor, "n latents dim"]:
        """Latents of standardised values, 0 where missing."""
