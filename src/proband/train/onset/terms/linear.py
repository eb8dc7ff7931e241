"""Linear terms of modalities: log hazard ratios of scores, given the record's log ratios."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from proband.model.onset.head import OnsetHead
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import expected_and_happened
from proband.train.onset.terms.ridge import Counts
from proband.train.onset.terms.shrinkage import CHOICES, Choice, fit_cross_validated

OF_MANY = (*CHOICES, Choice(effects=10))
"""How effects of many inputs may be shrunk: as those of few, or as single effects, which keep apart
inputs that go together, such as hundreds of scores of one trait."""
MANY = 1000
"""Inputs from which on that is so: of 3,465 inputs single effects tell more than ridges, of 310 as much, of
79 and 4,500 people less, since weak scores tell something together."""
WithoutFold: TypeAlias = Float[Tensor, "folds _width named"]
"""Coefficients of the named tasks that were found without each fold of the train people."""
_JUDGED_AT_ONCE = 2048


def fit_linear(
    head: OnsetHead, train: Part, tuning: Part, device: torch.device
) -> tuple[dict[str, float], dict[str, WithoutFold]]:
    """Fit the linear terms of all modalities together, the rest of the head held fixed.

    Args:
        head: Fitted on the record, its modalities standardised (:func:`standardise_modalities`); its linear
            terms are set.
        train, tuning: Queries.
        device: Where the head is.

    Returns:
        How coefficients were shrunk (:func:`~proband.train.onset.terms.shrinkage.fit_cross_validated`), and
        for each modality the coefficients of the named tasks that were found without each fold of
        :func:`measured_rows`; both empty without modalities.
    """
    names = list(head.modalities)
    if not names:
        return {}, {}
    known, judged = (_counts(head, part, device) for part in (train, tuning))
    found = fit_cross_validated(known, judged, head.config.num_named, choices_for(known.x.shape[1]))
    widths = [head.config.linear[name] for name in names]
    parts = found.beta.split(widths), found.folds.split(widths, dim=1)
    for name, beta, folds in zip(names, *parts, strict=True):
        head.linear_of(name).beta.copy_(beta)
        head.linear_of(name).beta_folds.copy_(folds[:, :, : head.config.num_named])
    without = dict(zip(names, found.without.split(widths, dim=1), strict=True))
    return {f"linear_{name}": value for name, value in found.notes.items()}, without


def choices_for(inputs: int) -> tuple[Choice, ...]:
    """How effects of so many inputs may be shrunk, beside none at all.

    >>> any(one.effects for one in choices_for(80)), any(one.effects for one in choices_for(3481))
    (False, True)
    """
    return OF_MANY if inputs >= MANY else CHOICES


def standardise_modalities(head: OnsetHead, train: Part) -> None:
    """Give the linear terms mean and standard deviation of each value over train subjects who have it."""
    subjects = np.unique(train.queries.rows)
    for name, table in train.queries.tables.items():
        measured = np.isin(np.repeat(np.arange(len(table.observed)), np.diff(table.offsets)), subjects)
        values = table.values[measured].astype(np.float64)
        known = ~np.isnan(values)
        number = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0).sum(axis=0) / number
        sd = np.sqrt(np.where(known, (values - mean) ** 2, 0).sum(axis=0) / number)
        linear = head.linear_of(name)
        linear.mean.copy_(torch.from_numpy(mean))
        # A value that does not vary counts nothing.
        linear.sd.copy_(torch.from_numpy(np.where(sd > 0, sd, np.inf)))


def measured_rows(part: Part) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " dates"]]:
    """Dates of a subject that read the same measurements make one row.

    Returns:
        The first date of each row, in the order of subjects, and the row of each date.
    """
    queries = part.queries
    index = np.stack([table.newest_by(queries.rows, queries.minutes) for table in queries.tables.values()])
    keys = np.vstack([queries.rows, index])
    _, first, own = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return first, own.reshape(-1)


@torch.no_grad()
def _counts(head: OnsetHead, part: Part, device: torch.device) -> Counts:
    """Onsets and exposures of subjects, added up over their dates, by the measurements that these read."""
    first, own = measured_rows(part)
    share = 1 / part.per_subject
    num_tasks = len(head.bias)
    onsets, exposure = (torch.zeros(len(first), num_tasks, dtype=torch.float64) for _ in range(2))
    for begin in range(0, len(part), _JUDGED_AT_ONCE):
        chosen = np.arange(begin, min(begin + _JUDGED_AT_ONCE, len(part)))
        query, followed = part.batch(chosen, device)
        expected, happened = expected_and_happened(head, query, head(query), followed)
        rows = torch.from_numpy(own[chosen])
        onsets.index_add_(0, rows, happened.cpu().double() * share)
        exposure.index_add_(0, rows, expected.cpu().double() * share)
    parts = [_inputs(head, part, name, first) for name in head.modalities]
    return Counts(torch.cat(parts, dim=1), onsets.float(), exposure.float())


def _inputs(head: OnsetHead, part: Part, name: str, index: np.ndarray) -> Float[Tensor, "n width"]:
    values = part.queries.batch(index).modalities[name]
    return head.linear_of(name).standardised(values.to(head.bias.device)).cpu()
