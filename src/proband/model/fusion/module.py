"""The fusion of a model: encoders, leading positions, and one layer before each block."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from proband.core.batch import ModalityInput
from proband.model.choices import ENCODERS, FUSIONS
from proband.model.config import ModelConfig
from proband.model.fusion.layer import NEVER, FusionMethod, Latents, Spans
from proband.model.modality.encoder import ModalityEncoder


class Fusion(nn.Module):
    """Encoders, leading positions, and one layer before each block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.method: FusionMethod = FUSIONS[config.fusion]()
        self.leading = nn.Parameter(torch.randn(config.num_latents, config.dim) * 0.02)
        ordered = sorted(config.modalities.items())
        self.timed = [modality.timed for _, modality in ordered]
        zero_init = not self.method.gated
        self.encoders = nn.ModuleDict(
            {
                name: ENCODERS[modality.encoder](
                    modality, config.num_latents, config.dim, zero_init=zero_init
                )
                for name, modality in ordered
            }
        )
        self.layers = nn.ModuleList(self.method.layer(config, number) for number in range(config.depth))

    def latents(self, modalities: dict[str, ModalityInput], batch: int) -> Latents:
        """Latents of ``batch`` windows; a modality not given counts as absent for all."""
        values = [self.leading.new_zeros(batch, 0, *self.leading.shape)]
        none = torch.zeros(batch, 0, dtype=torch.int64, device=self.leading.device)
        since, until, numbers = [none], [none], []
        for number, (name, timed) in enumerate(zip(self.encoders, self.timed, strict=True)):
            encoder, item = self.encoders[name], modalities.get(name)
            assert isinstance(encoder, ModalityEncoder)
            absent = encoder.absent.expand(batch, 1, -1, -1)
            found = absent if item is None else encoder(item)
            begins = none
            if timed and item is not None:  # absent until the first, then each until the next
                found = torch.cat([absent, found], dim=1)
                begins = item.minutes.masked_fill(~item.observed, NEVER)
            values.append(found)
            since.append(F.pad(begins, (1, 0)))
            until.append(F.pad(begins, (0, 1), value=NEVER))
            numbers += [number] * found.shape[1]
        spans = Spans(torch.cat(since, dim=1), torch.cat(until, dim=1))
        return Latents(torch.cat(values, dim=1), spans, tuple(numbers))

    def scales(self) -> dict[str, tuple[Float[np.ndarray, " width"], Float[np.ndarray, " width"]]]:
        """Means of each modality's columns in training, and 1 over their deviations, 0 of constants."""
        found = {}
        for name, encoder in self.encoders.items():
            assert isinstance(encoder, ModalityEncoder)
            mean, scale = (values.double().cpu().numpy() for values in (encoder.mean, encoder.scale))
            found[name] = mean, scale
        return found

    def lead(self, latents: Latents) -> Float[Tensor, "batch latents dim"]:
        """The leading positions of a window."""
        return self.method.lead(self.leading.expand(len(latents.values), -1, -1), latents, self.timed)
