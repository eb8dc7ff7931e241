"""The model: leading positions, record, trunk, heads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from proband.core.batch import CENSORED, EVENT, Batch, ModalityInput
from proband.core.running.device import has_bfloat16
from proband.model.config import ModelConfig, OnsetConfig
from proband.model.embedding import Embedding
from proband.model.fusion.layer import FusionLayer, Prepared
from proband.model.fusion.module import Fusion
from proband.model.hub import HubFormat
from proband.model.kernels.pages import Pages, Window
from proband.model.next_event.clock import Moment
from proband.model.next_event.gaps import GapBins
from proband.model.next_event.heads import WhatHead, WhenHead, first_positions
from proband.model.next_event.loss import LossTerms
from proband.model.onset.head import OnsetHead
from proband.model.trunk.block import Block
from proband.model.trunk.rotary import Rotary

MOST_LOGITS = 1 << 25
"""Events times vocabulary scored at once, at most: 134 MB in float32, of which a step holds about four."""
_ROW_MULTIPLE = 64
"""Events scored at once are filled up to a multiple of this: for each new number of rows a CPU's bfloat16
kernels are compiled anew, about a millisecond each."""

BlockCache = tuple[Tensor, Tensor]
"""Keys and values of a block, (batch, heads, length, head_dim)."""


class Proband(HubFormat):
    """A generative model of lifelong records and other modalities.

    Args:
        config: Its shape.
        once: Per token, whether it happens at most once in a life.
        alike: Per token, the lowest of the tokens of which only one happens; default each its own.
    """

    def __init__(
        self,
        config: ModelConfig,
        once: Bool[Tensor, " vocabulary"],
        alike: Int[Tensor, " vocabulary"] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.bins = GapBins(config.gap_edges, config.resolution_minutes)
        self.embedding = Embedding(config)
        self.dropout = nn.Dropout(config.dropout)
        self.rotary = Rotary(config.head_dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.when = WhenHead(config, self.bins.num_bins)
        self.what = WhatHead(config, self.bins.num_bins, once, alike)
        self.fusion = Fusion(
            config
        )  # after the trunk, so that its initial weights are the same for every fusion
        self.onset = OnsetHead(config) if config.onset else None

    def attach_onset(self, shape: OnsetConfig) -> OnsetHead:
        """Add an untrained onset head of this shape, in place of any there is."""
        self.config = self.config.model_copy(update={"onset": shape})
        self.onset = OnsetHead(self.config)
        return self.onset

    def set_output_biases(
        self,
        gap_counts: Float[Tensor, " bins"],
        new_ratio: Float[Tensor, " vocabulary"],
        repeat_rate: Float[Tensor, " vocabulary"],
    ) -> None:
        """Start both heads at the log frequencies of the train split.

        Args:
            gap_counts: How often the gap fell into each bin (smoothed here by one).
            new_ratio: Per code new to the subject, by what its expected number since the last time stamp is
                multiplied to give the share of positions followed by it.
            repeat_rate: Share of positions followed by a code, among those of subjects who have had it.
        """
        with torch.no_grad():
            self.when.output.bias.copy_(((gap_counts + 1) / (gap_counts + 1).sum()).log())
            self.what.bias.copy_(new_ratio.log())
            self.what.repeat.copy_((repeat_rate / new_ratio).log())

    def first_positions(
        self, tokens: Int[Tensor, "batch length"], seen_before: Int[Tensor, "batch codes"]
    ) -> Int[Tensor, "batch vocabulary"]:
        """Position from which each code counts as seen: -1 before the window, large if never."""
        return first_positions(tokens, seen_before, self.config.vocabulary_size, self.members)

    def stamp_log_waits(
        self, hidden: Float[Tensor, "batch length dim"], ages: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length"]:
        """Log expected years of waiting with which the time stamp of each position came: the inverse of the
        model's hazard of an event, as the last position of the stamp before saw it. No gradient passes.

        Positions of a row's first stamp, for which no such position is in the window, have the mean.
        """
        with torch.no_grad():
            steps = self.bins.steps(torch.diff(ages, dim=1).clamp(min=0))
            log_mass = self.when(hidden[:, :-1].flatten(0, 1))
            log_wait = self.bins.log_wait(log_mass, steps.flatten()).reshape(steps.shape)
            at = torch.arange(1, ages.shape[1], device=ages.device)
            newest = torch.where(steps > 0, at, 0).cummax(dim=1).values
            middle = self.what.clock.log_middle.to(log_wait.dtype).expand(len(ages), 1)
            padded = torch.cat([middle, log_wait], dim=1)
            return padded.gather(1, nn.functional.pad(newest, (1, 0)))

    def moment(
        self, hidden: Float[Tensor, "batch length dim"], batch: Batch, at: tuple[Tensor, Tensor]
    ) -> Moment:
        """The times of the events after positions ``at`` (rows, positions)."""
        steps = self.bins.steps(batch.gaps[at])
        with torch.no_grad():
            own_stamp = self.stamp_log_waits(hidden, batch.ages)[at]
            log_wait = torch.where(steps > 0, self.bins.log_wait(self.when(hidden[at]), steps), own_stamp)
        return Moment(batch.ages[at] + batch.gaps[at], log_wait, batch.statics[at[0]])

    @property
    def members(self) -> Int[Tensor, "vocabulary members"]:
        """Per token, the tokens that count as seen with it."""
        return self.what.members

    @property
    def once_groups(self) -> list[list[int]]:
        """The tokens that happen at most once in a life, by groups of which only one happens."""
        groups = {tuple(sorted(set(row))) for row in self.members[self.what.once].tolist()}
        return [list(group) for group in sorted(groups)]

    def hidden(
        self,
        tokens: Int[Tensor, "batch length"],
        ages: Int[Tensor, "batch length"],
        statics: Int[Tensor, "batch statics"],
        modalities: dict[str, ModalityInput],
    ) -> tuple[Float[Tensor, "batch length dim"], list[BlockCache]]:
        """Read histories: one vector per token, and every block's cache, leading positions first."""
        batch, length = tokens.shape
        gaps = torch.diff(ages, dim=1, prepend=ages[:, :1]).clamp(min=0)
        record = self.dropout(self.embedding(tokens, ages, gaps, statics))
        latents = self.fusion.latents(modalities, batch)
        x = torch.cat([self.fusion.lead(latents), record], dim=1)
        leading = x.shape[1] - length
        ages = nn.functional.pad(ages, (leading, 0))
        angles = self.rotary(torch.arange(leading + length, device=tokens.device).expand(batch, -1), ages)
        cache = []
        for block, layer in zip(self.blocks, self.fusion.layers, strict=True):
            assert isinstance(layer, FusionLayer)
            prepared = layer.prepare(latents)
            x, keys_values = block(layer(x, ages, prepared), angles)
            cache.append(keys_values)
        return x[:, leading:], cache

    @torch.no_grad()
    def states(
        self, batches: Iterable[tuple[Batch, np.ndarray, np.ndarray, np.ndarray]], num_queries: int
    ) -> Float32[np.ndarray, "queries dim"]:
        """States at chosen positions of windows, in bfloat16 products where the machine multiplies in it.

        Args:
            batches: Windows; row, column and number of each query in them.
            num_queries: Queries of all batches.
        """
        state = np.zeros((num_queries, self.config.dim), dtype=np.float32)
        device = self.embedding.tokens.weight.device
        for windows, rows, columns, queries in batches:
            batch = windows.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
                hidden, _ = self.hidden(batch.tokens, batch.ages, batch.statics, batch.modalities)
            chosen = hidden[torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)]
            state[queries] = chosen.float().cpu().numpy()
        return state

    def prepare(self, modalities: dict[str, ModalityInput], batch: int) -> list[Prepared]:
        """What each block's fusion layer needs of the modalities of ``batch`` subjects."""
        latents = self.fusion.latents(modalities, batch)
        found = []
        for layer in self.fusion.layers:
            assert isinstance(layer, FusionLayer)
            found.append(layer.prepare(latents))
        return found

    def step(
        self,
        tokens: Int[Tensor, " rows"],
        ages: Int[Tensor, " rows"],
        previous_ages: Int[Tensor, " rows"],
        statics: Int[Tensor, "rows statics"],
        positions: Int[Tensor, " rows"],
        pages: Sequence[Pages],
        prepared: Sequence[Prepared],
        window: Window,
    ) -> Float[Tensor, "rows dim"]:
        """Read one more token on every row, from pages of keys and values.

        A path longer than the model's context attends to its newest ``context`` tokens and the leading
        positions, which stay as near as they were in training: their distance stops growing.

        Args:
            tokens: New tokens.
            ages: Their ages in minutes.
            previous_ages: Ages of the tokens before them.
            statics: Static codes.
            positions: Positions of the new tokens, leading positions counted.
            pages: Per block, keys and values so far; written here.
            prepared: Per block, what its fusion layer prepared, by row.
            window: Which pages each row reads.
        """
        x = self.embedding(tokens[:, None], ages[:, None], (ages - previous_ages)[:, None], statics)
        angles = self.rotary(positions[:, None], ages[:, None])
        beyond = (positions[:, None] - self.config.num_latents - self.config.context + 1).clamp(min=0)
        lead_angles = self.rotary(-beyond, torch.zeros_like(beyond)) if beyond.any() else None
        for block, layer, own, block_pages in zip(
            self.blocks, self.fusion.layers, prepared, pages, strict=True
        ):
            assert isinstance(block, Block)
            x = block.step(layer(x, ages[:, None], own), angles, lead_angles, block_pages, window)
        return x[:, 0]

    def log_codes(
        self,
        hidden: Float[Tensor, "n dim"],
        gap_bins: Int[Tensor, " n"],
        seen: Bool[Tensor, "n vocabulary"],
        moment: Moment,
    ) -> Float[Tensor, "n vocabulary"]:
        """log p(code | history, gap)."""
        return self.what(hidden, gap_bins, self.embedding.tokens.weight, seen, moment)

    def forward(self, batch: Batch) -> LossTerms:
        """The likelihood of what followed every scored position."""
        first = self.first_positions(batch.tokens, batch.seen_before)
        # Which positions count depends on the batch alone: found here, it avoids a device sync later.
        is_event = batch.target == EVENT
        impossible = is_event & self.what.impossible_next(batch.next_tokens, first)
        rows, positions = (is_event & ~impossible).nonzero(as_tuple=True)
        num_events, num_impossible = len(rows), int(impossible.sum())
        ends = (batch.target == CENSORED).nonzero(as_tuple=True)
        hidden, _ = self.hidden(batch.tokens, batch.ages, batch.statics, batch.modalities)
        at = _filled(rows), _filled(positions)
        at_event = hidden[at]
        steps = self.bins.steps(batch.gaps[at])
        event_when = self._gap_nats(at_event, steps, batch.waited[at])[:num_events]
        moment = self.moment(hidden, batch, at)
        event_what = self._code_nats(
            at_event, self.bins.bin_of(steps), first, *at, target=batch.next_tokens[at], moment=moment
        )[:num_events]
        return LossTerms(
            when=event_when.sum(),
            what=event_what.sum(),
            censoring=self._censored_nats(hidden[ends], batch.gaps[ends], batch.waited[ends]),
            num_events=num_events,
            num_impossible=num_impossible,
            rows=rows,
            positions=positions,
            event_when=event_when,
            event_what=event_what,
        )

    def _code_nats(
        self,
        hidden: Float[Tensor, "n dim"],
        gap_bins: Int[Tensor, " n"],
        first: Int[Tensor, "batch vocabulary"],
        rows: Int[Tensor, " n"],
        positions: Int[Tensor, " n"],
        target: Int[Tensor, " n"],
        moment: Moment,
    ) -> Float[Tensor, " n"]:
        """−log p(code | history, gap); beyond ``MOST_LOGITS``, part by part and computed again on the
        way back, so that memory does not grow with events times vocabulary."""
        vectors = self.embedding.tokens.weight
        given = (hidden, gap_bins, rows, positions, target)
        size = max(1, MOST_LOGITS // self.config.vocabulary_size)
        if len(hidden) <= size:
            return self.what.nats(*given, moment, first, vectors)
        parts = zip(*(tensor.split(size) for tensor in given), strict=True)
        moments = (Moment(*part) for part in zip(*(tensor.split(size) for tensor in moment), strict=True))
        nats = [
            checkpoint(self.what.nats, *part, own, first, vectors, use_reentrant=False)
            for part, own in zip(parts, moments, strict=True)
        ]
        return torch.cat(nats)

    def _gap_nats(
        self, hidden: Float[Tensor, "n dim"], steps: Int[Tensor, " n"], waited: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """−log density per day of gaps, given none until ``waited`` minutes have passed."""
        log_mass = self.when(hidden)
        density = self.bins.log_probability(log_mass, steps) - math.log(self.bins.resolution_days)
        return self._log_silence(log_mass, waited, steps) - density

    def _log_silence(
        self, log_mass: Float[Tensor, "n bins"], waited: Int[Tensor, " n"], steps: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """log P(no event until entry), 0 where the position is at or after entry."""
        before = waited.nonzero().squeeze(1)  # the last position before entry: few
        until = torch.minimum(self.bins.steps(waited[before]) + 1, steps[before])
        survival = self.bins.log_survival(log_mass[before], until)
        return log_mass.new_zeros(len(waited)).index_add(0, before, survival)

    def _censored_nats(
        self, hidden: Float[Tensor, "n dim"], gaps: Int[Tensor, " n"], waited: Int[Tensor, " n"]
    ) -> Float[Tensor, ""]:
        log_mass = self.when(hidden)
        # An event in the step of exit itself would have been recorded: silence lasts until the next step.
        steps = self.bins.steps(gaps) + 1
        silence = self.bins.log_survival(log_mass, steps)
        return (self._log_silence(log_mass, waited, steps) - silence).sum()


def _filled(index: Int[Tensor, " n"]) -> Int[Tensor, " filled"]:
    """``index`` with its first entry repeated up to a multiple of ``_ROW_MULTIPLE``."""
    return torch.cat([index, index[:1].expand(-len(index) % _ROW_MULTIPLE)])
