"""Encoders of static modalities: one subject's values to a few latents.

An ungenotyped subject is a normal input: it gets the learned absent latents. The last layer starts at zero,
so that at step 0 a model with a modality equals one without.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from proband.core.batch import ModalityInput
from proband.model.config import ModalityConfig


class ModalityEncoder(nn.Module):
    """A feed-forward encoder of standardised values and their missing mask.

    Args:
        config: Width, hidden size and dropouts.
        num_latents: Latents per subject.
        dim: Width of a latent.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ModalityConfig, num_latents: int, dim: int) -> None:
        super().__init__()
        self.config = config
        self.shape = (num_latents, dim)
        self.register_buffer("mean", torch.zeros(config.width))
        self.register_buffer("scale", torch.ones(config.width))
        self.values = nn.Linear(config.width, config.hidden)
        self.missing = nn.Linear(config.width, config.hidden, bias=False)
        self.norm = nn.RMSNorm(config.hidden)
        self.output = nn.Linear(config.hidden, num_latents * dim, bias=False)
        self.absent = nn.Parameter(torch.zeros(num_latents, dim))
        nn.init.zeros_(self.output.weight)

    def standardise_with(self, mean: Float[Tensor, " width"], sd: Float[Tensor, " width"]) -> None:
        """Store the train split's means and deviations; a column of zero variance is switched off."""
        constant = ~(sd > 0) | ~mean.isfinite()
        self.mean.copy_(torch.where(constant, torch.zeros_like(mean), mean))
        self.scale.copy_(torch.where(constant, torch.zeros_like(sd), 1 / sd))

    def forward(self, item: ModalityInput) -> Float[Tensor, "batch latents dim"]:
        """Latents of a batch of subjects; in training some values and whole subjects are hidden."""
        missing = item.values.isnan()
        observed = item.observed
        if self.training:
            missing = missing | (torch.rand_like(item.values) < self.config.drop_values)
            observed = observed & (
                torch.rand(len(observed), device=observed.device) >= self.config.drop_modality
            )
        standard = ((item.values - self.mean) * self.scale).masked_fill(missing, 0)
        hidden = nn.functional.silu(self.norm(self.values(standard) + self.missing(missing.float())))
        latents = self.output(hidden).view(-1, *self.shape)
        return torch.where(observed[:, None, None], latents, self.absent)
