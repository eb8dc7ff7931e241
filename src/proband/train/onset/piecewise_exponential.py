"""The piecewise-exponential likelihood of first occurrences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int32, Int64
from torch import Tensor

from proband.core.units import MINUTES_PER_YEAR
from proband.model.config import BIN_EDGES
from proband.model.onset.head import OnsetHead
from proband.model.onset.inputs import Query

_MOST_LOG_RATIO = 15.0
"""Log hazard ratios are cut here in the likelihood, so that a bad step stays finite."""


class Outcomes(NamedTuple):
    """What followed n dates, for every task.

    Attributes:
        until: Years to onset, death or the end of follow-up; 0 for who had had it.
        happened: Whether the onset came within follow-up.
    """

    until: Float[Tensor, "n tasks"]
    happened: Bool[Tensor, "n tasks"]

    def first(self, number: int) -> Outcomes:
        """Of the first tasks alone."""
        return Outcomes(self.until[:, :number], self.happened[:, :number])


@dataclass(frozen=True)
class FollowUp:
    """What followed dates, kept by subject.

    Attributes:
        first: Age in minutes at each task's onset.
        own: Row of ``first`` of each date.
        minutes: Age in minutes of each date.
        exit: Age in minutes at its subject's end of follow-up.
        drawn: People, each as often as a resample has them; None for each subject once.
    """

    first: Int32[np.ndarray, "subjects tasks"]
    own: Int64[np.ndarray, " n"]
    minutes: Int64[np.ndarray, " n"]
    exit: Int64[np.ndarray, " n"]
    drawn: int | None = None

    @property
    def num_people(self) -> int:
        """People whose dates these are."""
        return len(self.first) if self.drawn is None else self.drawn

    def batch(self, index: Int[np.ndarray, " some"]) -> Outcomes:
        """Of some of the dates."""
        first, now = self.first[self.own[index]].astype(np.int64), self.minutes[index, None]
        exit_ = self.exit[index, None]
        stop = np.minimum(first, exit_) - now
        is_new = first > now
        until = np.where(is_new, stop, 0) / MINUTES_PER_YEAR
        return Outcomes(torch.from_numpy(until).float(), torch.from_numpy(is_new & (first <= exit_)))


def expected_and_happened(
    head: OnsetHead, query: Query, log_ratio: Float[Tensor, "n some bins"], followed: Outcomes
) -> tuple[Float[Tensor, "n some"], Bool[Tensor, "n some"]]:
    """Cumulative hazard over the follow-up of each date, and whether the onset came, for the first tasks."""
    return expected_by_bin(head, query, log_ratio, followed).sum(dim=-1), followed.happened


def expected_by_bin(
    head: OnsetHead, query: Query, log_ratio: Float[Tensor, "n some bins"], followed: Outcomes
) -> Float[Tensor, "n some bins"]:
    """Cumulative hazard over the follow-up of each date, bin by bin of the time ahead, of the first tasks."""
    ratio = log_ratio.clamp(max=_MOST_LOG_RATIO).exp()
    return head.expected(query.age, query.female, followed.until) * ratio


def bins_of(followed: Outcomes) -> Int[Tensor, "n some"]:
    """Bin of the end of each follow-up; an onset at an edge ends the bin before it."""
    return torch.bucketize(
        followed.until.contiguous(), torch.tensor(BIN_EDGES[1:], device=followed.until.device)
    )


def happened_by_bin(followed: Outcomes) -> Float[Tensor, "n some bins"]:
    """1 in the bin of each onset that came, else 0."""
    found = torch.zeros(*followed.until.shape, len(BIN_EDGES), device=followed.until.device)
    return found.scatter_(2, bins_of(followed)[..., None], followed.happened.float()[..., None])


def negative_log_likelihood(
    head: OnsetHead, query: Query, log_ratio: Float[Tensor, "n some bins"], followed: Outcomes
) -> Float[Tensor, " tasks"]:
    """−log likelihood of each task, summed over dates, in nats; time in years.

    sum over bins of (cumulative rate exp(g)) − (log rate + g) at the onset; exposure ends at onset, death
    and the end of follow-up.
    """
    total = expected_by_bin(head, query, log_ratio, followed).sum(dim=(0, 2))
    at_onset = log_ratio.clamp(max=_MOST_LOG_RATIO).gather(2, bins_of(followed)[..., None])[..., 0]
    rate = head.log_rate_at(query.age[:, None] + followed.until, query.female)
    return total - ((at_onset + rate) * followed.happened).sum(dim=0)
