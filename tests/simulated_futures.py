"""Futures drawn from the known law itself, written as a forecast writes its own, and what spoils them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

import known_law
from known_law import CODES, DEATH, NEXT, RATES
from proband.core.units import MINUTES_PER_DAY
from proband.ehr.meds.dataset import EXIT
from proband.ehr.outcomes import Task
from proband.forecast.config import ForecastConfig
from proband.forecast.engine.request import Trajectory
from proband.forecast.output.trajectories import Futures, write_dataset, write_part
from proband.forecast.risk import Points, prediction_points
from proband.realism.futures import Futures as FlatFutures
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from proband.tokens.history.outcomes import outcome_tokens

TASK = Task.model_validate(
    {
        "outcomes": {"d": {"codes": ["X//D"]}},
        "prediction": {"years_after_entry": 4},
        "horizons_years": [5],
    }
)
HORIZON_DAYS = round(5 * 365.25)

Future = Callable[[int, np.random.Generator], tuple[list[int], list[int]]]
"""Days after the prediction time and states of one future, from the last state before."""


def world(root: Path, num_subjects: int, seed: int = 0) -> TokenStore:
    """Records of the known law; who does not die leaves between 4.5 and 12 years of age, at random."""
    events = known_law.simulate(num_subjects, seed)
    rng = np.random.default_rng(seed)
    ids = events["subject_id"].unique().sort()
    leave = rng.integers(round(4.5 * 365.25), 12 * 365, len(ids))
    until = pl.select(
        pl.Series(ids), (pl.lit(known_law.START) + pl.duration(days=pl.Series(leave))).alias("until")
    )
    kept = events.join(until, on="subject_id", maintain_order="left").filter(
        pl.col("time").is_null() | (pl.col("time") <= pl.col("until")),
        pl.col("code") != EXIT,
    )
    died = kept.filter(pl.col("code") == "MEDS_DEATH")["subject_id"].implode()
    ends = until.filter(~pl.col("subject_id").is_in(died)).select(
        "subject_id", pl.col("until").cast(pl.Datetime("us")).alias("time"), pl.lit(EXIT).alias("code")
    )
    events = pl.concat([kept.drop("until"), ends], how="diagonal").sort(
        "subject_id", "time", nulls_last=False, maintain_order=True
    )
    known_law.write_meds(events, root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    return TokenStore(root / "tokens")


def law(state: int, rng: np.random.Generator, gap_scale: int = 1) -> tuple[list[int], list[int]]:
    """A future by the law; ``gap_scale`` spoils its gaps."""
    days, states, day = [], [], 0
    while state != DEATH:
        day += gap_scale * int(rng.geometric(RATES[state]))
        if day > HORIZON_DAYS:
            break
        state = int(rng.choice(range(2, DEATH + 1), p=NEXT[state]))
        days.append(day)
        states.append(state)
    return days, states


def points_of(store: TokenStore, task: Task = TASK, split: str = "held_out") -> Points:
    """The task's prediction points."""
    return prediction_points(store, task, split, outcome_tokens(store.vocabulary, task))


def law_paths(
    store: TokenStore, points: Points, num_paths: int, seed: int = 1, future: Future = law
) -> list[list[Trajectory]]:
    """Paths of all points, by ``future``."""
    rng = np.random.default_rng(seed)
    states_of = [CODES.index(code) if code in CODES else 0 for code in store.vocabulary.base_codes()]
    token_of = np.array([states_of.index(state) if state in states_of else 0 for state in range(len(CODES))])
    found = []
    for row, start in zip(points.rows, points.start, strict=True):
        record, minutes = store.record(int(row))
        state = states_of[int(record[minutes <= start][-1])]
        paths = []
        for path in range(num_paths):
            days, states = future(state, rng)
            ages = start + MINUTES_PER_DAY * np.array(days, dtype=np.int64)
            end = "death" if states and states[-1] == DEATH else "horizon"
            paths.append(
                Trajectory(path, token_of[np.array(states, dtype=np.int64)].astype(np.int32), ages, end)
            )
        found.append(paths)
    return found


def write_futures(
    store: TokenStore,
    points: Points,
    paths: Sequence[Sequence[Trajectory]],
    out: Path,
    task: Task = TASK,
    split: str = "held_out",
    with_history: bool = False,
    num_shards: int = 2,
) -> Path:
    """Write a trajectories folder in several shards."""
    order = points.frame.with_row_index().sort("subject_id", "prediction_time")["index"].to_numpy()
    most = max(map(len, paths))
    parts = []
    for number, index in enumerate(np.array_split(order.astype(np.int64), num_shards)):
        first = 1 + most * (sum(len(part) for part in np.array_split(order, num_shards)[:number]))
        futures = Futures(
            points.take(index),
            [paths[at] for at in index],
            first + most * np.arange(len(index), dtype=np.int64),
            round(max(task.horizons_years) * 365.25 * MINUTES_PER_DAY),
        )
        parts.append(out.with_name(f"{out.name}.parts") / str(number))
        write_part(store, futures, parts[-1], with_history)
    write_dataset(parts, out, task, ForecastConfig(split=split), [store.folder])
    return out


def hand_futures(*futures: tuple[int, int, bool, list[tuple[int, int]]]) -> FlatFutures:
    """From (point, followed, died, [(elapsed, token), ...])."""
    point, followed, died, events = zip(*futures, strict=True)
    rows = [(number, *event) for number, mine in enumerate(events) for event in mine]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return FlatFutures(np.array(point), np.array(followed), np.array(died), *columns)
