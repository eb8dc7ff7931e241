"""How the record's effects fade with the time ahead, and the level of each bin of it.

A high blood pressure of today predicts the next year better than the tenth. Linear terms do not know that,
and hazards that stay apart for ten years give risks that are too low in all: those at high risk leave early.
One factor for each bin of the time ahead multiplies the record's log ratios of every task.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from proband.model.onset.head import OnsetHead
from proband.model.onset.terms import NUM_BINS
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import happened_by_bin

_DATES = 40_000
"""Train dates that are read, at most: a factor of all tasks needs no more."""
_STEPS = 25
_JUDGED_AT_ONCE = 2048
_PRIOR_ONSETS = 10.0
"""Onsets of evidence that the level of a bin is worth before any is seen. Rounded choice of ours."""
_BOUNDS = (0.2, 2.0)


class ByBin(NamedTuple):
    """Dates by the bins of the time ahead, for the named tasks.

    Attributes:
        record: Log ratios of the record, before decay.
        expected: Cumulative incidence of age and sex over the follow-up, times the hazard ratios of
            modalities and of values by time.
        happened: Onsets.
    """

    record: Float[Tensor, "n tasks bins"]
    expected: Float[Tensor, "n tasks bins"]
    happened: Float[Tensor, "n tasks bins"]


@torch.no_grad()
def fit_decay(head: OnsetHead, train: Part, tuning: Part, device: torch.device) -> None:
    """Set ``decay`` and ``bias`` of the head.

    The shape of the decay is the slopes of the train split, bin by bin; its size is one factor by which those
    of the tuning split differ, since on train any model looks better than it is. Levels are those of train.
    """
    head.eval()
    step = max(1, len(train) // _DATES)
    here = by_bin(head, train, np.arange(0, len(train), step), device)
    there = by_bin(head, tuning, np.arange(len(tuning)), device)
    shape = torch.stack([_slope(*(item[:, :, [number]] for item in here)) for number in range(NUM_BINS)])
    scaled = ByBin(there.record * shape, there.expected, there.happened)
    head.decay.copy_((shape * _slope(*scaled)).clamp(*_BOUNDS))
    _set_levels(head, here, train.per_subject / step)


@torch.no_grad()
def fit_levels(head: OnsetHead, train: Part, device: torch.device) -> None:
    """Set ``bias`` of the head alone, at the decay that it has."""
    head.eval()
    step = max(1, len(train) // _DATES)
    here = by_bin(head, train, np.arange(0, len(train), step), device)
    _set_levels(head, here, train.per_subject / step)


def _set_levels(head: OnsetHead, here: ByBin, per_subject: float) -> None:
    """Levels by which onsets and hazards agree in each bin, shrunk to 0; labels have one for their window,
    since all that are true count at one time in it."""
    fading = head.fading[: here.record.shape[1]].cpu().double()
    expected = (here.expected * (here.record * fading).exp()).sum(dim=0) / per_subject
    happened = here.happened.sum(dim=0) / per_subject
    one = head.is_label[: len(expected), None].cpu()
    expected = torch.where(one, expected.sum(dim=1, keepdim=True), expected)
    happened = torch.where(one, happened.sum(dim=1, keepdim=True), happened)
    level = ((happened + _PRIOR_ONSETS) / (expected + _PRIOR_ONSETS)).log()
    head.bias[: len(level)] = level.to(head.bias)


def by_bin(head: OnsetHead, part: Part, dates: np.ndarray, device: torch.device) -> ByBin:
    """Read some dates of a split."""
    named, found = head.config.num_named, []
    for begin in range(0, len(dates), _JUDGED_AT_ONCE):
        query, followed = part.batch(dates[begin : begin + _JUDGED_AT_ONCE], device)
        followed = followed.first(named)
        inputs = head.inputs(query)
        beside = head.of_modalities(query)[:, :, None] + head.change_with_time(inputs)
        expected = head.expected(query.age, query.female, followed.until) * beside[:, :named].exp()
        found.append([head.before_decay(query, inputs)[:, :named], expected, happened_by_bin(followed)])
    return ByBin(*(torch.cat(parts).cpu().double() for parts in zip(*found, strict=True)))


def _slope(
    record: Float[Tensor, "n tasks bins"],
    expected: Float[Tensor, "n tasks bins"],
    happened: Float[Tensor, "n tasks bins"],
) -> Float[Tensor, ""]:
    """One slope for all, with a level for each task and bin, of mean onsets expected exp(level + slope x)."""
    centre = (record * expected).sum(dim=0) / expected.sum(dim=0).clamp(min=1e-12)
    x = record - centre
    level, slope = torch.zeros_like(centre), torch.ones((), dtype=record.dtype)
    for _ in range(_STEPS):
        mean = expected * (level + slope * x).clamp(-20, 20).exp()
        weight = mean.sum(dim=0) + 1e-6
        cross = (mean * x).sum(dim=0)
        by_level, by_slope = (mean - happened).sum(dim=0), ((mean - happened) * x).sum()
        curvature = (mean * x.square()).sum() - (cross.square() / weight).sum()
        move = (by_slope - (cross * by_level / weight).sum()) / curvature.clamp(min=1e-9)
        level = level - ((by_level - cross * move) / weight).clamp(-2, 2)
        slope = slope - move.clamp(-0.5, 0.5)
        if move.abs() < 1e-7:
            break
    return slope
