"""Penalised Poisson regression of onsets on fixed inputs, for all tasks at once.

Given the cumulative hazard of the rest of the model over each row's follow-up as exposure, onsets are
Poisson counts of mean exposure exp(level + x beta): the piecewise-exponential likelihood of a factor that is
constant in time. The level is the best for each beta. Without one, effects come out too small: exposures fit
the onsets of all at beta = 0, and the mean of exp(x beta) is above 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from proband.core.running.progress import track

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
_WIDTHS = (0.01, 0.02, 0.04)
"""Standard deviations of the ridge's coefficients that are tried, log hazard ratios."""
_FOLDS = 5
_MOST_JUDGED = 20_000
"""Rows that cross-validation reads, at most: what is chosen is fitted on all."""
_PENALTIES = (0.3, 0.6, 1.2)
_FEW_PENALTY = 0.3
"""Of the adaptive ridge: those tried by tuning, and the one among the choices of cross-validation."""
_ROUNDS = 3
PRIOR_ONSETS = 1.0
"""One more onset expected and seen, so that a level without any stays finite."""
_LEAST_EFFECT = 0.005
"""Effects well below this count as none: the penalty stops rising."""


@dataclass(frozen=True)
class Counts:
    """Inputs, onsets and exposures; a row stands for a subject, or for dates that share their inputs.

    Attributes:
        x: Standardised inputs.
        onsets: Onsets.
        exposure: Cumulative hazard without the linear term.
    """

    x: Float[Tensor, "n width"]
    onsets: Float[Tensor, "n tasks"]
    exposure: Float[Tensor, "n tasks"]

    def take(self, rows: Bool[Tensor, " n"]) -> Counts:
        """Some of the rows."""
        return Counts(self.x[rows], self.onsets[rows], self.exposure[rows])

    def thinned(self, most: int) -> Counts:
        """Every so many-th row, at most so many, each for all that it stands for."""
        step = max(1, -(-len(self.x) // most))
        return Counts(self.x[::step], self.onsets[::step] * step, self.exposure[::step] * step)

    @functools.cached_property
    def covariance(self) -> Float[Tensor, "width width"]:
        """Of the inputs, rows weighted by exposures, in the mean over tasks."""
        some = self.thinned(_MOST_JUDGED)
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
        predictor = (self.x @ beta).clamp(max=_MOST)
        expected = (predictor.exp() * self.exposure).sum(dim=0)
        ratio = (expected + PRIOR_ONSETS) / (self.exposure.sum(dim=0) + PRIOR_ONSETS)
        onsets = self.onsets.sum(dim=0)
        return (onsets + PRIOR_ONSETS) * ratio.log() - (predictor * self.onsets).sum(dim=0)


def fit_ridge(
    counts: Counts, penalty: Float[Tensor, "width tasks"], start: Float[Tensor, "width tasks"]
) -> Float[Tensor, "width tasks"]:
    """Coefficients that minimise the loss plus half of penalty times their squares, by L-BFGS.

    Args:
        counts: Of the train split.
        penalty: Of each coefficient, above 0.
        start: Where to begin.
    """
    units = _units(counts, penalty)
    scaled = units.of(start).requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [scaled],
        max_iter=_STEPS,
        history_size=_MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=_GRADIENT,
        tolerance_change=_CHANGE,
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        beta = units.beta(scaled)
        total = counts.loss(beta).sum() + (penalty / 2 * beta.square()).sum()
        total.backward()
        return total

    optimizer.step(closure)
    return units.beta(scaled).detach()


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


Fit = Callable[[Counts, Counts, int], tuple[Float[Tensor, "width tasks"], dict[str, float]]]
"""Fits coefficients as :func:`fit_adaptive_ridge` does: of train, tuning and how many tasks are judged."""


def fit_of_width(
    train: Counts, tuning: Counts, num_judged: int, width: float
) -> tuple[Float[Tensor, "width tasks"], dict[str, float]]:
    """A ridge of one given width.

    Args:
        train: To fit on.
        tuning: Gives the gain that is told.
        num_judged: How many of the tasks, the first, ``gain`` counts.
        width: Standard deviation of the coefficients' prior.

    Returns:
        Coefficients, and ``gain`` (nats of tuning loss against 0).
    """
    zero = train.x.new_zeros(train.x.shape[1], train.onsets.shape[1])
    beta = fit_ridge(train, torch.full_like(zero, width**-2), zero)
    return beta, {"gain": -float(tuning.loss(beta)[:num_judged].sum())}


def fit_cross_validated(
    train: Counts, tuning: Counts, num_judged: int, widths: Sequence[float] = _WIDTHS
) -> tuple[Float[Tensor, "width tasks"], dict[str, float]]:
    """A ridge, plain or adaptive, chosen for each task by cross-validation within train, for few onsets.

    Choices are none at all, ridges from narrow to wide, and an adaptive one that begins at the widest. Ridges
    alone are not enough: narrow enough for hundreds of inputs, they make nothing of the one that tells most,
    such as blood glucose. A tuning split with 30 onsets cannot choose: by it, terms that helped on new
    subjects were left out. Folds are blocks of rows, so that a subject's dates, which lie together, are in
    one but for those at an edge.

    Args:
        train: To fit on.
        tuning: Gives the gain that is told.
        num_judged: How many of the tasks, the first, ``gain`` counts.
        widths: Standard deviations of coefficients that are tried.

    Returns:
        Coefficients, and in the mean over tasks ``width`` (that of the ridge chosen, or begun at) and
        ``adaptive`` (whether it was that), and ``gain`` (nats of tuning loss against 0).
    """
    some = train.thinned(_MOST_JUDGED)
    fold = torch.arange(len(some.x), device=some.x.device) * _FOLDS // max(1, len(some.x))
    lost = []
    for number in track(range(_FOLDS), "Cross-validating", _FOLDS):
        rest = some.take(fold == number)
        lost.append(torch.stack([rest.loss(beta) for beta in _choices(some.take(fold != number), widths)]))
    best = torch.stack(lost).sum(dim=0).argmin(dim=0)
    choices = _choices(train, widths)
    beta = choices.gather(0, best.expand(1, *choices.shape[1:]))[0]
    width = torch.tensor([0.0, *widths, widths[-1]], device=best.device)[best]
    notes = {"width": float(width.mean()), "adaptive": float((best == len(choices) - 1).float().mean())}
    return beta, notes | {"gain": -float(tuning.loss(beta)[:num_judged].sum())}


def _choices(train: Counts, widths: Sequence[float]) -> Float[Tensor, "choices width tasks"]:
    """No coefficients, those of ridges, and those of an adaptive one."""
    found = [train.x.new_zeros(train.x.shape[1], train.onsets.shape[1])]
    for width in widths:
        found.append(fit_ridge(train, torch.full_like(found[0], width**-2), found[-1]))
    return torch.stack([*found, fit_adaptive(train, found[-1], _FEW_PENALTY)])


def fit_adaptive(
    train: Counts, beta: Float[Tensor, "width tasks"], penalty: float
) -> Float[Tensor, "width tasks"]:
    """Rounds of a ridge in which each coefficient is penalised by the inverse of its own square of the round
    before, which leaves strong ones alone and takes weak ones to 0 (Frommlet and Nuel 2016,
    doi:10.1371/journal.pone.0148620)."""
    for _ in range(_ROUNDS):
        beta = fit_ridge(train, penalty / (beta.square() + _LEAST_EFFECT**2), beta)
    return beta


def fit_adaptive_ridge(
    train: Counts, tuning: Counts, num_judged: int
) -> tuple[Float[Tensor, "width tasks"], dict[str, float]]:
    """Shrunk coefficients; how much is chosen by the tuning loss of the first tasks together.

    First a ridge of one width for all coefficients, then adaptive rounds (:func:`fit_adaptive`). None at all
    is among the choices.

    Returns:
        Coefficients, and what was chosen: ``width`` (standard deviation of the first ridge), ``penalty`` and
        ``gain`` (nats of tuning loss against 0).
    """
    shape = train.x.shape[1], train.onsets.shape[1]
    zero = torch.zeros(shape, dtype=train.x.dtype, device=train.x.device)
    best, chosen, least = zero, {"width": 0.0, "penalty": 0.0}, 0.0
    ridge = zero
    for width in track(_WIDTHS, "Fitting linear terms", len(_WIDTHS)):
        ridge = fit_ridge(train, torch.full_like(zero, width**-2), ridge)
        loss = float(tuning.loss(ridge)[:num_judged].sum())
        if loss < least:
            best, chosen, least = ridge, {"width": width, "penalty": 0.0}, loss
    ridge, width = best, chosen["width"]
    for penalty in track(_PENALTIES, "Leaving out weak terms", len(_PENALTIES)) if width else ():
        beta = fit_adaptive(train, ridge, penalty)
        loss = float(tuning.loss(beta)[:num_judged].sum())
        if loss < least:
            best, chosen, least = beta, {"width": width, "penalty": penalty}, loss
    return best, chosen | {"gain": -least}
