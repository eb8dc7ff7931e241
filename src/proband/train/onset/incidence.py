"""The offsets of onset hazards: incidence of every task by age and sex, smoothed on the train split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from proband.core.statistics.incidence import LOWEST_RATE, rates_by_age_and_sex
from proband.core.units import MINUTES_PER_YEAR
from proband.model.config import OnsetTask
from proband.tokens.dataset import TokenStore
from proband.tokens.history.onsets import first_occurrences

_MALE, _FEMALE = 0.0, 1.0


def log_rates(
    store: TokenStore,
    tasks: Sequence[OnsetTask],
    rows: Int[np.ndarray, " rows"] | None = None,
    known: Float[np.ndarray, "curves both_sexes ages"] | None = None,
) -> Float[Tensor, "tasks sexes ages"]:
    """Log incidence per year by sex (male, female, unknown: the mean rate of both) and year of age.

    Person-time runs from entry to onset, death or the end of follow-up, of those who have not had it by
    entry. A sex with fewer onsets than the vocabulary's least number of subjects has no rates of its own
    (:func:`proband.core.statistics.incidence.hide_small_counts`): rates go with the model. Where nobody's sex
    is known, both have the rate of all. A task without an event has the least rate.

    Args:
        store: The records.
        tasks: The tasks.
        rows: Subjects who count; default the train split.
        known: Log rates of other events by sex (male, female), to whose shapes these are shrunk
            (:func:`proband.core.statistics.incidence.smooth_rates`).
    """
    rows = store.rows_of("train") if rows is None else rows
    first = first_occurrences(store, rows, [task.tokens for task in tasks])
    return log_rates_of_onsets(store, rows, store.entry[rows], first, store.exit[rows], known)


def log_rates_of_onsets(
    store: TokenStore,
    rows: Int[np.ndarray, " dates"],
    entry: Int[np.ndarray, " dates"],
    first: Int[np.ndarray, "dates tasks"],
    exit_: Int[np.ndarray, " dates"],
    known: Float[np.ndarray, "curves both_sexes ages"] | None = None,
) -> Float[Tensor, "tasks sexes ages"]:
    """The same of onsets that are given, by spell of follow-up.

    Args:
        store: Gives sexes, and the least number of subjects.
        rows: Row of the store of each spell.
        entry, exit_: Ages in minutes between which it was followed.
        first: Age in minutes at each task's onset.
        known: Log rates of other events.
    """
    enters, leaves, onsets = (ages / MINUTES_PER_YEAR for ages in (entry, exit_, first))
    female = store.female[rows]
    tables, least = [], store.vocabulary.min_subjects
    for number in range(first.shape[1]):
        at_risk = onsets[:, number] > enters
        onset = onsets[at_risk, number]
        leave = np.minimum(onset, leaves[at_risk])
        happened = onset <= leaves[at_risk]
        both = _by_sex(enters[at_risk], leave, female[at_risk], happened, least, known)
        tables.append(np.vstack([both, both.mean(axis=0)]))
    found = np.log(np.maximum(np.stack(tables), LOWEST_RATE))
    return torch.from_numpy(found).float()


def _by_sex(
    entry: np.ndarray,
    leave: np.ndarray,
    female: np.ndarray,
    happened: np.ndarray,
    least: int,
    known: Float[np.ndarray, "curves both_sexes ages"] | None,
) -> np.ndarray:
    if np.isfinite(female).any():
        return rates_by_age_and_sex(entry, leave, female, happened, least, known)
    twice = np.concatenate([np.full(len(entry), _MALE), np.full(len(entry), _FEMALE)])
    # Everybody counts in either sex, so each has as many onsets as there are.
    return rates_by_age_and_sex(
        np.tile(entry, 2), np.tile(leave, 2), twice, np.tile(happened, 2), least, known
    )
