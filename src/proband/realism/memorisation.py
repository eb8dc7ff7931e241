"""Do simulated futures copy the subjects the model was trained on?

For each prediction point of a subject who was not trained on there are a simulated future and the real one.
If the model has only learnt the law, both are draws from it, and neither is nearer to the train split than
the other: the share of points at which the simulated one is nearer, ties half, is then 0.5. Copies push it
towards 1. Nearness is measured twice: by the longest run of consecutive tokens that a train record holds
too, and by the distance to the most similar train subject.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse

from proband.core.files.tables import Table
from proband.core.seeds import generator
from proband.realism.futures import Futures

MEMORISATION = Table(
    "memorisation",
    {
        "measure": pl.String,
        "share_nearer": pl.Float64,
        "standard_error": pl.Float64,
        "extreme": pl.Float64,
        "num_real_beyond": pl.Int64,
        "num_simulated_beyond": pl.Int64,
        "num_points": pl.Int64,
        "num_subjects": pl.Int64,
    },
    unique=("measure",),
)
"""``share_nearer``: see the module. ``extreme`` is the 99th percentile of nearness among real futures (the
longest runs, the smallest distances); by chance as many simulated futures as real ones lie beyond it."""

NEARNESS = Table(
    "nearness to train",
    {
        "measure": pl.String,
        "low": pl.Float64,
        "high": pl.Float64,
        "num_real": pl.Int64,
        "num_simulated": pl.Int64,
    },
    unique=("measure", "low"),
)
"""How many futures of each side have a nearness from ``low`` to below ``high`` (the last bin holds it)."""

RUN, DISTANCE = "longest_run", "distance"
LEAST_TOKENS = 5
"""Shorter futures tell nothing of copying."""
MOST_REPEATS = 16
"""A token counts so often in a bag at most."""
EXTREME = 0.99
_RUN_EDGES = (*range(1, 11), 12, 14, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200, 256)
_DISTANCE_EDGES = tuple(round(0.05 * number, 2) for number in range(21))
_ROWS = 256


@dataclass(frozen=True)
class Nearness:
    """Nearness of both sides by one measure.

    Attributes:
        measure: RUN (more is nearer) or DISTANCE (less is nearer).
        real: Of the real future of each point.
        simulated: Of the simulated one.
        subject: Whose the point is.
    """

    measure: str
    real: Float[np.ndarray, " points"]
    simulated: Float[np.ndarray, " points"]
    subject: Int[np.ndarray, " points"]

    def row(self) -> dict[str, object]:
        """A row of :data:`MEMORISATION`; there must be points."""
        sign = 1 if self.measure == RUN else -1
        nearer = (1 + np.sign(sign * (self.simulated - self.real))) / 2
        share = float(nearer.mean())
        members = np.unique(self.subject, return_inverse=True)[1]
        parts = np.bincount(members, nearer - share)
        number = len(parts)
        extreme = float(np.quantile(sign * self.real, EXTREME, method="inverted_cdf"))
        return {
            "measure": self.measure,
            "share_nearer": share,
            "standard_error": float(np.sqrt((parts**2).sum() * number / max(1, number - 1)) / len(nearer)),
            "extreme": sign * extreme,
            "num_real_beyond": int(np.count_nonzero(sign * self.real > extreme)),
            "num_simulated_beyond": int(np.count_nonzero(sign * self.simulated > extreme)),
            "num_points": len(nearer),
            "num_subjects": number,
        }

    def histogram(self) -> pl.DataFrame:
        """A frame of :data:`NEARNESS`."""
        edges = np.array(_RUN_EDGES if self.measure == RUN else _DISTANCE_EDGES, dtype=np.float64)
        edges[-1] = max(edges[-1], self.real.max(), self.simulated.max())
        counts = [np.histogram(side, edges)[0] for side in (self.real, self.simulated)]
        columns = [[self.measure] * (len(edges) - 1), edges[:-1], edges[1:], *counts]
        return pl.DataFrame(dict(zip(NEARNESS.columns, columns, strict=True)), schema=NEARNESS.empty().schema)


@dataclass(frozen=True)
class Sequences:
    """Token sequences end to end.

    Attributes:
        tokens: All tokens.
        offsets: Where each sequence begins, and the end of the last.
    """

    tokens: Int[np.ndarray, " tokens"]
    offsets: Int[np.ndarray, " sequences_and_one"]

    @property
    def lengths(self) -> Int[np.ndarray, " sequences"]:
        """Tokens of each."""
        return np.diff(self.offsets)

    def cut(self, lengths: Int[np.ndarray, " sequences"]) -> Sequences:
        """The first ``lengths`` tokens of each."""
        within = np.arange(len(self.tokens)) - np.repeat(self.offsets[:-1], self.lengths)
        keep = within < np.repeat(lengths, self.lengths)
        return Sequences(self.tokens[keep], np.concatenate([[0], np.cumsum(lengths)]))


def sequences(futures: Futures) -> Sequences:
    """The tokens of each future; within a minute they ascend."""
    order = np.lexsort((futures.token, futures.elapsed, futures.future))
    lengths = np.bincount(futures.future, minlength=len(futures))
    return Sequences(futures.token[order], np.concatenate([[0], np.cumsum(lengths)]))


def longest_runs(queries: Sequences, train: Sequences, seed: int = 0) -> Int[np.ndarray, " sequences"]:
    """Of each query the longest run of consecutive tokens that lies within one train sequence too.

    Runs grow by a token at a time, and only where the shorter run was found. They are compared by 64-bit
    hashes: among 10^7 tokens of train and 10^6 of queries a false match is a matter of 1 in 10^6 per length.

    Args:
        queries: Sequences asked about.
        train: Sequences to find them in.
        seed: Of the hashes.
    """
    size = 1 + int(max(queries.tokens.max(initial=0), train.tokens.max(initial=0)))
    keys = generator(seed, "runs").integers(0, 2**64, size, dtype=np.uint64)
    longest = np.zeros(len(queries.offsets) - 1, dtype=np.int64)
    asked, known = _Runs(queries, keys), _Runs(train, keys)
    for length in range(1, 1 + int(queries.lengths.max(initial=0))):
        asked.grow()
        known.grow()
        known.keep(asked.hashes)
        asked.keep(known.hashes)
        if not len(asked.place):
            break
        longest[np.searchsorted(queries.offsets, asked.place, side="right") - 1] = length
    return longest


class _Runs:
    """Runs of one length: where they begin, and their hashes."""

    def __init__(self, texts: Sequences, keys: np.ndarray) -> None:
        self.tokens, self.keys, self.length = texts.tokens, keys, 0
        self.place = np.arange(len(texts.tokens))
        self.end = np.repeat(texts.offsets[1:], texts.lengths)
        self.hashes = np.zeros(len(texts.tokens), dtype=np.uint64)

    def grow(self) -> None:
        """Make each run longer by a token; those at the end of their sequence go."""
        self._take(self.place + self.length < self.end)
        key = self.keys[self.tokens[self.place + self.length]]
        self.hashes = (self.hashes ^ (self.hashes >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) + key
        self.length += 1

    def keep(self, hashes: np.ndarray) -> None:
        """Only runs with one of these hashes."""
        self._take(np.isin(self.hashes, np.unique(hashes), kind="sort"))

    def _take(self, which: np.ndarray) -> None:
        self.place, self.end, self.hashes = self.place[which], self.end[which], self.hashes[which]


def nearest_distances(
    queries: Sequences, train: Sequences, num_tokens: int
) -> Float[np.ndarray, " sequences"]:
    """Distance of each query to the most similar train sequence, as bags of tokens.

    d = 1 − 2 Σ min(x, y) / Σ (x + y) over tokens, x and y how often each bag holds one (Bray and Curtis 1957,
    doi:10.2307/1942268): 0 for the same bag, 1 for nothing in common. Order and time play no part.

    Args:
        queries: Sequences asked about, none of them empty.
        train: Sequences to compare with.
        num_tokens: Size of the vocabulary.
    """
    bags, others = (_bags(texts, num_tokens) for texts in (queries, train))
    sizes, other_sizes = (np.asarray(side.sum(axis=1)).ravel() for side in (bags, others))
    turned = sparse.csr_array(others.T)
    nearest = np.ones(len(sizes))
    for at in range(0, len(sizes), _ROWS):
        rows = slice(at, at + _ROWS)
        common = (bags[rows] @ turned).toarray()
        nearest[rows] = (1 - 2 * common / (sizes[rows, None] + other_sizes)).min(axis=1, initial=1.0)
    return nearest


def _bags(texts: Sequences, num_tokens: int) -> sparse.csr_array:
    """A column for the first, second, ... time of each token: a product of two bags is then Σ min(x, y)."""
    row = np.repeat(np.arange(len(texts.lengths)), texts.lengths)
    order = np.lexsort((texts.tokens, row))
    row, token = row[order], texts.tokens[order]
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (token[1:] != token[:-1])
    time = np.arange(len(row)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    keep = time < MOST_REPEATS
    place = (row[keep], token[keep] * MOST_REPEATS + time[keep])
    ones = np.ones(int(np.count_nonzero(keep)), dtype=np.float32)
    return sparse.csr_array((ones, place), shape=(len(texts.lengths), num_tokens * MOST_REPEATS))
