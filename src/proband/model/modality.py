"""Encoders of modalities: the values of one measurement to a few latents.

A subject without the modality is a normal input: it gets the learned absent latents. A new modality is one
entry of ``ModelConfig.modalities``; a new way to read values is one subclass of :class:`ModalityEncoder` and
one entry of :data:`ENCODERS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from proband.core.batch import ModalityInput
from proband.model.config import ModalityConfig
from proband.model.trunk.layers import RMSNorm

_INITIAL_SD = 0.02


class ModalityEncoder(nn.Module, ABC):
    """Standardised values and their missing mask to latents.

    Args:
        config: Width, hidden size and dropouts.
        num_latents: Latents per subject.
        dim: Width of a latent.
        silent: Start with latents of zero, for a fusion that has no gate of its own.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ModalityConfig, num_latents: int, dim: int, *, silent: bool) -> None:
        super().__init__()
        self.config = config
        self.shape = (num_latents, dim)
        self.register_buffer("mean", torch.zeros(config.width))
        self.register_buffer("scale", torch.ones(config.width))
        self.output = nn.Linear(config.hidden, self._outputs(), bias=False)
        self.absent = nn.Parameter(torch.randn(num_latents, dim) * (0 if silent else _INITIAL_SD))
        if silent:
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


class FeedForwardEncoder(ModalityEncoder):
    """One hidden layer over all values and the mask."""

    def __init__(self, config: ModalityConfig, num_latents: int, dim: int, *, silent: bool) -> None:
        super().__init__(config, num_latents, dim, silent=silent)
        self.values = nn.Linear(config.width, config.hidden)
        self.missing = nn.Linear(config.width, config.hidden, bias=False)
        self.norm = RMSNorm(config.hidden)

    def encode(
        self, standard: Float[Tensor, "n width"], missing: Bool[Tensor, "n width"]
    ) -> Float[Tensor, "n latents dim"]:
        """See :meth:`ModalityEncoder.encode`."""
        hidden = nn.functional.silu(self.norm(self.values(standard) + self.missing(missing.float())))
        return self.output(hidden).view(-1, *self.shape)


class SetEncoder(ModalityEncoder):
    """Values as a set: each is an embedding of its column times its value, pooled by learned queries.

    The order of columns carries no meaning, missing values are left out of the pool, and a column's weight
    in it can depend on its value (after Lee 2019, arXiv 1810.00825).
    """

    def __init__(self, config: ModalityConfig, num_latents: int, dim: int, *, silent: bool) -> None:
        super().__init__(config, num_latents, dim, silent=silent)
        self.columns = nn.Embedding(config.width, config.hidden)
        self.slopes = nn.Embedding(config.width, config.hidden)
        self.keys = nn.Linear(config.hidden, config.hidden, bias=False)
        self.queries = nn.Parameter(torch.randn(num_latents, config.hidden) * config.hidden**-0.5)
        self.nothing = nn.Parameter(torch.zeros(config.hidden))
        self.norm = RMSNorm(config.hidden)

    def _outputs(self) -> int:
        return self.shape[1]

    def encode(
        self, standard: Float[Tensor, "n width"], missing: Bool[Tensor, "n width"]
    ) -> Float[Tensor, "n latents dim"]:
        """See :meth:`ModalityEncoder.encode`."""
        items = self.columns.weight + standard[..., None] * self.slopes.weight
        # An empty set pools this one learned item, so that the mean is over at least one.
        items = torch.cat([self.nothing.expand(len(items), 1, -1), items], dim=1)
        hidden = torch.nn.functional.pad(missing, (1, 0))
        score = self.queries @ self.keys(items).transpose(1, 2) * items.shape[-1] ** -0.5
        share = score.masked_fill(hidden[:, None], -torch.inf).softmax(dim=-1)
        return self.output(self.norm(share @ items))


ENCODERS: dict[str, type[ModalityEncoder]] = {"mlp": FeedForwardEncoder, "set": SetEncoder}
"""Encoders by their names in a configuration. Whoever adds one adds it again before loading its models."""
