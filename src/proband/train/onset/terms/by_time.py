"""Recencies and values whose effects fade with the time ahead more than the rest of the record, or less.

One decay for all (:mod:`proband.train.onset.decay`) is not enough: high blood glucose means diabetes within
a year or two, a high body-mass index at any time; a test that is ordered before a diagnosis is made tells of
the next months and, once these are over, of nothing. A disease that is a value beyond a threshold comes
within a year to those near it alone, which no line tells: squares of values change with time, too.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.core.running.progress import say
from proband.model.config import MOST_FITTED
from proband.model.onset.head import TAU, OnsetHead
from proband.model.onset.inputs import Query
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import Outcomes, bins_of, expected_by_bin, happened_by_bin
from proband.train.onset.terms.record import (
    add_folds,
    columns_by_time,
    features_by_frequency,
    read_counts,
)
from proband.train.onset.terms.ridge import PRIOR_ONSETS, Counts, spread_rows
from proband.train.onset.terms.shrinkage import Choice, Fit, fit_cross_validated

_DATES = 40_000
"""Dates of a split that are read, at most."""
_MOST_NUMBERS = 1 << 26
"""Dates times inputs, or times tasks and bins, held at once, at most: a quarter of a GiB for each kind of
number; of more, fewer dates are read."""
_READ_AT_ONCE = 4096
_MOST = 20.0
"""Linear predictors are cut here, so that a bad trial step stays finite."""


_CHOICES = (Choice(0.02), Choice(0.04), Choice(0.08, 1.2), Choice(0.2, 1.2), Choice(0.4, 1.2))
"""Wider than for other terms: a few values change much with the time ahead, most not at all."""
_FIT: Fit = functools.partial(fit_cross_validated, choices=_CHOICES)


@dataclass(frozen=True)
class CountsByBin(Counts):
    """Counts of mean exposure exp(level of the bin + tau x beta) in each bin of the time ahead.

    Attributes:
        onsets_by_bin: Onsets; ``onsets`` are their sums over bins.
        exposure_by_bin: Cumulative hazard without what is fitted; ``exposure`` is its sum over bins.
        tau: How late the bins are, of each task.
    """

    onsets_by_bin: Float[Tensor, "n tasks bins"]
    exposure_by_bin: Float[Tensor, "n tasks bins"]
    tau: Float[Tensor, "tasks bins"]

    @classmethod
    def of(
        cls,
        x: Float[Tensor, "n width"],
        onsets: Float[Tensor, "n tasks bins"],
        exposure: Float[Tensor, "n tasks bins"],
        tau: Float[Tensor, "tasks bins"],
    ) -> CountsByBin:
        """With the sums over bins."""
        return cls(x, onsets.sum(dim=2), exposure.sum(dim=2), onsets, exposure, tau)

    def take(self, rows: Bool[Tensor, " n"]) -> CountsByBin:
        """Some of the rows."""
        return self.of(self.x[rows], self.onsets_by_bin[rows], self.exposure_by_bin[rows], self.tau)

    def first(self, number: int) -> CountsByBin:
        """Of the first tasks alone."""
        onsets, exposure = self.onsets_by_bin[:, :number], self.exposure_by_bin[:, :number]
        return self.of(self.x, onsets, exposure, self.tau[:number])

    def thinned(self, most: int) -> CountsByBin:
        """So many rows at most, equally far apart, each for all that it stands for."""
        rows, share = spread_rows(len(self.x), most)
        onsets, exposure = self.onsets_by_bin[rows] * share, self.exposure_by_bin[rows] * share
        return self.of(self.x[rows], onsets, exposure, self.tau)

    @functools.cached_property
    def onsets_times_tau(self) -> Float[Tensor, "n tasks"]:
        """Onsets, each times how late its bin is."""
        return (self.onsets_by_bin * self.tau).sum(dim=2)

    @property
    def information(self) -> Float[Tensor, " tasks"]:
        """Curvature of each task's loss along an input of variance 1, near beta = 0."""
        return (self.onsets_by_bin.sum(dim=0) * self.tau.square()).sum(dim=1)

    def loss_of(self, linear: Float[Tensor, "n tasks"]) -> Float[Tensor, " tasks"]:
        """−log likelihood of each task less that of 0, all levels at their best, in nats, of x beta."""
        predictor = (linear[:, :, None] * self.tau).clamp(-_MOST, _MOST)
        expected = (predictor.exp() * self.exposure_by_bin).sum(dim=0)
        ratio = (expected + PRIOR_ONSETS) / (self.exposure_by_bin.sum(dim=0) + PRIOR_ONSETS)
        onsets = self.onsets_by_bin.sum(dim=0)
        levels = ((onsets + PRIOR_ONSETS) * ratio.log()).sum(dim=1)
        return levels - (linear * self.onsets_times_tau).sum(dim=0)

    def loss_and_gradient(
        self, beta: Float[Tensor, "width tasks"]
    ) -> tuple[Float[Tensor, " tasks"], Float[Tensor, "width tasks"]]:
        """The loss and its gradient; predictors that are cut count as if they were not."""
        linear = self.x @ beta
        predictor = (linear[:, :, None] * self.tau).clamp_(-_MOST, _MOST)
        mean = predictor.exp_().mul_(self.exposure_by_bin)
        expected = mean.sum(dim=0) + PRIOR_ONSETS
        ratio = expected / (self.exposure_by_bin.sum(dim=0) + PRIOR_ONSETS)
        onsets = self.onsets_by_bin.sum(dim=0) + PRIOR_ONSETS
        missed = mean.mul_(onsets / expected * self.tau).sum(dim=2).sub_(self.onsets_times_tau)
        loss = (onsets * ratio.log()).sum(dim=1) - (linear * self.onsets_times_tau).sum(dim=0)
        return loss, (missed.T @ self.x).T


@torch.no_grad()
def centre_time(head: OnsetHead, train: Part) -> None:
    """Take the mean over onsets of the named tasks from ``tau``: other terms are effects at that time."""
    number = torch.zeros(len(TAU), dtype=torch.float64)
    for begin in range(0, len(train), _READ_AT_ONCE):
        index = np.arange(begin, min(begin + _READ_AT_ONCE, len(train)))
        followed = train.followed.batch(index).first(head.config.num_named)
        number += torch.bincount(bins_of(followed)[followed.happened], minlength=len(TAU))
    tau = torch.tensor(TAU, dtype=torch.float64)
    head.tau.copy_(tau - (number * tau).sum() / number.sum().clamp(min=1))


def fit_by_time(
    head: OnsetHead, train: Part, tuning: Part, device: torch.device, fit: Fit = _FIT
) -> dict[str, float]:
    """Fit by how much effects of recencies, values and their squares change with the time ahead.

    Args:
        head: Its record terms and their decay are fitted, its time is centred (:func:`centre_time`);
            ``by_time`` is added to. Levels are to be set anew.
        train, tuning: Queries.
        device: Where the head is.
        fit: How coefficients are shrunk.

    Returns:
        What ``fit`` tells; empty where none of them varies.
    """
    columns = _chosen_columns(head, train).to(device)
    if not len(columns):
        return {}
    of_date = max(len(columns), head.config.num_named * head.bias.shape[1])
    most = min(_DATES, _MOST_NUMBERS // of_date)
    known, judged = (_counts(head, part, most, columns, device) for part in (train, tuning))
    found = fit(known, judged, head.config.num_named)
    head.by_time[columns] += found.beta.to(head.by_time)
    add_folds(head.by_time_folds, head.fitted_by_time, columns, found.folds)
    return {f"by_time_{name}": value for name, value in found.notes.items()}


def _chosen_columns(head: OnsetHead, train: Part) -> Int[Tensor, " columns"]:
    """Recencies, mean and last values that can be used, and the squares of these last values, ascending; of
    many those of the most frequent."""
    columns = columns_by_time(head, features_by_frequency(head, train))
    if len(columns) > MOST_FITTED:
        say(
            f"train: the {MOST_FITTED} most frequent of {len(columns)} effects may change with the time ahead"
        )
    return torch.from_numpy(np.sort(columns[:MOST_FITTED]))


def _counts(
    head: OnsetHead, part: Part, most: int, columns: Int[Tensor, " columns"], device: torch.device
) -> CountsByBin:
    """Inputs, onsets and exposures of every so many-th date, at most so many."""

    def timed(query: Query) -> Tensor:
        return head.timed_of(head.inputs(query))[:, columns]

    dates = part.dates(most)
    counts = read_counts(head, part, dates, timed, device, _expected_and_happened)
    found = CountsByBin.of(*counts, head.lateness[: head.config.num_named])
    return replace(found, people=part.followed.num_people)


def _expected_and_happened(
    head: OnsetHead, query: Query, log_ratio: Float[Tensor, "n some bins"], followed: Outcomes
) -> tuple[Float[Tensor, "n some bins"], Float[Tensor, "n some bins"]]:
    return expected_by_bin(head, query, log_ratio, followed), happened_by_bin(followed)
