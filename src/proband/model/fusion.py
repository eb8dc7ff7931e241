"""How modalities reach the trunk, behind one interface.

Every model, whatever its fusion, has ``num_latents`` learned leading positions before the record. An encoder
turns each modality into latents; then

- ``none`` reads no modality;
- ``prefix`` adds the latents to the leading positions, which every position of the record attends to;
- ``adapter`` scales and shifts the residual stream before each block (after Perez 2018, arXiv 1709.07871);
- ``cross_attention`` lets every position attend to the latents before each block, through a gate (after
  Alayrac 2022, arXiv 2204.14198).

At step 0 all four are the same model to the bit: the latents of ``prefix``, the adapters' weights and the
gates start at zero. A modality measured at an age reaches only positions at or after it, in every fusion:
each position reads the newest measurement by then, and before the first one what those read who never have
one, so that a measurement to come does not show. ``prefix`` adds it to the positions from then on, since
leading positions are seen by all.

What a block needs of the latents is computed once per subject (``prepare``) and lies in the cache beside
keys and values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from proband.core.batch import ModalityInput
from proband.model.config import GATED, ModelConfig
from proband.model.modality import ENCODERS, ModalityEncoder
from proband.model.trunk.layers import RMSNorm
from proband.model.trunk.width import WideLinear

Prepared = tuple[Tensor, ...]
"""Tensors whose first axis is the subject."""


NEVER = torch.iinfo(torch.int32).max
"""An age in minutes that no position reaches, of 4,000 years."""


@dataclass(frozen=True)
class Spans:
    """When each item may be read: at ages from ``since`` until before ``until``, in minutes."""

    since: Int[Tensor, "batch items"]
    until: Int[Tensor, "batch items"]

    def known(self, ages: Int[Tensor, "batch length"]) -> Bool[Tensor, "batch length items"]:
        """Whether each item is read at each position."""
        ages = ages[:, :, None]
        return (ages >= self.since[:, None]) & (ages < self.until[:, None])


@dataclass(frozen=True)
class Latents:
    """All modalities of a batch, as items of which every position reads one per modality.

    Attributes:
        values: Latents of each item.
        spans: When each may be read.
        modality: Number of each item's modality; ascending.
    """

    values: Float[Tensor, "batch items latents dim"]
    spans: Spans
    modality: tuple[int, ...]

    def of(self, modality: int) -> slice:
        """The items of one modality."""
        first = self.modality.index(modality)
        return slice(first, first + self.modality.count(modality))


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
        items = [at for at, modality in enumerate(latents.modality) if modality in self.timed]
        spans = latents.spans
        return latents.values[:, items].mean(dim=2), spans.since[:, items], spans.until[:, items]

    def forward(self, x: Tensor, ages: Tensor, prepared: Prepared) -> Tensor:
        """``x`` with what is known by then."""
        pooled, since, until = prepared
        return x + Spans(since, until).known(ages).to(x.dtype) @ pooled


class Adapter(FusionLayer):
    """A scale and a shift of the stream from each modality's mean latent, which add up."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(config.dim)
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


class CrossAttention(FusionLayer):
    """Gated attention from every position to the latents known by then, and to one learned empty latent."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm = RMSNorm(config.dim)
        self.latent_norm = RMSNorm(config.dim)
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
        keys, values, since, until = prepared
        batch, length, _ = x.shape
        queries = self.queries(self.norm(x)).view(batch, length, self.num_heads, -1).transpose(1, 2)
        known = Spans(since, until).known(ages)[:, None]
        read = F.scaled_dot_product_attention(queries, keys, values, attn_mask=known)
        return x + self.gate.tanh() * self.output(read.transpose(1, 2).flatten(2))


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

    def lead(self, latents: Latents) -> Float[Tensor, "batch latents dim"]:
        """The leading positions of a window."""
        leading = self.leading.expand(len(latents.values), -1, -1)
        if self.kind != "prefix":
            return leading
        for number, timed in enumerate(self.timed):
            leading = leading if timed else leading + latents.values[:, latents.of(number)].squeeze(1)
        return leading
