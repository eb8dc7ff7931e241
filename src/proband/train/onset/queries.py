"""Queries: dates at which risk is asked, what is known then, and what followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64

from proband.core.progress import track
from proband.core.seeds import generator
from proband.core.units import MINUTES_PER_YEAR
from proband.model.config import OnsetTask
from proband.model.onset.inputs import Query
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows, plan_batches
from proband.tokens.modality import ModalityTable
from proband.tokens.onsets import first_occurrences
from proband.tokens.summary import SparseFeatures, SummaryLayout, summarise
from proband.train.onset.piecewise_exponential import FollowUp

_TOKEN_BUDGET = 8192
"""Padded tokens read at once; more bring no speed on a processor core."""


@dataclass(frozen=True)
class Queries:
    """Dates of subjects, with what is known at each.

    Attributes:
        rows: Rows of the store.
        minutes: Age in minutes.
        features: Record summary.
        state: The trunk's state at the last token by the date.
        last: Age in minutes of that token.
        female: 1, 0 or NaN.
        tables: Modalities with a linear term.
    """

    rows: Int64[np.ndarray, " n"]
    minutes: Int64[np.ndarray, " n"]
    features: SparseFeatures
    state: Float32[np.ndarray, "n dim"]
    last: Int64[np.ndarray, " n"]
    female: Float[np.ndarray, " n"]
    tables: Mapping[str, ModalityTable]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Int[np.ndarray, " some"]) -> Query:
        """What the head reads of some of the queries."""
        chosen = self.features.take(index)
        age = self.minutes[index] / MINUTES_PER_YEAR
        modalities = {
            name: torch.from_numpy(table.values_by(self.rows[index], self.minutes[index]))
            for name, table in self.tables.items()
        }
        return Query(
            bounds=torch.from_numpy(chosen.indptr),
            features=torch.from_numpy(chosen.indices).long(),
            values=torch.from_numpy(chosen.values),
            state=torch.from_numpy(self.state[index]),
            age=torch.from_numpy(age).float(),
            silence=torch.from_numpy((self.minutes[index] - self.last[index]) / MINUTES_PER_YEAR).float(),
            female=torch.from_numpy(self.female[index]).float(),
            modalities=modalities,
        )


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
    layout = SummaryLayout.of(store.vocabulary)
    state, last = states_at(model, store, tables, rows, minutes)
    features = summarise(store, layout, rows, minutes)
    return Queries(rows, minutes, features, state, last, store.female[rows], linear)


@torch.no_grad()
def states_at(
    model: Proband,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    rows: Int64[np.ndarray, " queries"],
    minutes: Int64[np.ndarray, " queries"],
) -> tuple[Float32[np.ndarray, "queries dim"], Int64[np.ndarray, " queries"]]:
    """The trunk's state at the last token by each date, and that token's age in minutes.

    Each record is read once for all its dates, in the windows that it is trained in, no further than needed.
    """
    position = np.maximum(store.history_lengths(rows, minutes) - 1, 0)  # birth is at 0
    subjects, own = np.unique(rows, return_inverse=True)
    windows = make_windows(store, subjects, model.config.context)
    # The last window of the subject that scores the position.
    first = np.searchsorted(windows.row, subjects)
    stride = model.config.context // 2
    later = np.maximum(0, (position - model.config.context) // stride + 1)
    window = first[own] + later
    stop = np.zeros(len(windows), dtype=np.int64)
    np.maximum.at(stop, window, position + 1)
    used = np.flatnonzero(stop)
    windows = windows.ending(stop).take(used)
    order = np.argsort(window, kind="stable")
    begin = np.searchsorted(window[order], used)
    end = np.searchsorted(window[order], used, side="right")
    state = np.zeros((len(rows), model.config.dim), dtype=np.float32)
    device = model.embedding.tokens.weight.device
    for part in track(plan_batches(windows.lengths, _TOKEN_BUDGET), "Reading histories"):
        batch = load_batch(store, windows.take(part), tables).to(device)
        hidden, _ = model.hidden(batch.tokens, batch.ages, batch.statics, batch.modalities)
        asked = [order[begin[at] : end[at]] for at in part]
        queries = np.concatenate(asked)
        line = np.repeat(np.arange(len(part)), [len(one) for one in asked])
        column = position[queries] - windows.start[part][line]
        chosen = hidden[torch.from_numpy(line).to(device), torch.from_numpy(column).to(device)]
        state[queries] = chosen.float().cpu().numpy()
    return state, np.asarray(store.minutes)[store.offsets[rows] + position].astype(np.int64)


def follow_up(store: TokenStore, queries: Queries, tasks: tuple[OnsetTask, ...]) -> FollowUp:
    """What followed each date, for every task."""
    subjects, own = np.unique(queries.rows, return_inverse=True)
    first = first_occurrences(store, subjects, [task.tokens for task in tasks])
    return FollowUp(first, own, queries.minutes, store.exit[queries.rows].astype(np.int64))
