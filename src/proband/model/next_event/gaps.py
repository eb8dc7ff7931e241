"""The distribution of the time to the next event: a discrete hazard without a parametric form.

Time runs in steps of the data's resolution r (a day or a minute). A gap of g steps means the event fell in
the cell [g, g + 1) r. Bin 0 is the cell of the same time stamp; further bins have integer edges from 1 step
to 120 years, finer where the train split has more gaps, and within a bin probability is uniform in log time.
So

    P(gap = g) = m_b ln((g + 1) / g) / ln(b_hi / b_lo),    density = P(gap = g) / r per day,

which sums to one exactly and is a proper density: it can be compared with any other model of these data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from proband.core.units import MINUTES_PER_DAY, MINUTES_PER_YEAR

LONGEST_GAP_YEARS = 120


def fit_gap_edges(
    gaps: Int[np.ndarray, " gaps"], resolution_minutes: int, num_bins: int = 64
) -> tuple[int, ...]:
    """Bin edges in steps: at most ``num_bins``, the same-time bin included, that cover up to 120 years.

    Every bin holds an equal share of the mean of two measures: the given gaps, and log time. So bins are
    fine where data are, and none is longer than twice its share of log time. A single gap that is so common
    that it deserves two bins gets one of its own.

    Args:
        gaps: Gaps of train events in steps; those of the same time stamp do not matter.
        resolution_minutes: Length of a step.
        num_bins: Bins wanted.

    >>> fit_gap_edges(np.zeros(0, dtype=int), 1440, num_bins=4)
    (1, 36, 1244, 43830)
    >>> fit_gap_edges(np.array([7, 7, 7, 30]), 1440, num_bins=8)
    (1, 7, 8, 31, 98, 2069, 43830)
    """
    last = math.ceil(LONGEST_GAP_YEARS * MINUTES_PER_YEAR / resolution_minutes)
    values, counts = np.unique(gaps[(gaps > 0) & (gaps < last)], return_counts=True)
    weight = 0.5 if len(values) else 0.0  # of the gaps; the rest is log time's
    values = np.append(values, last)
    shorter = np.append(0, counts.cumsum()) / max(1, counts.sum())
    measure = weight * shorter + (1 - weight) * np.log(values) / math.log(last)  # below each value
    wanted = np.arange(num_bins) / (num_bins - 1)
    at = np.searchsorted(measure, wanted).clip(max=len(values) - 1)
    log_edges = (wanted - weight * shorter[at]) / (1 - weight) * math.log(last)
    edges = np.ceil(np.exp(log_edges) - 1e-6).astype(np.int64)
    edges = edges.clip(np.append(0, values)[at] + 1, values[at])
    twice = edges[1:][edges[1:] == edges[:-1]]
    return tuple(int(edge) for edge in np.unique(np.concatenate([edges, twice - 1])) if edge > 0)


class Draws(NamedTuple):
    """Gaps drawn up to a limit.

    Attributes:
        steps: Gaps in steps, given that they are within the limit.
        inside: Whether the gap is within it.
        share: Probability that it is.
    """

    steps: Int[Tensor, " n"]
    inside: Bool[Tensor, " n"]
    share: Float[Tensor, " n"]


class GapBins(nn.Module):
    """Bins of the gap, and the probabilities they give.

    Args:
        edges: Edges of the bins of positive gaps in steps, ascending from 1.
        resolution_minutes: Length of a step.
    """

    log_edges: Tensor
    edges: Tensor

    def __init__(self, edges: Sequence[int], resolution_minutes: int) -> None:
        super().__init__()
        self.resolution_minutes = resolution_minutes
        self.num_bins = len(edges)
        self.last_edge = int(edges[-1])  # a plain number, which avoids a device sync
        steps = torch.tensor(edges, dtype=torch.int64)
        self.register_buffer("edges", steps, persistent=False)
        self.register_buffer("log_edges", steps.double().log(), persistent=False)

    @property
    def resolution_days(self) -> float:
        """Length of a step in days."""
        return self.resolution_minutes / MINUTES_PER_DAY

    def steps(self, minutes: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Whole steps in a gap given in minutes."""
        return torch.div(minutes, self.resolution_minutes, rounding_mode="floor")

    def bin_of(self, steps: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Bin of a gap in steps; gaps beyond the last edge belong to the last bin."""
        inside = steps.clamp(max=self.last_edge - 1)
        return torch.bucketize(inside, self.edges, right=True)

    def _share_below(
        self, steps: Int[Tensor, "*shape"], bins: Int[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Share of a positive bin's probability on gaps < ``steps`` (0 at its lower edge)."""
        upper = bins.clamp(min=1)
        low, high = self.log_edges[upper - 1], self.log_edges[upper]
        inside = steps.clamp(min=1, max=self.last_edge).double().log()
        return ((inside - low) / (high - low)).clamp(0, 1)

    def log_probability(
        self, log_mass: Float[Tensor, "n bins"], steps: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """log P(gap = steps)."""
        bins = self.bin_of(steps)
        inside = steps.clamp(max=self.last_edge - 1)
        cell = self._share_below(inside + 1, bins) - self._share_below(inside, bins)
        cell = torch.where(bins == 0, torch.ones_like(cell), cell)
        return log_mass.gather(-1, bins[:, None]).squeeze(-1) + cell.log().to(log_mass.dtype)

    def log_survival(
        self, log_mass: Float[Tensor, "n bins"], steps: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """log P(gap >= steps); 0 at steps = 0."""
        inside = steps.clamp(min=0, max=self.last_edge - 1)
        bins = self.bin_of(inside)
        left = torch.where(bins == 0, 0.0, torch.log1p(-self._share_below(inside, bins)))
        each = torch.arange(self.num_bins, device=steps.device)
        left = left.to(log_mass.dtype)[:, None]
        share = torch.where(each == bins[:, None], left, torch.where(each > bins[:, None], 0.0, -torch.inf))
        survival = (log_mass + share).logsumexp(-1)
        return torch.where(inside > 0, survival, torch.zeros_like(survival))

    def log_wait(self, log_mass: Float[Tensor, "n bins"], steps: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log expected years until the next event at the hazard of an event after ``steps`` > 0 steps.

        The inverse of the hazard, P(gap >= steps) / P(gap = steps) steps; between a step and 120 years.
        """
        log_steps = self.log_survival(log_mass, steps) - self.log_probability(log_mass, steps)
        log_step = math.log(self.resolution_minutes / MINUTES_PER_YEAR)
        return (log_steps + log_step).clamp(log_step, math.log(LONGEST_GAP_YEARS))

    def draw_until(
        self,
        mass: Float[Tensor, "n bins"],
        uniform: Float[Tensor, " n"],
        at_least: Int[Tensor, " n"],
        at_most: Int[Tensor, " n"],
    ) -> Draws:
        """Draw gaps conditional on ``at_least`` <= gap <= ``at_most``, and whether the gap is so short.

        One uniform serves both: whether it falls below the share, and its place on either side of it. So the
        gap is independent of ``inside``, and where ``inside`` holds it is the inverse transform of the whole
        law given gap >= ``at_least``.

        Args:
            mass: Bin probabilities, float64.
            uniform: Draws in (0, 1).
            at_least: Smallest gap allowed, in steps.
            at_most: Largest gap of interest, in steps; below ``at_least`` the share is 0.
        """
        cumulative = mass.cumsum(-1)
        total = cumulative[:, -1]
        skipped = self._mass_below(cumulative, mass, at_least)
        reached = self._mass_below(cumulative, mass, at_most + 1)
        # Of what has no probability left the event comes at once.
        share = torch.where(total > skipped, (reached - skipped) / (total - skipped), 1.0)
        share = torch.where(at_most < at_least, 0.0, share.clamp(0, 1))
        inside = uniform < share
        within = torch.where(inside, uniform / share, (uniform - share) / (1 - share)).nan_to_num()
        steps = self._inverse(cumulative, mass, skipped + within * (reached - skipped))
        return Draws(torch.maximum(torch.minimum(steps, at_most), at_least), inside, share)

    def _mass_below(
        self,
        cumulative: Float[Tensor, "n bins"],
        mass: Float[Tensor, "n bins"],
        steps: Int[Tensor, " n"],
    ) -> Float[Tensor, " n"]:
        """P(gap < steps)."""
        bins = self.bin_of(steps.clamp(min=0))[:, None]
        inside = mass.gather(-1, bins).squeeze(-1)
        share = torch.where(bins[:, 0] == 0, 0.0, self._share_below(steps, bins[:, 0]))
        return cumulative.gather(-1, bins).squeeze(-1) - inside + share * inside

    def _inverse(
        self,
        cumulative: Float[Tensor, "n bins"],
        mass: Float[Tensor, "n bins"],
        target: Float[Tensor, " n"],
    ) -> Int[Tensor, " n"]:
        """The gap up to which probability is ``target``."""
        bins = torch.searchsorted(cumulative, target[:, None]).clamp(max=self.num_bins - 1)
        inside = mass.gather(-1, bins).squeeze(-1)
        within = target - cumulative.gather(-1, bins).squeeze(-1) + inside
        within = (within / inside.clamp(min=torch.finfo(inside.dtype).tiny)).clamp(0, 1)
        upper = bins[:, 0].clamp(min=1)
        low, high = self.log_edges[upper - 1], self.log_edges[upper]
        steps = torch.exp(low + within * (high - low)).floor().long()
        steps = steps.clamp(min=self.edges[upper - 1], max=self.edges[upper] - 1)
        return torch.where(bins[:, 0] == 0, torch.zeros_like(steps), steps)
