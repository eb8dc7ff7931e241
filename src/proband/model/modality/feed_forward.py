"""An encoder of one hidden layer."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from proband.model.config import ModalityConfig
from proband.model.modality.encoder import ModalityEncoder


class FeedForwardEncoder(ModalityEncoder):
    """One hidden layer over all values and the mask."""

    def __init__(self, config: ModalityConfig, num_latents: int, dim: int, *, zero_init: bool) -> None:
        super().__init__(config, num_latents, dim, zero_init=zero_init)
        self.values = nn.Linear(config.width, config.hidden)
        self.missing = nn.Linear(config.width, config.hidden, bias=False)
        self.norm = nn.RMSNorm(config.hidden)

    def encode(
        self, standard: Float[Tensor, "n width"], missing: Bool[Tensor, "n width"]
    ) -> Float[Tensor, "n latents dim"]:
        """See :meth:`ModalityEncoder.encode`."""
        hidden = nn.functional.silu(self.norm(self.values(standard) + self.missing(missing.float())))
        return self.output(hidden).view(-1, *self.shape)
