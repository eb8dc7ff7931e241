"""An encoder that reads values as a set."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from proband.model.config import ModalityConfig
from proband.model.modality.encoder import ModalityEncoder


class SetEncoder(ModalityEncoder):
    """Values as a set: each is an embedding of its column times its value, pooled by learned queries.

    The order of columns carries no meaning, missing values are left out of the pool, and a column's weight
    in it can depend on its value (after Lee 2019, arXiv 1810.00825).
    """

    def __init__(self, config: ModalityConfig, num_latents: int, dim: int, *, zero_init: bool) -> None:
        super().__init__(config, num_latents, dim, zero_init=zero_init)
        self.columns = nn.Embedding(config.width, config.hidden)
        self.slopes = nn.Embedding(config.width, config.hidden)
        self.keys = nn.Linear(config.hidden, config.hidden, bias=False)
        self.queries = nn.Parameter(torch.randn(num_latents, config.hidden) * config.hidden**-0.5)
        self.nothing = nn.Parameter(torch.zeros(config.hidden))
        self.norm = nn.RMSNorm(config.hidden)

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
