"""How modalities reach the trunk, behind one interface.

Every model, whatever its fusion, has ``num_latents`` learned leading positions before the record. ``none``
leaves them as they are; ``prefix`` adds the modalities' latents to them, so the genome is read by attention
from every position. The latents start at zero: at step 0 both are the same model.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from proband.core.batch import ModalityInput
from proband.model.config import ModelConfig
from proband.model.modality import ModalityEncoder


class Fusion(nn.Module):
    """The leading positions of a window, with the modalities in them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.leading = nn.Parameter(torch.randn(config.num_latents, config.dim) * 0.02)
        self.encoders = nn.ModuleDict(
            {
                name: ModalityEncoder(modality, config.num_latents, config.dim)
                for name, modality in sorted(config.modalities.items())
            }
        )

    def forward(self, modalities: dict[str, ModalityInput], batch: int) -> Float[Tensor, "batch latents dim"]:
        """Leading positions for ``batch`` windows; a modality not given counts as absent for all."""
        leading = self.leading.expand(batch, -1, -1)
        for name, encoder in self.encoders.items():
            assert isinstance(encoder, ModalityEncoder)
            item = modalities.get(name)
            leading = leading + (encoder.absent if item is None else encoder(item))
        return leading
