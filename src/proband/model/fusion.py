"""How modalities reach the trunk, behind one interface.

Every model, whatever its fusion, has ``num_latents`` learned leading positions before the record. An encoder
turns each modality into latents; then

- ``none`` reads no modality;
- ``prefix`` adds the latents to the leading positions, which every position of the record attends to;
- ``adapter`` scales and shifts the residual stream before each block (after Perez 2018, arXiv 1709.07871);
- ``cross_attention`` lets every position attend to the latents before each block, through a gate (after
  Alayrac 2022, arXiv 2204.14198).

At step 0 all four are the same model to the bit: the latents of ``prefix``, the adapters' weights and the
gates start at zero. A modality measured at an age reaches only positions at or after it, in every fusion;
``prefix`` adds it to the positions from then on, since leading positions are seen by all.

What a block needs of the latents is computed once per subject (``prepare``) and lies in the cache beside
keys and values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from proband.core.batch import ModalityInput
from proband.model.config import GATED, ModelConfig
from proband.model.modality import ENCODERS, ModalityEncoder

Prepared = tuple[Tensor, ...]
"""Tensors whose first axis is the subject."""


@dataclass(frozen=True)
class Latents:
    """All modalities of a batch: values (batch, modalities, latents, dim), and age in minutes from which each
    may be read (batch, modalities)."""

    values: Float[Tensor, "batch modalities latents dim"]
    since: Int[Tensor, "batch modalities"]


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


class TimedInput(FusionLayer):
    """Adds the mean latent of each timed modality to the positions from its time on.

    Args:
        timed: Which modalities, in the latents' order, are timed.
    """

    def __init__(self, timed: list[bool]) -> None:
        super().__init__()
        self.timed = [index for index, is_timed in enumerate(timed) if is_timed]

    def prepare(self, latents: Latents) -> Prepared:
        """Mean latents and their times."""
        return latents.values[:, self.timed].mean(dim=2), latents.since[:, self.timed]

    def forward(self, x: Tensor, ages: Tensor, prepared: Prepared) -> Tensor:
        """``x`` with what is known by then."""
        pooled, since = prepared
        return x + _known(ages, since).to(x.dtype) @ pooled


class Adapter(FusionLayer):
    """A scale and a shift of the stream from each modality's mean latent, which add up."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.dim)
        self.weight = nn.Parameter(torch.zeros(len(config.modalities), config.dim, 2 * config.dim))

    def prepare(self, latents: Latents) -> Prepared:
        """Scales and shifts per modality, and their times."""
        pooled = self.norm(latents.values.mean(dim=2))
        return torch.einsum("bmd,mde->bme", pooled, self.weight), latents.since

    def forward(self, x: Tensor, ages: Tensor, prepared: Prepared) -> Tensor:
        """``x (1 + scale) + shift``."""
        effects, since = prepared
        scale, shift = (_known(ages, since).to(x.dtype) @ effects).chunk(2, dim=-1)
        return x * (1 + scale) + shift


class CrossAttention(FusionLayer):
    """Gated attention from every position to the latents known by then, and to one learned empty latent."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm = nn.RMSNorm(config.dim)
        self.latent_norm = nn.RMSNorm(config.dim)
        self.queries = nn.Linear(config.dim, config.dim, bias=False)
        self.keys_values = nn.Linear(config.dim, 2 * config.dim, bias=False)
        self.output = nn.Linear(config.dim, config.dim, bias=False)
        self.empty = nn.Parameter(torch.randn(config.dim))
        self.gate = nn.Parameter(torch.zeros(()))

    def prepare(self, latents: Latents) -> Prepared:
        """Keys and values (batch, heads, latents, head_dim) and their times, the empty latent first."""
        batch, modalities, number, dim = latents.values.shape
        flat = latents.values.reshape(batch, modalities * number, dim)
        flat = self.latent_norm(torch.cat([self.empty.expand(batch, 1, -1), flat], dim=1))
        shape = (batch, flat.shape[1], 2, self.num_heads, dim // self.num_heads)
        keys, values = self.keys_values(flat).view(shape).permute(2, 0, 3, 1, 4)
        # Ages are 0 or more, so that the empty latent is known to all.
        since = F.pad(latents.since.repeat_interleave(number, dim=1), (1, 0))
        return keys, values, since

    def forward(self, x: Tensor, ages: Tensor, prepared: Prepared) -> Tensor:
        """``x`` plus what its positions read, through the gate."""
        keys, values, since = prepared
        batch, length, _ = x.shape
        queries = self.queries(self.norm(x)).view(batch, length, self.num_heads, -1).transpose(1, 2)
        read = F.scaled_dot_product_attention(queries, keys, values, attn_mask=_known(ages, since)[:, None])
        return x + self.gate.tanh() * self.output(read.transpose(1, 2).flatten(2))


def _known(ages: Int[Tensor, "batch length"], since: Int[Tensor, "batch items"]) -> Tensor:
    """Whether each item is known at each position, bool (batch, length, items)."""
    return ages[:, :, None] >= since[:, None, :]


class Fusion(nn.Module):
    """Encoders, leading positions, and one layer before each block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.fusion
        self.leading = nn.Parameter(torch.randn(config.num_latents, config.dim) * 0.02)
        ordered = sorted(config.modalities.items())
        self.timed = [modality.timed for _, modality in ordered]
        silent = config.fusion not in GATED
        self.encoders = nn.ModuleDict(
            {
                name: ENCODERS[modality.encoder](modality, config.num_latents, config.dim, silent=silent)
                for name, modality in ordered
            }
        )
        self.layers = nn.ModuleList(self._layer(config, number) for number in range(config.depth))

    def _layer(self, config: ModelConfig, number: int) -> FusionLayer:
        if config.fusion == "adapter":
            return Adapter(config)
        if config.fusion == "cross_attention":
            return CrossAttention(config)
        return TimedInput(self.timed) if number == 0 and any(self.timed) else PassThrough()

    def latents(self, modalities: dict[str, ModalityInput], batch: int) -> Latents:
        """Latents of ``batch`` windows; a modality not given counts as absent for all, from birth."""
        device, shape = self.leading.device, self.leading.shape
        values, since = [self.leading.new_zeros(batch, 0, *shape)], []
        for name, encoder in self.encoders.items():
            assert isinstance(encoder, ModalityEncoder)
            item = modalities.get(name)
            found = encoder.absent.expand(batch, -1, -1) if item is None else encoder(item)
            values.append(found[:, None])
            birth = torch.zeros(batch, dtype=torch.int64, device=device)
            # Who lacks a modality is known to lack it at every age, so that its time tells nothing.
            since.append(birth if item is None else torch.where(item.observed, item.minutes, birth))
        times = (
            torch.stack(since, dim=1) if since else torch.zeros(batch, 0, dtype=torch.int64, device=device)
        )
        return Latents(torch.cat(values, dim=1), times)

    def lead(self, latents: Latents) -> Float[Tensor, "batch latents dim"]:
        """The leading positions of a window."""
        leading = self.leading.expand(len(latents.values), -1, -1)
        if self.kind != "prefix":
            return leading
        for index, timed in enumerate(self.timed):
            leading = leading if timed else leading + latents.values[:, index]
        return leading
