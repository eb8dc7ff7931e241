"""Linear terms of the record: a regression of onsets on the record summary and the trunk's state."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from proband.core.progress import say
from proband.model.onset import OnsetHead
from proband.train.onset.fit import Part
from proband.train.onset.likelihood import expected_and_happened
from proband.train.onset.ridge import Counts, fit_adaptive_ridge

DATES_PER_SUBJECT = 6
"""Dates of a subject that the regression reads: more tell little new, and cost as much each."""
MOST_FEATURES = 4096
"""Features that the regression reads, at most: those that most dates have."""
_MOST_NUMBERS = 1 << 27
"""Inputs held at once, at most: half a GiB; of more dates, fewer per subject are read."""
_LEAST_DATES = 20
"""Dates that have a feature, from which on it is read."""
_READ_AT_ONCE = 4096


def fit_record(head: OnsetHead, train: Part, tuning: Part, device: torch.device) -> dict[str, float]:
    """Fit the linear terms of the named tasks; the rest of the head is as it was made.

    Returns:
        What was chosen (:func:`~proband.train.onset.ridge.fit_adaptive_ridge`).
    """
    chosen = _chosen_features(head, train)
    width = len(chosen) + len(head.state_mean)
    dates = _some_dates(train, max(1, _MOST_NUMBERS // width))
    named = head.config.num_named
    known = _counts(head, train, dates, chosen, device)
    judged = _counts(head, tuning, np.arange(len(tuning)), chosen, device)
    beta, notes = fit_adaptive_ridge(known, judged, named)
    head.linear[torch.from_numpy(chosen)] = beta[: len(chosen)].to(head.linear)
    head.state_linear.copy_(beta[len(chosen) :])
    return {f"record_{name}": value for name, value in notes.items()}


def _chosen_features(head: OnsetHead, train: Part) -> Int[np.ndarray, " chosen"]:
    """Features that vary and that dates enough have, the most frequent of them."""
    number = np.bincount(train.queries.features.indices, minlength=head.config.num_features)
    varies = torch.isfinite(head.feature_sd).cpu().numpy()
    usable = np.flatnonzero((number >= _LEAST_DATES) & varies)
    if len(usable) > MOST_FEATURES:
        say(f"train: the {MOST_FEATURES} most frequent of {len(usable)} features get linear terms")
        usable = np.sort(usable[np.argsort(-number[usable], kind="stable")[:MOST_FEATURES]])
    return usable


def _some_dates(train: Part, most: int) -> Int[np.ndarray, " dates"]:
    """Every so many-th date, subject by subject."""
    wanted = min(DATES_PER_SUBJECT * len(train.followed.first), most)
    step = max(1, round(len(train) / wanted))
    return np.arange(0, len(train), step)[:most]


@torch.no_grad()
def _counts(
    head: OnsetHead,
    part: Part,
    dates: Int[np.ndarray, " dates"],
    features: Int[np.ndarray, " chosen"],
    device: torch.device,
) -> Counts:
    """Inputs, onsets and exposures of dates; in the mean a subject's dates count together as one."""
    weight = len(part.followed.first) / len(dates)
    named = head.config.num_named
    inputs, onsets, exposure = [], [], []
    columns = torch.from_numpy(features).to(device)
    for begin in range(0, len(dates), _READ_AT_ONCE):
        query, followed = part.batch(dates[begin : begin + _READ_AT_ONCE], device)
        log_ratio = head(query)[:, :named]
        expected, happened = expected_and_happened(head, query, log_ratio, followed.first(named))
        read = head.inputs(query)
        inputs.append(torch.cat([read.dense()[:, columns], read.state], dim=1))
        onsets.append(happened.float())
        exposure.append(expected)
    parts: list[Tensor] = [torch.cat(found) for found in (inputs, onsets, exposure)]
    return Counts(parts[0], parts[1] * weight, parts[2] * weight)
