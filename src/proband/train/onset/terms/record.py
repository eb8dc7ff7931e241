"""Terms of the record: regressions of onsets on the record summary and the trunk's state."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from proband.core.running.progress import say
from proband.model.config import MOST_FITTED
from proband.model.onset.head import OnsetHead
from proband.model.onset.inputs import Query
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import Outcomes, expected_and_happened
from proband.train.onset.terms.ridge import Counts
from proband.train.onset.terms.shrinkage import SHARING, Fit, Fitted, fit_cross_validated

DATES_PER_SUBJECT = 6
"""Dates of a subject that the regression reads: more tell little new, and cost as much each."""
_MOST_NUMBERS = 1 << 28
"""Inputs of a split that are held at once, at most: a GiB; of more, fewer dates are read."""
_LEAST_DATES = 20
"""Dates that have a feature, from which on it is read."""
_READ_AT_ONCE = 4096
_FIT: Fit = functools.partial(fit_cross_validated, choices=SHARING)


def fit_record(
    head: OnsetHead, train: Part, tuning: Part, device: torch.device, fit: Fit = _FIT
) -> dict[str, float]:
    """Fit linear terms and interactions of the named tasks in one regression, added to those of the head.

    Interactions fitted after the linear terms, which cannot give way to them, come out too small.

    Args:
        head: Standardised, with its columns of interactions (:func:`standardise_interactions`).
        train, tuning: Queries.
        device: Where the head is.
        fit: How coefficients are shrunk.

    Returns:
        What ``fit`` tells.
    """
    terms, chosen = head.interactions, _chosen_features(head, train)
    columns, curved = torch.from_numpy(chosen).to(device), _chosen_columns(head, train).to(device)

    def inputs(query: Query) -> Tensor:
        read = head.inputs(query)
        interactions = terms.standardised(head.values_of(read), query)[:, curved]
        return torch.cat([read.chosen(columns), read.state, interactions], dim=1)

    sizes = [len(chosen), len(head.state_mean), len(curved)]
    no_code = np.zeros(sizes[1], dtype=np.int64)
    codes = [train.queries.features.code_of_feature[chosen], no_code, terms.code_of(curved).cpu().numpy()]
    groups = _numbered(np.stack([np.repeat(np.arange(len(sizes)), sizes), np.concatenate(codes)]))
    found = fit_inputs(head, train, tuning, device, inputs, groups, fit)
    linear, state, interactions = found.beta.to(head.linear).split(sizes)
    head.linear[columns] += linear
    head.state_linear += state
    terms.weights[curved] += interactions
    linear, state, interactions = found.folds.to(head.linear).split(sizes, dim=1)
    add_folds(head.linear_folds, head.fitted, columns, linear)
    head.state_linear_folds += state
    terms.weights_folds[:, curved] += interactions
    return {f"record_{name}": value for name, value in found.notes.items()}


def choose_fitted(head: OnsetHead, train: Part) -> None:
    """Name the features, and the columns of effects by time, of which a head keeps how they change by fold:
    the most frequent that can be used, then others."""
    ranked, _ = _by_frequency(head, train)
    head.fitted.copy_(torch.from_numpy(np.sort(ranked[: head.config.num_fitted])))
    columns = columns_by_time(head, ranked)[: head.config.num_fitted_by_time]
    head.fitted_by_time.copy_(torch.from_numpy(np.sort(columns)))


def columns_by_time(head: OnsetHead, features: Int[np.ndarray, " features"]) -> Int[np.ndarray, " columns"]:
    """Columns of effects by time of some features: their own, and of last values the squares next to them."""
    shape = head.config
    own = features - shape.first_timed
    own = own[(own >= 0) & (own < shape.num_timed)]
    squares = np.where(own >= shape.num_timed - shape.num_valued, own + shape.num_valued, -1)
    both = np.stack([own, squares], axis=1).ravel()
    return both[both >= 0]


def add_folds(
    kept: Float[Tensor, "folds kept tasks"],
    names: Int[Tensor, " kept"],
    chosen: Int[Tensor, " chosen"],
    folds: Float[Tensor, "folds chosen tasks"],
) -> None:
    """Add what coefficients of ``chosen`` change by fold to those that are kept of ``names``, both ascending.

    Others, which a new outcome may have, are passed over.
    """
    place = torch.searchsorted(names, chosen).clamp(max=len(names) - 1)
    known = names[place] == chosen
    kept[:, place[known]] += folds[:, known].to(kept)


def fit_inputs(
    head: OnsetHead,
    train: Part,
    tuning: Part,
    device: torch.device,
    inputs: Callable[[Query], Tensor],
    groups: Int[Tensor, " width"],
    fit: Fit,
) -> Fitted:
    """Coefficients of ``inputs``, given the head's log ratios.

    Args:
        head: Gives the log ratios.
        train, tuning: Queries.
        device: Where the head is.
        inputs: Columns of queries.
        groups: Number of the group of each column.
        fit: How coefficients are shrunk.
    """
    most = max(1, _MOST_NUMBERS // max(1, len(groups)))
    dates = _some_dates(train, most), tuning.dates(most)
    known, judged = (
        Counts(
            *read_counts(head, part, some, inputs, device, expected_and_happened),
            people=part.followed.num_people,
            groups=groups.to(device),
        )
        for part, some in zip((train, tuning), dates, strict=True)
    )
    return fit(known, judged, head.config.num_named)


def _numbered(names: Int[np.ndarray, "parts n"]) -> Int[Tensor, " n"]:
    """Number of each name, a column, among the different ones."""
    return torch.from_numpy(np.unique(names, axis=1, return_inverse=True)[1].ravel())


@torch.no_grad()
def standardise_interactions(head: OnsetHead, train: Part, device: torch.device) -> None:
    """Give the interactions mean and standard deviation of their columns over train dates."""
    terms = head.interactions
    dates = _some_dates(train, max(1, _MOST_NUMBERS // len(terms.mean)))
    total, squares = (torch.zeros_like(terms.mean, dtype=torch.float64) for _ in range(2))
    for begin in range(0, len(dates), _READ_AT_ONCE):
        query, _ = train.batch(dates[begin : begin + _READ_AT_ONCE], device)
        columns = terms.columns(head.values_of(head.inputs(query)), query).double()
        total += columns.sum(dim=0)
        squares += columns.square().sum(dim=0)
    mean = total / len(dates)
    terms.standardise_with(mean, (squares / len(dates) - mean.square()).clamp(min=0).sqrt())


def _chosen_columns(head: OnsetHead, train: Part) -> Int[Tensor, " chosen"]:
    """Columns that vary, of the codes whose values most dates have."""
    shape, terms = head.config, head.interactions
    number = np.bincount(train.queries.features.indices, minlength=shape.num_features)
    number = number[shape.first_value :][: shape.num_valued]
    most = MOST_FITTED // terms.per_code
    codes = np.sort(np.argsort(-number, kind="stable")[:most])
    codes = codes[number[codes] >= _LEAST_DATES]
    if len(codes) < (number >= _LEAST_DATES).sum():
        say(f"train: values of the {len(codes)} codes measured most get interactions")
    columns = terms.columns_of(torch.from_numpy(codes))
    return columns[torch.isfinite(terms.sd.cpu()[columns])]


def _chosen_features(head: OnsetHead, train: Part) -> Int[np.ndarray, " chosen"]:
    """Features that vary and that dates enough have, the most frequent of them."""
    usable = features_by_frequency(head, train)
    if len(usable) > MOST_FITTED:
        say(f"train: the {MOST_FITTED} most frequent of {len(usable)} features get linear terms")
    return np.sort(usable[:MOST_FITTED])


def features_by_frequency(head: OnsetHead, train: Part) -> Int[np.ndarray, " usable"]:
    """Features that vary and that dates enough have, the most frequent first."""
    ranked, num_usable = _by_frequency(head, train)
    return ranked[:num_usable]


def _by_frequency(head: OnsetHead, train: Part) -> tuple[Int[np.ndarray, " features"], int]:
    """All features, first those that can be used, the most frequent first; and how many can be used."""
    number = np.bincount(train.queries.features.indices, minlength=head.config.num_features)
    varies = torch.isfinite(head.feature_sd).cpu().numpy()
    unusable = (number < _LEAST_DATES) | ~varies
    return np.lexsort((-number, unusable)), int((~unusable).sum())


def _some_dates(train: Part, most: int) -> Int[np.ndarray, " dates"]:
    """Dates of train: at most so many, and so many of a subject in the mean."""
    return train.dates(min(DATES_PER_SUBJECT * train.followed.num_people, most))


@torch.no_grad()
def read_counts(
    head: OnsetHead,
    part: Part,
    dates: Int[np.ndarray, " dates"],
    inputs: Callable[[Query], Tensor],
    device: torch.device,
    follow: Callable[[OnsetHead, Query, Tensor, Outcomes], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, onsets and exposures of dates; in the mean a subject's dates count together as one.

    Args:
        head: Gives the log ratios.
        part: Queries.
        dates: Which of them.
        inputs: Of the regression.
        device: Where the head is.
        follow: Gives exposures and onsets of the named tasks, as
            :func:`~proband.train.onset.piecewise_exponential.expected_and_happened` does.
    """
    weight = part.followed.num_people / len(dates)
    named = head.config.num_named
    read, onsets, exposure = [], [], []
    for begin in range(0, len(dates), _READ_AT_ONCE):
        query, followed = part.batch(dates[begin : begin + _READ_AT_ONCE], device)
        log_ratio = head(query)[:, :named]
        expected, happened = follow(head, query, log_ratio, followed.first(named))
        read.append(inputs(query))
        onsets.append(happened.float())
        exposure.append(expected)
    return torch.cat(read), torch.cat(onsets) * weight, torch.cat(exposure) * weight
