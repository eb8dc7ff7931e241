"""Changes of records and genomes, ready to be made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64

from proband.core.units import MICROSECONDS_PER_MINUTE, MINUTES_PER_DAY
from proband.forecast.risk import Points
from proband.tokens.history.edited import Record

_ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class When:
    """A time of each prediction point.

    Attributes:
        date: Microseconds since 1970.
        days_before: Days before the prediction time; without both, since ever.
    """

    date: int | None = None
    days_before: float | None = None

    def minutes(self, points: Points) -> Int64[np.ndarray, " points"]:
        """Age in minutes at each point."""
        if self.days_before is not None:
            return points.start.astype(np.int64) - round(self.days_before * MINUTES_PER_DAY)
        if self.date is None:
            return np.full(len(points.rows), _ALWAYS)
        times = points.frame["prediction_time"].to_physical().to_numpy()
        # Both ages are rounded down to minutes, so that what falls on the date is found at it or later.
        return points.start.astype(np.int64) - (times - self.date) // MICROSECONDS_PER_MINUTE


class RecordChange(ABC):
    """A change of a record up to the prediction time."""

    when: When

    @abstractmethod
    def apply(self, record: Record, at: int, start: int) -> Record:
        """The record changed; the same object where nothing changes.

        Args:
            record: What is known by the prediction time.
            at: Age in minutes at the change's time.
            start: Age in minutes at the prediction time.
        """


@dataclass(frozen=True)
class RemoveTokens(RecordChange):
    """Leaves tokens out from a time on."""

    when: When
    members: Bool[np.ndarray, " vocabulary"]

    def apply(self, record: Record, at: int, start: int) -> Record:
        """The record without them."""
        tokens, minutes = record
        stays = ~(self.members[tokens] & (minutes >= at))
        return record if stays.all() else (tokens[stays], minutes[stays])


@dataclass(frozen=True)
class AddToken(RecordChange):
    """Adds an event; not before birth, not after the prediction time, not a second time what happens once.

    Attributes:
        token: What is added.
        once_with: Tokens none of which comes again after any of them; empty for what may repeat.
    """

    when: When
    token: int
    once_with: Int[np.ndarray, " tokens"]

    def apply(self, record: Record, at: int, start: int) -> Record:
        """The record with it."""
        tokens, minutes = record
        if not 0 <= at <= start or np.isin(tokens, self.once_with).any():
            return record
        after = (minutes > at) | ((minutes == at) & (tokens > self.token))
        place = int(np.argmax(after)) if after.any() else len(tokens)
        return np.insert(tokens, place, self.token), np.insert(minutes, place, at)


@dataclass(frozen=True)
class MapTokens(RecordChange):
    """Puts other tokens in place of some, from a time on: values in other bins."""

    when: When
    becomes: Int[np.ndarray, " vocabulary"]

    def apply(self, record: Record, at: int, start: int) -> Record:
        """The record with the others."""
        tokens, minutes = record
        changed = np.where(minutes >= at, self.becomes[tokens], tokens)
        if np.array_equal(changed, tokens):
            return record
        order = np.lexsort((changed, minutes))  # within a time stamp tokens ascend
        return changed[order], minutes


class GenomeChange(ABC):
    """A change of scores."""

    @abstractmethod
    def apply(self, values: Float32[np.ndarray, "n scores"]) -> Float32[np.ndarray, "n scores"]:
        """Scores changed; who has none has NaN throughout."""


@dataclass(frozen=True)
class SetScore(GenomeChange):
    """One score of the genotyped at a value."""

    column: int
    value: float

    def apply(self, values: Float32[np.ndarray, "n scores"]) -> Float32[np.ndarray, "n scores"]:
        """Scores with the one at the value."""
        found = values.copy()
        found[~np.isnan(values).all(axis=1), self.column] = self.value
        return found


@dataclass(frozen=True)
class SetGenome(GenomeChange):
    """The same scores for everybody; NaN for no genome."""

    values: Float32[np.ndarray, " scores"]

    def apply(self, values: Float32[np.ndarray, "n scores"]) -> Float32[np.ndarray, "n scores"]:
        """These scores for everybody."""
        return np.broadcast_to(self.values, values.shape).copy()
