"""Sparse coefficients as a sum of single effects: which of many inputs that go together stand behind onsets.

Hundreds of scores may be of one trait, and a ridge spreads its effect over all of them, those that are noise
too. Here there are a few effects, each of one input; which one is not known, so an effect is spread over
inputs by the posterior probability that it is theirs (SuSiE: Wang et al. 2020, doi:10.1111/rssb.12388; from
summary statistics: Zou et al. 2022, doi:10.1371/journal.pgen.1010299). The loss is taken as quadratic around
no effects: for normal inputs its score over its curvature is the best effect however large that is.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from proband.train.onset.terms.ridge import Counts

WIDTHS = (0.03, 0.06, 0.12, 0.25, 0.5)
"""Standard deviations of an effect to choose from, log hazard ratios, beside none at all."""
MOST_INPUTS = 8192
"""Of more inputs the covariance is not held."""
_ROUNDS = 30
_CLOSE = 1e-3
"""Change of a coefficient below which the rounds end."""


@torch.no_grad()
def fit_single_effects(counts: Counts, number: int) -> Float[Tensor, "width tasks"]:
    """Posterior mean of the sum of so many single effects, for each task by itself.

    Args:
        counts: To fit on; inputs are standardised.
        number: Of effects, at most: one whose evidence is largest with no effect adds nothing.

    Returns:
        Coefficients; 0 where there are more than :data:`MOST_INPUTS` inputs.
    """
    zero = counts.x.new_zeros(counts.x.shape[1], counts.onsets.shape[1])
    if len(zero) > MOST_INPUTS:
        return zero
    information = counts.information.clamp(min=1e-6)
    score = -counts.loss_and_gradient(zero)[1]
    curvature = information * counts.covariance.diagonal().clamp(min=1e-6)[:, None]
    effects, total = zero.expand(number, -1, -1).clone(), zero.clone()
    for _ in range(_ROUNDS):
        before = total.clone()
        for effect in effects:
            total -= effect
            left = score - information * (counts.covariance @ total)
            effect.copy_(single_effect(left, curvature))
            total += effect
        if (total - before).abs().max() < _CLOSE:
            break
    return total


def single_effect(
    score: Float[Tensor, "width tasks"], curvature: Float[Tensor, "width tasks"]
) -> Float[Tensor, "width tasks"]:
    """Posterior mean of one effect of one unknown input, its width that of most evidence.

    Args:
        score: Slope of the log likelihood along each input, at no effect.
        curvature: And its curvature there, above 0.

    >>> single_effect(torch.tensor([[20.0], [1.0]]), torch.tensor([[100.0], [100.0]])).squeeze(1)
    tensor([0.0902, 0.0014])
    """
    best, variance = score / curvature, 1 / curvature
    found = torch.zeros_like(score)
    evidence = score.new_zeros(score.shape[1])  # of no effect
    for width in WIDTHS:
        kept = width**2 / (width**2 + variance)
        log_factor = (torch.log1p(-kept) + best.square() / variance * kept) / 2
        of_width = torch.logsumexp(log_factor, dim=0) - math.log(len(score))
        mean = torch.softmax(log_factor, dim=0) * kept * best
        found = torch.where(of_width > evidence, mean, found)
        evidence = torch.maximum(of_width, evidence)
    return found
