"""First occurrences: when each subject first had any of a set of tokens."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from proband.core.running.compiled import compiled
from proband.tokens.dataset import TokenStore

NEVER = np.iinfo(np.int32).max
"""Minute of what never happened."""


def first_occurrences(
    store: TokenStore, rows: Int64[np.ndarray, " rows"], members: Sequence[Sequence[int]]
) -> Int32[np.ndarray, "rows sets"]:
    """Age in minutes at which each subject first had a token of each set, :data:`NEVER` if not in its record.

    Args:
        store: The records.
        rows: Rows of the store.
        members: Tokens of each set; a token may be in several.
    """
    pairs = sorted((token, number) for number, tokens in enumerate(members) for token in set(tokens))
    sets = np.array([number for _, number in pairs], dtype=np.int64)
    owners = np.array([token for token, _ in pairs], dtype=np.int64)
    bounds = np.searchsorted(owners, np.arange(len(store.vocabulary) + 1))
    found = np.full((len(rows), len(members)), NEVER, dtype=np.int32)
    tokens, minutes = np.asarray(store.tokens), np.asarray(store.minutes)
    _kernel()(tokens, minutes, store.offsets, np.asarray(rows, np.int64), bounds, sets, found)
    return found


def tokens_by_code(base_codes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Tokens of every code, value bins together.

    >>> tokens_by_code(["A", "B", "B"])
    {'A': (0,), 'B': (1, 2)}
    """
    found: dict[str, list[int]] = {}
    for token, code in enumerate(base_codes):
        found.setdefault(code, []).append(token)
    return {code: tuple(tokens) for code, tokens in found.items()}


@functools.cache
def _kernel() -> Callable[..., None]:
    return compiled(_first_occurrences)


def _first_occurrences(  # compiled by numba
    tokens: Any, minutes: Any, offsets: Any, rows: Any, bounds: Any, sets: Any, found: Any
) -> None:
    seen = np.full(len(bounds) - 1, -1, np.int64)
    for number in range(len(rows)):
        for at in range(offsets[rows[number]], offsets[rows[number] + 1]):
            token = np.int64(tokens[at])
            if seen[token] == number:
                continue
            seen[token] = number
            for place in range(bounds[token], bounds[token + 1]):
                # Records ascend in time, so the first token of a set is the earliest.
                if found[number, sets[place]] == NEVER:
                    found[number, sets[place]] = minutes[at]
