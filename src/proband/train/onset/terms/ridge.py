"""Penalised Poisson regression of onsets on fixed inputs, for all tasks at once.

Given the cumulative hazard of the rest of the model over each row's follow-up as exposure, onsets are
Poisson counts of mean exposure exp(level + x beta): the piecewise-exponential likelihood of a factor that is
constant in time. The level is the best for each beta. Without one, effects come out too small: exposures fit
the onsets of all at beta = 0, and the mean of exp(x beta) is above 1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_STEPS = 40
_MEMORY = 10
_GRADIENT = 1e-3
_CHANGE = 1e-2
"""Nats that a step gains, of all tasks together, below which it is the last."""
_MOST_NUMBERS = 1 << 26
"""Of Cholesky factors held at once, at most: a quarter of a GiB."""
_JITTER = 1e-5
"""Of the largest curvature, added to the diagonal: single precision finds the factor then."""
_MOST = 20.0
"""Linear predictors are cut here, so that a bad trial step stays finite."""
_MOST_OF_COVARIANCE = 20_000
"""Rows that the inputs' covariance is read from, at most."""
PRIOR_ONSETS = 1.0
"""One more onset expected and seen, so that a level without any stays finite."""


@dataclass(frozen=True)
class Counts:
    """Inputs, onsets and exposures; a row stands for a subject, or for dates that share their inputs.

    Attributes:
        x: Standardised inputs.
        onsets: Onsets.
        exposure: Cumulative hazard without the linear term.
        people: Subjects that the rows are of, where several rows are of one; None for a row each.
        groups: Number of the group of each input, such as those of one code; None without groups.
    """

    x: Float[Tensor, "n width"]
    onsets: Float[Tensor, "n tasks"]
    exposure: Float[Tensor, "n tasks"]
    people: int | None = field(default=None, kw_only=True)
    groups: Int[Tensor, " width"] | None = field(default=None, kw_only=True)

    def take(self, rows: Bool[Tensor, " n"]) -> Counts:
        """Some of the rows."""
        return Counts(self.x[rows], self.onsets[rows], self.exposure[rows], groups=self.groups)

    def first(self, number: int) -> Counts:
        """Of the first tasks alone."""
        return Counts(self.x, self.onsets[:, :number], self.exposure[:, :number], groups=self.groups)

    def thinned(self, most: int) -> Counts:
        """So many rows at most, equally far apart, each for all that it stands for."""
        rows, share = spread_rows(len(self.x), most)
        onsets, exposure = self.onsets[rows] * share, self.exposure[rows] * share
        return Counts(self.x[rows], onsets, exposure, groups=self.groups)

    @functools.cached_property
    def covariance(self) -> Float[Tensor, "width width"]:
        """Of the inputs, rows weighted by exposures, in the mean over tasks."""
        some = self.thinned(_MOST_OF_COVARIANCE)
        weight = (some.exposure / some.exposure.sum(dim=0).clamp(min=1e-12)).sum(dim=1)
        weight = weight / weight.sum().clamp(min=1e-12)
        x = (some.x - weight @ some.x) * weight.sqrt()[:, None]
        return x.T @ x

    @property
    def information(self) -> Float[Tensor, " tasks"]:
        """Curvature of each task's loss along an input of variance 1, near beta = 0."""
        return self.onsets.sum(dim=0)

    def loss(self, beta: Float[Tensor, "width tasks"]) -> Float[Tensor, " tasks"]:
        """−log likelihood of each task less that of beta = 0, both at their best level, in nats."""
        return self.loss_of(self.x @ beta)

    def loss_of(self, linear: Float[Tensor, "n tasks"]) -> Float[Tensor, " tasks"]:
        """The same of x beta, given for each row; it can be differentiated."""
        predictor = linear.clamp(max=_MOST)
        expected = (predictor.exp() * self.exposure).sum(dim=0)
        ratio = (expected + PRIOR_ONSETS) / (self.exposure.sum(dim=0) + PRIOR_ONSETS)
        onsets = self.onsets.sum(dim=0)
        return (onsets + PRIOR_ONSETS) * ratio.log() - (predictor * self.onsets).sum(dim=0)

    def loss_and_gradient(
        self, beta: Float[Tensor, "width tasks"]
    ) -> tuple[Float[Tensor, " tasks"], Float[Tensor, "width tasks"]]:
        """The loss and its gradient, in a third less time than autograd; predictors that are cut count as
        if they were not."""
        predictor = (self.x @ beta).clamp_(max=_MOST)
        of_onsets = (predictor * self.onsets).sum(dim=0)
        mean = predictor.exp_().mul_(self.exposure)
        expected = mean.sum(dim=0) + PRIOR_ONSETS
        onsets = self.onsets.sum(dim=0) + PRIOR_ONSETS
        ratio = expected / (self.exposure.sum(dim=0) + PRIOR_ONSETS)
        missed = mean.mul_(onsets / expected).sub_(self.onsets)
        return onsets * ratio.log() - of_onsets, (missed.T @ self.x).T


def spread_rows(number: int, most: int) -> tuple[Int[Tensor, " some"], float]:
    """Rows equally far apart, so many at most, and how many rows each stands for.

    >>> spread_rows(5, 3)
    (tensor([0, 1, 3]), 1.6666666666666667)
    """
    some = min(number, most)
    return torch.arange(some) * number // max(1, some), number / max(1, some)


def fit_ridge(
    counts: Counts, penalty: Float[Tensor, "width tasks"], start: Float[Tensor, "width tasks"]
) -> Float[Tensor, "width tasks"]:
    """Coefficients that minimise the loss plus half of penalty times their squares, by L-BFGS.

    The first step that torch tries is as long as 1 / |gradient|_1, and a search of several evaluations goes
    from there to about 1, where the loss curves alike in all directions. In units of that length the step
    tried first is the whole one.

    Args:
        counts: Of the train split.
        penalty: Of each coefficient, above 0.
        start: Where to begin.
    """
    units = _units(counts, penalty)

    def loss_and_gradient(scaled: Tensor) -> tuple[Tensor, Tensor]:
        beta = units.beta(scaled)
        loss, gradient = counts.loss_and_gradient(beta)
        whole = loss.sum() + (penalty / 2 * beta.square()).sum()
        return whole, units.gradient(gradient + penalty * beta).contiguous()

    begun = [loss_and_gradient(scaled := units.of(start))]
    length = 1 / begun[0][1].abs().sum().clamp(min=1e-9)
    place = scaled * length
    optimizer = torch.optim.LBFGS(
        [place],
        max_iter=_STEPS,
        history_size=_MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=_GRADIENT,
        tolerance_change=_CHANGE * float(length),
    )

    def closure() -> Tensor:
        loss, place.grad = begun.pop() if begun else loss_and_gradient(place / length)
        return loss * length

    optimizer.step(closure)
    return units.beta(place / length)


@dataclass(frozen=True)
class _Whitened:
    """Coordinates L^T beta of each task, for the Cholesky factor L of its curvature.

    Attributes:
        factor: L.
    """

    factor: Float[Tensor, "tasks width width"]

    def of(self, beta: Float[Tensor, "width tasks"]) -> Float[Tensor, "tasks width one"]:
        """Coefficients in these coordinates."""
        return self.factor.mT @ beta.T[:, :, None]

    def beta(self, scaled: Float[Tensor, "tasks width one"]) -> Float[Tensor, "width tasks"]:
        """Coefficients of these coordinates."""
        return torch.linalg.solve_triangular(self.factor.mT, scaled, upper=True)[:, :, 0].T

    def gradient(self, of_beta: Float[Tensor, "width tasks"]) -> Float[Tensor, "tasks width one"]:
        """Gradient in these coordinates of that in coefficients."""
        return torch.linalg.solve_triangular(self.factor, of_beta.T[:, :, None], upper=False)


@dataclass(frozen=True)
class _Scaled:
    """The roots of each coefficient's own curvature as units.

    Attributes:
        scale: Their inverse.
    """

    scale: Float[Tensor, "width tasks"]

    def of(self, beta: Float[Tensor, "width tasks"]) -> Float[Tensor, "width tasks"]:
        """Coefficients in these coordinates."""
        return beta / self.scale

    def beta(self, scaled: Float[Tensor, "width tasks"]) -> Float[Tensor, "width tasks"]:
        """Coefficients of these coordinates."""
        return scaled * self.scale

    def gradient(self, of_beta: Float[Tensor, "width tasks"]) -> Float[Tensor, "width tasks"]:
        """Gradient in these coordinates of that in coefficients."""
        return of_beta * self.scale


def _units(counts: Counts, penalty: Float[Tensor, "width tasks"]) -> _Whitened | _Scaled:
    """Coordinates in which the penalised loss curves about alike in all directions, so that steps are few:
    whitened, where the factors are not too large for memory.

    The curvature of a task is about its information times the covariance of the inputs, plus the penalty.
    """
    width, tasks = penalty.shape
    if width**2 * tasks > _MOST_NUMBERS:
        return _Scaled((counts.information + penalty).clamp(min=1.0).rsqrt())
    curvature = counts.information[:, None, None] * counts.covariance
    diagonal = curvature.diagonal(dim1=1, dim2=2)
    diagonal += penalty.T + _JITTER * diagonal.amax(dim=1, keepdim=True) + torch.finfo(penalty.dtype).tiny
    return _Whitened(torch.linalg.cholesky(curvature))
