"""What a store knows of subjects at dates, for whoever predicts from there on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from proband.core.batch import Batch
from proband.core.running.progress import track
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SummaryLayout, summarise
from proband.tokens.loader import load_batch, make_windows, plan_batches
from proband.tokens.modalities.modality import ModalityTable

_TOKEN_BUDGET = 8192
"""Padded tokens read at once; more bring no speed on a processor core."""

QueryBatch = tuple[Batch, np.ndarray, np.ndarray, np.ndarray]
"""Windows, and row, column and number of each query whose last token is in them."""


def known_at(
    store: TokenStore, rows: Int64[np.ndarray, " queries"], minutes: Int64[np.ndarray, " queries"]
) -> dict[str, Any]:
    """What is known at dates, apart from modalities and a model's state.

    Args:
        store: The records.
        rows: Rows of the store.
        minutes: Ages in minutes.

    Returns:
        ``rows`` and ``minutes``; ``features``, the record summary; ``last``, the age in minutes at the last
        token by the date; ``female``, 1, 0 or NaN.
    """
    return {
        "rows": rows,
        "minutes": minutes,
        "features": summarise(store, SummaryLayout.of(store.vocabulary), rows, minutes),
        "last": np.asarray(store.minutes)[store.offsets[rows] + _positions(store, rows, minutes)].astype(
            np.int64
        ),
        "female": store.female[rows],
    }


def query_batches(
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    rows: Int64[np.ndarray, " queries"],
    minutes: Int64[np.ndarray, " queries"],
    context: int,
    shown: bool = True,
) -> Iterator[QueryBatch]:
    """Windows that hold the last token by each date.

    Each record is read once for all its dates, in the windows that it is trained in, no further than needed.

    Args:
        store: The records.
        tables: Modalities that the windows carry.
        rows: Rows of the store.
        minutes: Ages in minutes.
        context: Tokens of a window at most.
        shown: Whether progress is shown.
    """
    position = _positions(store, rows, minutes)
    subjects, own = np.unique(rows, return_inverse=True)
    windows = make_windows(store, subjects, context)
    # The last window of the subject that scores the position.
    first = np.searchsorted(windows.row, subjects)
    stride = context // 2
    later = np.maximum(0, (position - context) // stride + 1)
    window = first[own] + later
    stop = np.zeros(len(windows), dtype=np.int64)
    np.maximum.at(stop, window, position + 1)
    used = np.flatnonzero(stop)
    windows = windows.ending(stop).take(used)
    order = np.argsort(window, kind="stable")
    begin = np.searchsorted(window[order], used)
    end = np.searchsorted(window[order], used, side="right")
    parts = plan_batches(windows.lengths, _TOKEN_BUDGET)
    for part in track(parts, "Reading histories") if shown else parts:
        asked = [order[begin[at] : end[at]] for at in part]
        queries = np.concatenate(asked)
        line = np.repeat(np.arange(len(part)), [len(one) for one in asked])
        column = position[queries] - windows.start[part][line]
        yield load_batch(store, windows.take(part), tables), line, column, queries


def _positions(
    store: TokenStore, rows: Int64[np.ndarray, " queries"], minutes: Int64[np.ndarray, " queries"]
) -> Int64[np.ndarray, " queries"]:
    """Position in its record of the last token at or before each date; birth is at 0."""
    return np.maximum(store.history_lengths(rows, minutes) - 1, 0)
