"""Fusion by a scale and a shift of the residual stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from proband.model.config import ModelConfig
from proband.model.fusion.layer import FusionLayer, FusionMethod, Latents, Prepared, Spans
from proband.model.trunk.width import WideLinear


class Adapter(FusionLayer):
    """A scale and a shift of the stream from each modality's mean latent, which add up."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.dim)
        layers = [WideLinear(config.dim, 2 * config.dim, bias=False) for _ in config.modalities]
        for layer in layers:
            nn.init.zeros_(layer.weight)
        self.effects = nn.ModuleList(layers)

    def prepare(self, latents: Latents) -> Prepared:
        """Scales and shifts per item, and their times."""
        pooled = self.norm(latents.values.mean(dim=2))
        effects = [layer(pooled[:, latents.of(number)]) for number, layer in enumerate(self.effects)]
        return torch.cat(effects, dim=1), latents.spans.since, latents.spans.until

    def forward(self, x: Tensor, ages: Tensor, prepared: Prepared) -> Tensor:
        """``x (1 + scale) + shift``."""
        effects, since, until = prepared
        scale, shift = (Spans(since, until).known(ages).to(x.dtype) @ effects).chunk(2, dim=-1)
        return x * (1 + scale) + shift


class AdapterFusion(FusionMethod):
    """An :class:`Adapter` before every block."""

    gated = True

    def layer(self, config: ModelConfig, number: int) -> FusionLayer:
        """An adapter."""
        return Adapter(config)
