"""Simulated futures beside what really followed the same prediction points, followed alike.

A real future ends when its subject leaves, so each simulated one is cut where its subject left. When
somebody who died would have left is not known; for their paths it is drawn from the Kaplan-Meier estimate of
leaving, given that they had not left before they died.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Int

from proband.core.errors import DataError
from proband.core.files.manifest import open_output
from proband.core.files.tables import read_parquet
from proband.core.schema import TRAJECTORIES
from proband.core.seeds import uniforms
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.ehr.meds.dataset import Shard, read_shard
from proband.tokens.dataset import TokenStore
from proband.tokens.encode.tokenize import tokenize_events

TABLE, STAGE = "trajectories.parquet", "trajectories"
_POINT = ["source_subject_id", "prediction_time"]


@dataclass(frozen=True)
class Futures:
    """Futures in flat arrays, ordered by point, path and time.

    Attributes:
        point: Point of each future, ascending.
        followed: Minutes from the prediction time to the end of what is known.
        died: Whether it ends with death.
        future: Future of each measurement.
        elapsed: Its minutes after the prediction time, above 0.
        token: Its token.
    """

    point: Int[np.ndarray, " futures"]
    followed: Int[np.ndarray, " futures"]
    died: Bool[np.ndarray, " futures"]
    future: Int[np.ndarray, " measurements"]
    elapsed: Int[np.ndarray, " measurements"]
    token: Int[np.ndarray, " measurements"]

    def __len__(self) -> int:
        return len(self.point)

    def followed_until(self, until: Int[np.ndarray, " futures"]) -> Futures:
        """The same, each known only for so many minutes."""
        keep = self.elapsed <= until[self.future]
        return Futures(
            self.point,
            np.minimum(self.followed, until),
            self.died & (self.followed <= until),
            self.future[keep],
            self.elapsed[keep],
            self.token[keep],
        )

    def take(self, index: Int[np.ndarray, " some"]) -> Futures:
        """Some futures, ascending; their points keep their numbers."""
        number = np.full(len(self), -1)
        number[index] = np.arange(len(index))
        keep = number[self.future] >= 0
        return Futures(
            self.point[index],
            self.followed[index],
            self.died[index],
            number[self.future[keep]],
            self.elapsed[keep],
            self.token[keep],
        )


def join(parts: Sequence[Futures]) -> Futures:
    """Futures of several parts, in their order."""
    begin = np.cumsum([0, *(len(part) for part in parts)])
    moved = [replace(part, future=part.future + first) for part, first in zip(parts, begin[:-1], strict=True)]
    names = Futures.__dataclass_fields__
    return Futures(*(np.concatenate([getattr(part, name) for part in moved]) for name in names))


@dataclass(frozen=True)
class Points:
    """Prediction points, ordered by subject and time.

    Attributes:
        frame: source_subject_id, prediction_time.
        row: Row of the tokens folder.
        start: Prediction times in minutes since birth.
        horizon: Minutes that are looked ahead.
    """

    frame: pl.DataFrame
    row: Int[np.ndarray, " points"]
    start: Int[np.ndarray, " points"]
    horizon: Int[np.ndarray, " points"]


def read_whose(trajectories: Path) -> pl.DataFrame:
    """The table that tells whose future each simulated subject is.

    Raises:
        DataError: The folder holds no finished trajectories.
    """
    open_output(trajectories, STAGE, [TABLE])
    return TRAJECTORIES.read(trajectories / TABLE).sort("subject_id")


def read_points(whose: pl.DataFrame, store: TokenStore) -> Points:
    """The prediction points of all paths.

    Raises:
        DataError: A subject is not in the tokens folder.
    """
    rows = store.subjects.with_row_index("row").select("row", "birth_time", source_subject_id="subject_id")
    points = (
        whose.group_by(_POINT)
        .agg(pl.col("horizon_time").max())
        .sort(_POINT)
        .join(rows, on="source_subject_id", how="left", maintain_order="left")
    )
    if points["row"].null_count():
        found = f"{points['row'].null_count()} prediction points of other subjects"
        remedy = "name the tokens folder that the forecast read"
        raise DataError("subjects are not in the tokens", where=store.folder, found=found, remedy=remedy)

    def minutes(name: str) -> np.ndarray:
        since_birth = (pl.col(name) - pl.col("birth_time")).dt.total_microseconds()
        return points.select(since_birth // MICROSECONDS_PER_MINUTE).to_series().to_numpy()

    start = minutes("prediction_time")
    row = points["row"].to_numpy().astype(np.int64)
    return Points(points.select(_POINT), row, start, minutes("horizon_time") - start)


def real_futures(store: TokenStore, points: Points) -> Futures:
    """What followed each point until its subject left, died, or the horizon came."""
    exit_ = store.exit[points.row] - points.start
    followed = np.clip(exit_, 0, points.horizon)
    tokens, elapsed = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for row, start, until in zip(points.row, points.start, followed, strict=True):
        mine, ages = store.record(int(row))
        here = slice(*np.searchsorted(ages, [start, start + until], side="right"))
        tokens.append(mine[here])
        elapsed.append(ages[here] - start)
    future = np.repeat(np.arange(len(points.row)), [len(part) for part in tokens[1:]])
    died = store.died[points.row] & (exit_ <= points.horizon)
    every = np.arange(len(points.row))
    return Futures(every, followed, died, future, np.concatenate(elapsed), np.concatenate(tokens))


def leaving_times(real: Futures, points: Points, seed: int) -> Int[np.ndarray, " points"]:
    """When each point's subject leaves, in minutes after it; for those who died, drawn.

    Args:
        real: What really followed.
        points: The points.
        seed: Of the draws.

    Returns:
        Minutes, at most the horizon. Those who died leave at s with the Kaplan-Meier probability of leaving
        at s given not before their death; deaths come before leavings at ties.
    """
    left = ~real.died & (real.followed < points.horizon)
    times = np.unique(real.followed[left])
    leaving = np.bincount(np.searchsorted(times, real.followed[left]), minlength=len(times))
    followed = np.sort(real.followed)
    at_risk = len(followed) - np.searchsorted(followed, times, side="left")
    dead = np.sort(real.followed[real.died])
    died_there = np.searchsorted(dead, times, side="right") - np.searchsorted(dead, times, side="left")
    staying = np.cumprod(1 - leaving / np.maximum(1, at_risk - died_there))
    before = np.concatenate([[1.0], staying])[np.searchsorted(times, real.followed, side="left")]
    uniform = uniforms(seed, "leaving", points.frame["source_subject_id"].to_numpy(), points.start)
    at = np.searchsorted(-staying, -uniform * before, side="left")
    drawn = np.append(times, np.iinfo(np.int64).max)[at]
    return np.where(real.died, np.minimum(drawn, points.horizon), real.followed)


def split_by_shard(whose: pl.DataFrame, points: Points, shards: Sequence[Shard]) -> list[pl.DataFrame]:
    """Of each file, its rows of ``whose`` with the number of their point."""
    numbered = whose.join(points.frame.with_row_index("point"), on=_POINT, maintain_order="left")
    parts = []
    for shard in shards:
        ids = read_parquet(shard.path, ["subject_id"])["subject_id"]
        first, last = numbered["subject_id"].search_sorted([ids[0], ids[-1]]).to_list()
        parts.append(numbered[first : last + 1])
    return parts


def simulated_futures(
    shard: Shard, store: TokenStore, whose: pl.DataFrame, start: Int[np.ndarray, " points"]
) -> Futures:
    """The simulated futures of one file, as far as their paths go.

    Args:
        shard: The file.
        store: Tokens of the real subjects.
        whose: The file's part, as :func:`split_by_shard` returns.
        start: Prediction times of all points in minutes since birth.
    """
    rows = tokenize_events(read_shard(shard.path), store.vocabulary, {}).rows
    point = whose["point"].to_numpy().astype(np.int64)
    reached = (whose["end_time"] - whose["prediction_time"]).dt.total_microseconds().to_numpy()
    future = np.searchsorted(whose["subject_id"].to_numpy(), rows["subject_id"].to_numpy())
    elapsed = rows["minutes"].to_numpy().astype(np.int64) - start[point[future]]
    keep = elapsed > 0  # what comes before is birth and history
    return Futures(
        point,
        -(-reached // MICROSECONDS_PER_MINUTE),  # prediction times are cut to minutes, as all ages are
        (whose["end"] == "death").to_numpy(),
        future[keep],
        elapsed[keep],
        rows["token"].to_numpy().astype(np.int64)[keep],
    )
