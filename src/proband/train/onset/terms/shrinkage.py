"""How much the coefficients of onset hazards are shrunk: by cross-validation, for each task.

Choices are no coefficients at all, ridges from narrow to wide, adaptive ridges, which leave few strong terms
alone, and sums of single effects, which tell apart inputs that go together. A task takes of each as much as
onsets that were not fitted tell for it: the mean of the coefficients with weights pi_c exp(-loss of choice
c / 2), pi_c the share of choice c among all tasks (pseudo-BMA, Yao et al. 2018, doi:10.1214/17-BA1091, its
prior by empirical Bayes). One choice for all tasks, by a tuning split of 350 subjects, was mostly not the
best of those that were tried, and cost up to a third of what the record tells beyond age and sex.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from proband.core.running.progress import track
from proband.train.onset.terms.ridge import Counts, fit_ridge
from proband.train.onset.terms.single_effects import fit_single_effects


class Choice(NamedTuple):
    """A way to shrink coefficients.

    Attributes:
        width: Standard deviation of the ridge's coefficients, log hazard ratios.
        penalty: Of the adaptive ridge that begins there (:func:`fit_adaptive`); 0 for the ridge itself.
        effects: Of a sum of single effects (:func:`fit_single_effects`) in the place of both; 0 for these.
    """

    width: float = 0.0
    penalty: float = 0.0
    effects: int = 0


CHOICES = (Choice(0.01), Choice(0.02), Choice(0.04), Choice(0.04, 1.2), Choice(0.08, 1.2))
"""Beside none at all. More of them cost time and gained nothing that can be told."""
_FOLDS = 5
_MOST_NUMBERS, _LEAST_ROWS = 1 << 24, 20_000
"""Numbers that cross-validation reads, of more fewer rows, and rows that it reads however wide they are: with
fewer rows than there are to fit on, narrow choices look too good. Each choice is fitted on all rows."""
_ROUNDS = 3
_LEAST_EFFECT = 0.005
"""Effects well below this count as none: the penalty stops rising."""
_EVIDENCE = 0.5
"""What a nat counts: losses out of fold are noisy, and tasks of few onsets shall follow the others. Chosen
among 1, 1/2, 1/4 and 1/8 on two of three synthetic biobanks."""
_STEPS = 100
"""Of the EM algorithm."""

Fit = Callable[[Counts, Counts, int], tuple[Float[Tensor, "width tasks"], dict[str, float]]]
"""Fits coefficients as :func:`fit_cross_validated` does: of train, tuning and how many tasks are judged."""


def fit_cross_validated(
    train: Counts, tuning: Counts, num_judged: int, choices: Sequence[Choice] = CHOICES
) -> tuple[Float[Tensor, "width tasks"], dict[str, float]]:
    """The mean of what all choices give, by what onsets that were not fitted tell for each.

    These are those of tuning, and of train by cross-validation. Folds are blocks of rows, so that a subject's
    dates, which lie together, are in one but for those at an edge.

    Args:
        train: To fit on.
        tuning: Judges, too.
        num_judged: How many of the tasks, the first, are judged; others take the shares of these.
        choices: Beside none at all.

    Returns:
        Coefficients, and in the mean over judged tasks the weights of ``none``, of ``adaptive`` ridges and of
        ``single_effects``, the ``width`` of ridges, and ``gain`` (nats of tuning loss against none).
    """
    most = max(_LEAST_ROWS, _MOST_NUMBERS // max(1, train.x.shape[1]))
    lost = _lost_out_of_fold(train.first(num_judged).thinned(most), choices)
    found, judged = _coefficients(train, choices), tuning.first(num_judged)
    lost = lost + torch.stack([judged.loss(beta[:, :num_judged]) for beta in found])
    weights, shares = mixture(_EVIDENCE * lost)
    others = shares[:, None].expand(-1, train.onsets.shape[1] - num_judged)
    beta = torch.einsum("ct,cwt->wt", torch.cat([weights, others], dim=1), found)
    of_choice = weights.mean(dim=1).tolist()
    taken = list(zip(of_choice[1:], choices, strict=True))
    notes = {
        "none": of_choice[0],
        "adaptive": sum(weight for weight, one in taken if one.penalty),
        "single_effects": sum(weight for weight, one in taken if one.effects),
        "width": sum(weight * one.width for weight, one in taken),
        "gain": -float(judged.loss(beta[:, :num_judged]).sum()),
    }
    return beta, notes


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


def fit_adaptive(
    train: Counts, beta: Float[Tensor, "width tasks"], penalty: float
) -> Float[Tensor, "width tasks"]:
    """Rounds of a ridge in which each coefficient is penalised by the inverse of its own square of the round
    before, which leaves strong ones alone and takes weak ones to 0 (Frommlet and Nuel 2016,
    doi:10.1371/journal.pone.0148620)."""
    for _ in range(_ROUNDS):
        beta = fit_ridge(train, penalty / (beta.square() + _LEAST_EFFECT**2), beta)
    return beta


def mixture(
    lost: Float[Tensor, "choices tasks"],
) -> tuple[Float[Tensor, "choices tasks"], Float[Tensor, " choices"]]:
    """Weights of the choices for each task, and their shares among all tasks, by the EM algorithm.

    The prior of the shares is worth one task, spread over all choices alike.

    Args:
        lost: −log likelihood of each choice, of onsets that it was not fitted to.

    >>> weights, shares = mixture(torch.tensor([[0.0, 0.0], [50.0, 50.0]]))
    >>> weights.round(), shares
    (tensor([[1., 1.],
            [0., 0.]]), tensor([0.8333, 0.1667]))
    """
    likelihood = (lost.min(dim=0).values - lost).double()
    number = len(lost)
    shares = torch.full_like(likelihood[:, 0], 1 / number)
    for _ in range(_STEPS):
        weights = torch.softmax(likelihood + shares.log()[:, None], dim=0)
        shares = (weights.sum(dim=1) + 1 / number) / (weights.shape[1] + 1)
    return weights.to(lost), shares.to(lost)


def _lost_out_of_fold(counts: Counts, choices: Sequence[Choice]) -> Float[Tensor, "choices tasks"]:
    """Nats that each choice loses on the rows that it was not fitted to."""
    fold = torch.arange(len(counts.x), device=counts.x.device) * _FOLDS // max(1, len(counts.x))
    total = counts.x.new_zeros(1 + len(choices), counts.onsets.shape[1])
    for number in track(range(_FOLDS), "Cross-validating", _FOLDS):
        rest = counts.take(fold == number)
        found = _coefficients(counts.take(fold != number), choices)
        total += torch.stack([rest.loss(beta) for beta in found])
    return total


def _coefficients(train: Counts, choices: Sequence[Choice]) -> Float[Tensor, "choices width tasks"]:
    """No coefficients, then those of each choice."""
    start = train.x.new_zeros(train.x.shape[1], train.onsets.shape[1])
    found, ridges = [start], {}
    for one in choices:
        if one.effects:
            found.append(fit_single_effects(train, one.effects))
            continue
        if one.width not in ridges:
            start = fit_ridge(train, torch.full_like(start, one.width**-2), start)
            ridges[one.width] = start
        beta = ridges[one.width]
        found.append(fit_adaptive(train, beta, one.penalty) if one.penalty else beta)
    return torch.stack(found)
