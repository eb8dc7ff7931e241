"""Fusion by attention to the latents."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from proband.model.config import ModelConfig
from proband.model.fusion.layer import NEVER, FusionLayer, FusionMethod, Latents, Prepared, Spans
from proband.model.trunk.width import WideLinear


class CrossAttention(FusionLayer):
    """Gated attention from every position to the latents known by then, and to one learned empty latent."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm = nn.RMSNorm(config.dim)
        self.latent_norm = nn.RMSNorm(config.dim)
        self.queries = WideLinear(config.dim, config.dim, bias=False)
        self.keys_values = WideLinear(config.dim, 2 * config.dim, bias=False)
        self.output = WideLinear(config.dim, config.dim, bias=False)
        self.empty = nn.Parameter(torch.randn(config.dim))
        self.gate = nn.Parameter(torch.zeros(1))  # shards need at least one dimension

    def prepare(self, latents: Latents) -> Prepared:
        """Keys and values (batch, heads, latents, head_dim) and their times, the empty latent first."""
        batch, items, number, dim = latents.values.shape
        flat = latents.values.reshape(batch, items * number, dim)
        flat = self.latent_norm(torch.cat([self.empty.expand(batch, 1, -1), flat], dim=1))
        shape = (batch, flat.shape[1], 2, self.num_heads, dim // self.num_heads)
        keys, values = self.keys_values(flat).view(shape).permute(2, 0, 3, 1, 4)
        # Ages are 0 or more, so that the empty latent is read by all.
        since = F.pad(latents.spans.since.repeat_interleave(number, dim=1), (1, 0))
        until = F.pad(latents.spans.until.repeat_interleave(number, dim=1), (1, 0), value=NEVER)
        return keys, values, since, until

    def forward(self, x: Tensor, ages: Tensor, prepared: Prepared) -> Tensor:
        """``x`` plus what its positions read, through the gate."""
        keys, values, *_ = prepared
        queries, known = self._asked(x, ages, prepared)
        read = F.scaled_dot_product_attention(queries, keys, values, attn_mask=known)
        return x + self.gate.tanh() * self.output(read.transpose(1, 2).flatten(2))

    def weights(
        self, x: Tensor, ages: Tensor, prepared: Prepared
    ) -> Float[Tensor, "batch heads length latents"]:
        """The share of every latent in what a position reads, the empty latent first; of a latent that is not
        known at its age 0."""
        queries, known = self._asked(x, ages, prepared)
        scores = queries @ prepared[0].transpose(-1, -2) / math.sqrt(queries.shape[-1])
        return scores.masked_fill(~known, -torch.inf).softmax(dim=-1)

    def _asked(
        self, x: Tensor, ages: Tensor, prepared: Prepared
    ) -> tuple[Float[Tensor, "batch heads length head_dim"], Bool[Tensor, "batch 1 length latents"]]:
        """Queries of all positions, and which latents each may read."""
        batch, length, _ = x.shape
        queries = self.queries(self.norm(x)).view(batch, length, self.num_heads, -1).transpose(1, 2)
        _, _, since, until = prepared
        return queries, Spans(since, until).known(ages)[:, None]


class CrossAttentionFusion(FusionMethod):
    """:class:`CrossAttention` before every block."""

    gated = True

    def layer(self, config: ModelConfig, number: int) -> FusionLayer:
        """Gated attention."""
        return CrossAttention(config)
