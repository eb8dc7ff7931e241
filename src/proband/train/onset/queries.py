"""Queries: dates at which risk is asked, what is known then, and what followed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64

from proband.core.seeds import generator
from proband.model.config import OnsetTask
from proband.model.onset.queries import Queries
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.onsets import first_occurrences
from proband.tokens.history.queries import known_at, query_batches
from proband.tokens.modalities.modality import ModalityTable
from proband.train.onset.piecewise_exponential import FollowUp


def draw_dates(
    store: TokenStore, rows: Int64[np.ndarray, " rows"], per_subject: int, seed: int, name: str
) -> tuple[Int64[np.ndarray, " queries"], Int64[np.ndarray, " queries"]]:
    """Dates uniform over the person-time of all subjects' follow-up.

    As many for each subject instead would count the person-time of those who die or leave early more than
    once: deaths then come out far too frequent. Drawn at events, people would be asked about when they fall
    ill, and risks come out too low.

    Args:
        store: The records.
        rows: Subjects; who has no follow-up gets no date.
        per_subject: Dates per subject in the mean.
        seed: Seed of the draws.
        name: Name of their stream.

    Returns:
        Rows of the store and ages in minutes, a subject's together.
    """
    rows = rows[store.exit[rows] > store.entry[rows]].astype(np.int64)
    entry, exit_ = store.entry[rows].astype(np.int64), store.exit[rows].astype(np.int64)
    ends = np.cumsum(exit_ - entry)
    if not len(rows):
        return rows, rows
    number = per_subject * len(rows)
    share = (np.arange(number) + generator(seed, "onset queries", name).random(number)) / number
    at = np.minimum((share * ends[-1]).astype(np.int64), ends[-1] - 1)
    own = np.searchsorted(ends, at, side="right")
    return rows[own], exit_[own] - (ends[own] - at)


def read_queries(
    model: Proband,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    rows: Int64[np.ndarray, " queries"],
    minutes: Int64[np.ndarray, " queries"],
    linear: Mapping[str, ModalityTable],
) -> Queries:
    """What is known at dates.

    Args:
        model: Gives the states; on its device, in evaluation mode.
        store: The records.
        tables: Modalities that the model's trunk reads.
        rows: Rows of the store.
        minutes: Ages in minutes.
        linear: Modalities with a linear term.
    """
    batches = query_batches(store, tables, rows, minutes, model.config.context)
    state = model.states(batches, len(rows))
    return Queries(state=state, tables=linear, **known_at(store, rows, minutes))


def follow_up(
    store: TokenStore,
    queries: Queries,
    tasks: tuple[OnsetTask, ...],
    people: Int64[np.ndarray, " people"] | None = None,
) -> FollowUp:
    """What followed each date, for every task.

    Args:
        store: The records.
        queries: Dates.
        tasks: Tasks.
        people: Rows of the store that dates were drawn of, with repeats in a resample.
    """
    subjects, own = np.unique(queries.rows, return_inverse=True)
    first = first_occurrences(store, subjects, [task.tokens for task in tasks])
    drawn = None if people is None else int(np.isin(people, subjects).sum())
    return FollowUp(first, own, queries.minutes, store.exit[queries.rows].astype(np.int64), drawn)
