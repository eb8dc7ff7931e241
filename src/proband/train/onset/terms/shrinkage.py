"""How much the coefficients of onset hazards are shrunk: by cross-validation, for each task.

Choices are no coefficients at all, a ridge, a ridge whose width differs by input in the same way for all
tasks, one whose width differs by group of inputs, adaptive ridges that begin at these, which leave few strong
terms alone, and sums of single effects, which tell apart inputs that go together. A task takes the mean of
their coefficients, with weights of most likelihood on onsets that were not fitted (stacking: Wolpert 1992,
doi:10.1016/S0893-6080(05)80023-1; Yao et al. 2018, doi:10.1214/17-BA1091). Choices err differently, so that a
mean of them errs less than the best. One choice for all tasks, by a tuning split of 350 subjects, was mostly
not the best of those that were tried, and cost up to a third of what the record tells beyond age and sex.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from proband.core.running.progress import track
from proband.model.config import FOLDS
from proband.train.onset.terms.ridge import Counts, fit_ridge, spread_rows
from proband.train.onset.terms.single_effects import fit_single_effects


class Choice(NamedTuple):
    """A way to shrink coefficients.

    Attributes:
        width: Standard deviation of the ridge's coefficients, log hazard ratios.
        penalty: Of the adaptive ridge that begins there (:func:`fit_adaptive`); 0 for the ridge itself.
        shared: Whether the width differs by input, in the same way for all tasks (:func:`fit_shared`).
        grouped: Whether it differs by group of inputs, for each task by itself (:func:`fit_grouped`).
        effects: Of a sum of single effects (:func:`fit_single_effects`) in the place of all that; 0 for that.
    """

    width: float = 0.0
    penalty: float = 0.0
    shared: bool = False
    grouped: bool = False
    effects: int = 0


CHOICES = (Choice(0.01), Choice(0.02), Choice(0.04), Choice(0.04, 1.2), Choice(0.08, 1.2))
"""Beside none at all."""
SHARING = (
    Choice(0.04), Choice(0.04, 1.2), Choice(0.02, shared=True), Choice(0.02, 1.2, shared=True),
    Choice(0.03, grouped=True), Choice(0.03, 1.2, grouped=True),
)  # fmt: skip
"""For codes, of which the same tell of many outcomes, and each in several ways: by how often it was had, and
by each of its values. What they change with the time ahead, and scores, are of each outcome's own, and
gain nothing by it."""
_MOST_NUMBERS, _LEAST_ROWS = 1 << 24, 20_000
"""Numbers that cross-validation reads, of more fewer rows, and rows that it reads however wide they are: with
fewer rows than there are to fit on, narrow choices look too good. Each choice is fitted on all rows."""
_MOST_STACKED = 1 << 26
"""Linear predictors of choices, rows and tasks that are held at once, at most: a quarter of a GiB."""
_ROUNDS, _SHARED_ROUNDS, _GROUPED_ROUNDS = 3, 2, 3
_LEAST_EFFECT = 0.005
"""Effects well below this count as none: the penalty stops rising."""
_LEAST_SHARE = 0.1
"""Of the mean variance of a shared ridge, that each input has."""
_LEAST_GROUP_SHARE = 0.05
"""Of the mean variance of a grouped ridge, that each input has."""
_COMMON_SD, _OWN_SD = 3.0, 1.0
"""Standard deviations of the priors of log weights: those of all tasks, and a task's own around them. Rounded
choices of ours; own ones between 0.5 and 2 make no difference."""
_STEPS, _MEMORY = 100, 20
"""Of L-BFGS."""


class Fitted(NamedTuple):
    """Coefficients.

    Attributes:
        beta: Of all inputs and tasks.
        folds: What they change by if a fold of the train people is left out, against the mean over folds.
        without: Those of the judged tasks, found without each fold. They know nothing of its rows; ``beta +
            folds`` does, through the mean over folds.
        notes: How they were found.
    """

    beta: Float[Tensor, "width tasks"]
    folds: Float[Tensor, "folds width tasks"]
    without: Float[Tensor, "folds width judged"]
    notes: dict[str, float]


Fit = Callable[[Counts, Counts, int], Fitted]
"""Fits coefficients as :func:`fit_cross_validated` does: of train, tuning and how many tasks are judged."""


def fit_cross_validated(
    train: Counts, tuning: Counts, num_judged: int, choices: Sequence[Choice] = CHOICES
) -> Fitted:
    """The mean of what all choices give, by what onsets that were not fitted tell for it.

    These are those of tuning, and of train by cross-validation. Folds are blocks of rows, so that a subject's
    dates, which lie together, are in one but for those at an edge.

    Args:
        train: To fit on.
        tuning: Judges, too.
        num_judged: How many of the tasks, the first, are judged; others take the common weights of these.
        choices: Beside none at all.

    Returns:
        Coefficients, their changes by fold, and as notes, in the mean over judged tasks, the weights of
        ``none``, of ``adaptive`` ridges, of ``shared`` and ``grouped`` ones and of ``single_effects``, and
        ``gain`` (nats of tuning loss against none).
    """
    known, judged = train.first(num_judged), tuning.first(num_judged)
    found = _coefficients(train, choices, num_judged)
    beside = torch.einsum("nw,cwt->cnt", judged.x, found[:, :, :num_judged])
    read = known.thinned(max(_LEAST_ROWS, _MOST_NUMBERS // max(1, known.x.shape[1])))
    of_folds, out_of_fold = _out_of_fold(read, choices)
    weights, common = stacked([out_of_fold, (beside, judged)])
    others = common[:, None].expand(-1, train.onsets.shape[1] - num_judged)
    beta = torch.einsum("ct,cwt->wt", torch.cat([weights, others], dim=1), found)
    without = torch.einsum("ct,fcwt->fwt", weights, of_folds)
    folds = beta.new_zeros(FOLDS, *beta.shape)
    folds[:, :, :num_judged] = without
    folds = (folds - folds.mean(dim=0)) * _share_of_people(train, len(read.x)) ** 0.5
    none, *of_choice = weights.mean(dim=1).tolist()
    taken = list(zip(of_choice, choices, strict=True))
    notes = {
        "none": none,
        "adaptive": sum(weight for weight, one in taken if one.penalty),
        "shared": sum(weight for weight, one in taken if one.shared),
        "grouped": sum(weight for weight, one in taken if one.grouped),
        "single_effects": sum(weight for weight, one in taken if one.effects),
        "gain": -float(judged.loss(beta[:, :num_judged]).sum()),
    }
    return Fitted(beta, folds, without, notes)


def fit_of_width(train: Counts, tuning: Counts, num_judged: int, width: float) -> Fitted:
    """A ridge of one given width.

    Args:
        train: To fit on.
        tuning: Gives the gain that is told.
        num_judged: How many of the tasks, the first, ``gain`` counts.
        width: Standard deviation of the coefficients' prior.

    Returns:
        Coefficients, their changes by fold, and ``gain`` (nats of tuning loss against 0).
    """
    zero = train.x.new_zeros(train.x.shape[1], train.onsets.shape[1])
    penalty, fold = torch.full_like(zero, width**-2), _folds(train)
    beta = fit_ridge(train, penalty, zero)
    folds = torch.stack([fit_ridge(train.take(fold != number), penalty, beta) for number in range(FOLDS)])
    gain = -float(tuning.loss(beta)[:num_judged].sum())
    return Fitted(beta, folds - folds.mean(dim=0), folds[:, :, :num_judged], {"gain": gain})


def fit_adaptive(
    train: Counts, beta: Float[Tensor, "width tasks"], penalty: float
) -> Float[Tensor, "width tasks"]:
    """Rounds of a ridge in which each coefficient is penalised by the inverse of its own square of the round
    before, which leaves strong ones alone and takes weak ones to 0 (Frommlet and Nuel 2016,
    doi:10.1371/journal.pone.0148620)."""
    for _ in range(_ROUNDS):
        beta = fit_ridge(train, penalty / (beta.square() + _LEAST_EFFECT**2), beta)
    return beta


def fit_shared(
    train: Counts, beta: Float[Tensor, "width tasks"], width: float, num_judged: int
) -> Float[Tensor, "width tasks"]:
    """Rounds of a ridge in which an input's variance is that of its coefficients in the round before.

    This is automatic relevance determination (Tipping 2001, Journal of Machine Learning Research 1:211) by
    point estimates, with the relevance of an input shared by all tasks: the mean over the judged ones, by the
    root of their onsets, of each task's squared coefficients relative to their own mean. What tells of some
    outcomes is likelier to tell of another.

    Args:
        train: To fit on.
        beta: Coefficients to begin with.
        width: Root of the variance in the mean over inputs.
        num_judged: Tasks, the first, that say which inputs count.
    """
    weight = train.onsets[:, :num_judged].sum(dim=0).sqrt()
    weight = weight / weight.sum().clamp(min=1e-12)
    for _ in range(_SHARED_ROUNDS):
        squares = beta[:, :num_judged].square()
        share = (squares / squares.mean(dim=0).clamp(min=1e-12)) @ weight
        share = _LEAST_SHARE + (1 - _LEAST_SHARE) * share / share.mean().clamp(min=1e-12)
        penalty = (1 / (width**2 * share))[:, None].expand(-1, beta.shape[1])
        beta = fit_ridge(train, penalty, beta)
    return beta


def fit_grouped(
    train: Counts, beta: Float[Tensor, "width tasks"], width: float
) -> Float[Tensor, "width tasks"]:
    """Rounds of a ridge in which an input's variance is the mean square of its group's coefficients in the
    round before, for each task by itself.

    Automatic relevance determination as in :func:`fit_shared`, of groups: if how often glucose is measured
    tells of diabetes, its values are likelier to, and each of their bins.

    Args:
        train: To fit on; its inputs have groups.
        beta: Coefficients to begin with.
        width: Root of the variance in the mean over inputs.
    """
    assert train.groups is not None
    number = torch.bincount(train.groups).clamp(min=1)[:, None]
    for _ in range(_GROUPED_ROUNDS):
        squares = beta.square()
        of_group = beta.new_zeros(len(number), beta.shape[1]).index_add_(0, train.groups, squares) / number
        share = (of_group / squares.mean(dim=0).clamp(min=1e-12))[train.groups]
        share = _LEAST_GROUP_SHARE + (1 - _LEAST_GROUP_SHARE) * share
        beta = fit_ridge(train, 1 / (width**2 * share), beta)
    return beta


def stacked(
    parts: Sequence[tuple[Float[Tensor, "choices _n judged"], Counts]],
) -> tuple[Float[Tensor, "choices judged"], Float[Tensor, " choices"]]:
    """Weights of the choices for each task, and those that all tasks have in common, of largest posterior.

    Weights are softmax(common + own), with normal priors.

    Args:
        parts: Linear predictors of each choice on rows that it was not fitted to, and these rows.

    >>> one = Counts(torch.zeros(4, 0), torch.tensor([[1.0], [0], [1], [0]]), torch.full((4, 1), 0.5))
    >>> wrong = torch.tensor([-1.0, 1, -1, 1])[:, None]
    >>> weights, _ = stacked([(torch.stack([wrong, -wrong]), one)])
    >>> bool(weights[1, 0] > 0.85)
    True
    """
    linear, _ = parts[0]
    own = linear.new_zeros(len(linear), linear.shape[2], requires_grad=True)
    common = linear.new_zeros(len(linear), 1, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [own, common], max_iter=_STEPS, history_size=_MEMORY, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        weights = torch.softmax(common + own, dim=0)
        lost = sum(rows.loss_of(torch.einsum("cnt,ct->nt", each, weights)).sum() for each, rows in parts)
        lost = lost + (own / _OWN_SD).square().sum() / 2 + (common / _COMMON_SD).square().sum() / 2
        lost.backward()
        return lost

    with torch.enable_grad():
        optimizer.step(closure)
    return torch.softmax(common + own, dim=0).detach(), torch.softmax(common, dim=0)[:, 0].detach()


def _out_of_fold(
    read: Counts, choices: Sequence[Choice]
) -> tuple[Float[Tensor, "folds choices width judged"], tuple[Float[Tensor, "choices n judged"], Counts]]:
    """Coefficients of each choice without each fold; its linear predictors for rows that it was not fitted
    to, and these rows, of many some."""
    tasks = read.onsets.shape[1]
    most = max(1, _MOST_STACKED // ((1 + len(choices)) * max(1, tasks)))
    kept, fold = read.thinned(most), _folds(read)
    fold_of_kept = fold[spread_rows(len(fold), most)[0]]
    linear = read.x.new_zeros(1 + len(choices), len(kept.x), tasks)
    of_folds = read.x.new_zeros(FOLDS, 1 + len(choices), read.x.shape[1], tasks)
    for number in track(range(FOLDS), "Cross-validating", FOLDS):
        of_folds[number] = _coefficients(read.take(fold != number), choices, tasks)
        rest = fold_of_kept == number
        linear[:, rest] = torch.einsum("nw,cwt->cnt", kept.x[rest], of_folds[number])
    return of_folds, (linear, kept)


def _share_of_people(train: Counts, num_read: int) -> float:
    """Of the people behind the rows, those of whom cross-validation reads a row: errors by folds of fewer
    people are larger than those of all by the root of it. Further rows of one person tell little."""
    rows = len(train.x)
    people = rows if train.people is None else min(train.people, rows)
    return min(1.0, num_read / max(1, people))


def folds_of(row: Int[Tensor, " some"], number: int) -> Int[Tensor, " some"]:
    """Fold of some of so many rows: folds are blocks of rows.

    >>> folds_of(torch.arange(10), 10).tolist()
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """
    return row * FOLDS // max(1, number)


def _folds(counts: Counts) -> Int[Tensor, " n"]:
    """Number of each row's fold."""
    return folds_of(torch.arange(len(counts.x), device=counts.x.device), len(counts.x))


def _coefficients(
    train: Counts, choices: Sequence[Choice], num_judged: int
) -> Float[Tensor, "choices width tasks"]:
    """No coefficients, then those of each choice; a ridge begins at the last one of a single width."""
    start = train.x.new_zeros(train.x.shape[1], train.onsets.shape[1])
    found: list[Tensor] = [start]
    begun: dict[Choice, Tensor] = {}
    for one in choices:
        if one.effects:
            found.append(fit_single_effects(train, one.effects))
            continue
        ridge = one._replace(penalty=0.0)
        if ridge not in begun:
            begun[ridge] = _fit_plain(train, start, ridge, num_judged)
            if not (ridge.shared or ridge.grouped):
                start = begun[ridge]
        beta = begun[ridge]
        found.append(fit_adaptive(train, beta, one.penalty) if one.penalty else beta)
    return torch.stack(found)


def _fit_plain(
    train: Counts, start: Float[Tensor, "width tasks"], ridge: Choice, num_judged: int
) -> Float[Tensor, "width tasks"]:
    """A ridge that is not adaptive."""
    if ridge.shared:
        return fit_shared(train, start, ridge.width, num_judged)
    if ridge.grouped:
        return fit_grouped(train, start, ridge.width)
    return fit_ridge(train, torch.full_like(start, ridge.width**-2), start)
