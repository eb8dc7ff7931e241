"""How far histories lie from those of the train split, in the space of record summaries.

Features are standardised on a sample of train histories and cut to 5 standard deviations; a history's
distance is the mean Euclidean distance to its five nearest neighbours in the sample, other subjects'.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64

from proband.core.seeds import generator
from proband.forecast.risk import Points
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SparseFeatures, SummaryLayout, summarise

MOST_HISTORIES = 1000
"""Train histories in the sample."""
NEIGHBOURS = 5
CLIP = 5.0
"""Standard deviations."""


@dataclass(frozen=True)
class Sample:
    """Histories that others are compared with.

    Attributes:
        rows: Rows of the store.
        start: Ages in minutes at which each is read.
    """

    rows: tuple[int, ...]
    start: tuple[int, ...]

    @classmethod
    def of(cls, points: Points, seed: int) -> Sample:
        """Some of the points, drawn at random."""
        order = generator(seed, "histories to compare with").permutation(len(points.rows))
        chosen = np.sort(order[:MOST_HISTORIES])
        return cls(tuple(points.rows[chosen].tolist()), tuple(points.start[chosen].tolist()))


@dataclass(frozen=True)
class Space:
    """The standardised space of a sample.

    Attributes:
        ids: Subjects of the sample.
        used: Features that vary in it.
        mean, sd: Of these.
        places: The sample.
        distances: Its own distances, ascending.
    """

    ids: Int[np.ndarray, " sample"]
    used: Int[np.ndarray, " used"]
    mean: Float[np.ndarray, " used"]
    sd: Float[np.ndarray, " used"]
    places: Float32[np.ndarray, "sample used"]
    distances: Float64[np.ndarray, " sample"]

    def distance(self, features: SparseFeatures, ids: Int[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Distance of histories of the subjects ``ids``."""
        return _distance(self._standardised(features), ids, self.places, self.ids)

    def share_beyond(self, distance: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Share of the sample that lies at least as far out."""
        return 1 - np.searchsorted(self.distances, distance, side="left") / len(self.distances)

    def _standardised(self, features: SparseFeatures) -> Float32[np.ndarray, "n used"]:
        raw = _dense(features)[:, self.used]
        return ((raw - self.mean) / self.sd).clip(-CLIP, CLIP).astype(np.float32)


def space_of(store: TokenStore, sample: Sample) -> Space:
    """The space of a sample, made once per process."""
    return _space(_ByIdentity(store), sample)


@dataclass(frozen=True)
class _ByIdentity:
    store: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.store is self.store

    def __hash__(self) -> int:
        return id(self.store)


@functools.lru_cache(maxsize=1)
def _space(keyed: _ByIdentity, sample: Sample) -> Space:
    store = keyed.store
    rows, start = np.array(sample.rows, dtype=np.int64), np.array(sample.start, dtype=np.int64)
    raw = _dense(summaries(store, rows, start))
    mean, sd = raw.mean(axis=0), raw.std(axis=0)
    used = np.flatnonzero(sd > 0)
    places = ((raw[:, used] - mean[used]) / sd[used]).clip(-CLIP, CLIP).astype(np.float32)
    ids = store.subject_ids[rows]
    own = np.sort(_distance(places, ids, places, ids))
    return Space(ids, used, mean[used], sd[used], places, own)


def summaries(
    store: TokenStore, rows: Int64[np.ndarray, " n"], start: Int64[np.ndarray, " n"]
) -> SparseFeatures:
    """Record summaries of a store at ages in minutes."""
    return summarise(store, SummaryLayout.of(store.vocabulary), rows, start)


def _dense(features: SparseFeatures) -> Float32[np.ndarray, "n features"]:
    found = np.zeros((len(features), features.num_features), dtype=np.float32)
    row = np.repeat(np.arange(len(features)), np.diff(features.indptr))
    found[row, features.indices] = features.values
    return found


def _distance(
    places: Float32[np.ndarray, "n used"],
    ids: Int[np.ndarray, " n"],
    sample: Float32[np.ndarray, "sample used"],
    sample_ids: Int[np.ndarray, " sample"],
) -> Float64[np.ndarray, " n"]:
    """Mean distance to the nearest of other subjects; infinite without any."""
    squares = (sample.astype(np.float64) ** 2).sum(axis=1)
    product = places @ sample.T
    square = (places.astype(np.float64) ** 2).sum(axis=1)[:, None] + squares - 2 * product
    square[ids[:, None] == sample_ids] = np.inf
    nearest = np.sort(square, axis=1)[:, :NEIGHBOURS]
    return np.sqrt(nearest.clip(0)).mean(axis=1)
