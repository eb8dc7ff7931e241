"""How effects of modalities change with age.

In 13 of 18 diseases scores have larger effects in the young (seven biobanks, Jermy et al. 2024,
doi:10.1038/s41467-024-48938-2): who had the genes for early disease has had it. The shape of the change is
that of all tasks together, and a task differs from it as far as its onsets show.

Factors are fitted to effects of which each was found without the person whom it is to tell of (cross-fitting:
Chernozhukov et al. 2018, doi:10.1111/ectj.12097). To the people on whom they were found effects look too
small, the more so the weaker they are, which says nothing of their size in others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.model.onset.head import OnsetHead
from proband.model.onset.terms import age_weights, is_given
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import expected_and_happened
from proband.train.onset.terms.linear import WithoutFold, measured_rows
from proband.train.onset.terms.shrinkage import folds_of

_DATES = 40_000
"""Train dates that are read, at most."""
_MOST_NUMBERS = 1 << 26
"""Dates times tasks held at once, at most: a quarter of a GiB for each kind of number."""
_READ_AT_ONCE = 2048
_SHAPE_SD, _TASK_SD = 0.5, 0.3
"""Standard deviations of the priors: of the common factors around 1, and of a task's around these. Rounded
choices of ours."""
_LARGEST = 3.0
"""Factors are between 0 and this."""
_BAND_YEARS, _NUM_BANDS = 5.0, 24
_PRIOR_ONSETS = 1.0
_STEPS = 20
_CLOSE = 1e-4
_TINY = 1e-9


class Dates(NamedTuple):
    """Train dates.

    Attributes:
        stratum: Band of the age at the date, among those who have the same modalities.
        band: Band of each stratum.
        terms: Effects of each modality, the same at every age.
        given: Who has each modality.
        expected: Cumulative hazard over the follow-up without modalities, a subject's dates together as one.
        happened: Onsets, likewise.
    """

    stratum: Int[Tensor, " n"]
    band: Int[Tensor, " strata"]
    terms: Float[Tensor, "modalities n tasks"]
    given: Bool[Tensor, "modalities n"]
    expected: Float[Tensor, "n tasks"]
    happened: Float[Tensor, "n tasks"]

    def by_stratum(self, values: Float[Tensor, "n tasks"]) -> Float[Tensor, "strata tasks"]:
        """Sums over the dates of each stratum."""
        return values.new_zeros(len(self.band), values.shape[1]).index_add_(0, self.stratum, values)

    @property
    def weights(self) -> Float[Tensor, "strata knots"]:
        """Of :data:`~proband.model.onset.terms.AGE_KNOTS` at the middle of each stratum's band."""
        return age_weights(_BAND_YEARS * (self.band + 0.5))

    def times(self, factors: Float[Tensor, "modalities knots tasks"]) -> Dates:
        """The same with every effect multiplied by its factor at the age."""
        at_stratum = torch.einsum("sk,mkt->mst", self.weights, factors)
        return self._replace(terms=self.terms * at_stratum[:, self.stratum])

    def with_terms(self, terms: Float[Tensor, "modalities n named"]) -> Dates:
        """The first tasks with other effects."""
        named = terms.shape[2]
        return self._replace(
            terms=terms, expected=self.expected[:, :named], happened=self.happened[:, :named]
        )


@torch.no_grad()
def fit_by_age(
    head: OnsetHead, train: Part, without: Mapping[str, WithoutFold], device: torch.device
) -> None:
    """Set ``by_age`` and ``level`` of all modalities, whose effects are fitted.

    Single codes and families, whose effects without each fold are not known, have the factors that all named
    tasks have in common.

    Args:
        head: The head.
        train: Queries.
        without: Coefficients of each modality that were found without each fold, as
            :func:`~proband.train.onset.terms.linear.fit_linear` gives them.
        device: Where the head is.
    """
    dates, without_own_fold = _read(head, train, without, device)
    shape, own = factors_by_age(dates.with_terms(without_own_fold))
    others = shape.expand(-1, -1, len(head.bias) - own.shape[2])
    factors = torch.cat([own, others], dim=2)
    for name, factor, level in zip(head.modalities, factors, _levels(dates.times(factors)), strict=True):
        linear = head.linear_of(name)
        linear.by_age.copy_(factor)
        linear.level.copy_(level)


def factors_by_age(
    dates: Dates,
) -> tuple[Float[Tensor, "modalities knots one"], Float[Tensor, "modalities knots tasks"]]:
    """How many times an effect counts at each age, of all tasks together and of each.

    Args:
        dates: With effects that were not fitted to the onsets of the same person.
    """
    one = torch.ones_like(dates.terms[:, :1]).expand(-1, dates.weights.shape[1], -1)
    shape = fit_factors(dates, dates.weights, one, _SHAPE_SD, shared=True).clamp(0, _LARGEST)
    own = fit_factors(dates, dates.weights, shape, _TASK_SD, shared=False).clamp(0, _LARGEST)
    return shape[:, :, :1], own


def fit_factors(
    dates: Dates,
    weights: Float[Tensor, "strata knots"],
    mean: Float[Tensor, "modalities knots tasks"],
    sd: float,
    shared: bool,
) -> Float[Tensor, "modalities knots tasks"]:
    """Factors by Newton's method, with a level for each task and stratum.

    Args:
        dates: Onsets and exposures.
        weights: Of the knots at each stratum.
        mean: Of the factors' normal prior.
        sd: Of the same.
        shared: Whether tasks have the same factors.
    """
    num_modalities, num_knots, num_tasks = mean.shape
    width = num_modalities * num_knots
    start = mean.reshape(width, num_tasks)
    factors, prior = start.clone(), torch.eye(width).to(mean) / sd**2
    for _ in range(_STEPS):
        gradient, curvature = _slopes(dates, weights, factors.reshape(mean.shape))
        if shared:
            gradient, curvature = gradient.sum(dim=0, keepdim=True), curvature.sum(dim=0, keepdim=True)
        away = (factors - start).T[: len(gradient)]
        step = torch.linalg.solve(curvature + prior, gradient - away / sd**2).T
        most = 0.5 * factors.abs().clamp(min=1)
        step = torch.minimum(torch.maximum(step, -most), most)
        factors = factors + step
        if (step.abs() / most).max() < _CLOSE:
            break
    return factors.reshape(mean.shape)


def _slopes(
    dates: Dates, weights: Float[Tensor, "strata knots"], factors: Float[Tensor, "modalities knots tasks"]
) -> tuple[Float[Tensor, "tasks width"], Float[Tensor, "tasks width width"]]:
    """Gradient of the log likelihood and its negative curvature in the factors, levels at their best."""
    at_stratum = torch.einsum("sk,mkt->mst", weights, factors)
    predictor = (dates.terms * at_stratum[:, dates.stratum]).sum(dim=0).clamp(-20, 20)
    mean = dates.expected * predictor.exp()
    level = (dates.by_stratum(dates.happened) + _PRIOR_ONSETS) / (dates.by_stratum(mean) + _PRIOR_ONSETS)
    mean = mean * level[dates.stratum]
    total = dates.by_stratum(mean) + _TINY
    first = torch.stack([dates.by_stratum(term * mean) for term in dates.terms])
    missed = torch.stack([dates.by_stratum(term * (dates.happened - mean)) for term in dates.terms])
    pairs = [torch.stack([dates.by_stratum(one * two * mean) for two in dates.terms]) for one in dates.terms]
    second = torch.stack(pairs) - first[:, None] * first[None] / total
    gradient = torch.einsum("sk,mst->tmk", weights, missed).flatten(1)
    curvature = torch.einsum("sk,sl,most->tmkol", weights, weights, second)
    width = gradient.shape[1]
    return gradient, curvature.reshape(-1, width, width)


def _levels(dates: Dates) -> Float[Tensor, "modalities knots tasks"]:
    """−log of the mean hazard ratio of who has each modality, by age."""
    found = []
    for term, given in zip(dates.terms, dates.given, strict=True):
        exposed = dates.expected * given[:, None]
        ratio = term.clamp(-20, 20).exp()
        before, after = (dates.weights.T @ dates.by_stratum(values) for values in (exposed, exposed * ratio))
        found.append(-((after + _TINY) / (before + _TINY)).log())
    return torch.stack(found)


def _read(
    head: OnsetHead, train: Part, without: Mapping[str, WithoutFold], device: torch.device
) -> tuple[Dates, Float[Tensor, "modalities n named"]]:
    """Every so many-th date of the train split; effects on the named tasks without each date's own fold."""
    most = max(1, min(_DATES, _MOST_NUMBERS // len(head.bias)))
    chosen = train.dates(most)
    share = train.followed.num_people / len(chosen)
    first, own = measured_rows(train)
    fold = folds_of(torch.from_numpy(own[chosen]), len(first)).to(device)
    age, terms, without_own, given, expected, happened = zip(
        *_read_parts(head, train, without, chosen, fold, device), strict=True
    )
    has = torch.cat(given, dim=1)
    band = (torch.cat(age) / _BAND_YEARS).long().clamp(0, _NUM_BANDS - 1)
    kinds, kind = has.unique(dim=1, return_inverse=True)
    dates = Dates(
        kind * _NUM_BANDS + band,
        torch.arange(_NUM_BANDS, device=band.device).repeat(kinds.shape[1]),
        torch.cat(terms, dim=1),
        has,
        torch.cat(expected) * share,
        torch.cat(happened) * share,
    )
    return dates, torch.cat(without_own, dim=1)


def _read_parts(
    head: OnsetHead,
    train: Part,
    without: Mapping[str, WithoutFold],
    chosen: Int[np.ndarray, " dates"],
    fold: Int[Tensor, " dates"],
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]]:
    """Age, effects, those without the own fold, who has each modality, exposure and onsets of some dates at a
    time."""
    for begin in range(0, len(chosen), _READ_AT_ONCE):
        at_once = slice(begin, begin + _READ_AT_ONCE)
        query, followed = train.batch(chosen[at_once], device)
        log_ratio = head.bias + head.of_record(query)
        expected, happened = expected_and_happened(head, query, log_ratio, followed)
        values = [query.modalities[name] for name in head.modalities]
        linear = [head.linear_of(name) for name in head.modalities]
        read = [one.standardised(own) for one, own in zip(linear, values, strict=True)]
        terms = torch.stack([x @ one.beta for x, one in zip(read, linear, strict=True)])
        own = [
            _of_own_fold(x, without[name], fold[at_once])
            for x, name in zip(read, head.modalities, strict=True)
        ]
        given = torch.stack([is_given(own) for own in values])
        yield query.age, terms, torch.stack(own), given, expected, happened.float()


def _of_own_fold(
    x: Float[Tensor, "n width"], without: WithoutFold, fold: Int[Tensor, " n"]
) -> Float[Tensor, "n named"]:
    """Effects on the named tasks, each found without the fold of the row."""
    found = x.new_zeros(len(x), without.shape[2])
    for number in fold.unique().tolist():
        own = fold == number
        found[own] = x[own] @ without[number].to(x)
    return found
