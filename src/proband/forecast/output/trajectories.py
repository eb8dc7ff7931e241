"""Simulated futures as a MEDS dataset: one simulated subject per subject, prediction time and path.

Layout of a trajectories folder: data/SPLIT/*.parquet and metadata/ as in any MEDS dataset;
trajectories.parquet (schema.TRAJECTORIES), the source subject of each simulated one; task.yaml;
manifest.json.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.core.errors import ConfigError
from proband.core.files.provenance import stage_output
from proband.core.files.tables import join_parquet
from proband.core.running.progress import say
from proband.core.schema import TIME, TRAJECTORIES
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.ehr.meds.dataset import BIRTH, DATA, ENTRY, EVENTS, EXIT, SUBJECT_SPLITS
from proband.ehr.meds.write import write_codes, write_table
from proband.ehr.outcomes import Task, save_task
from proband.forecast.choices import samples_paths
from proband.forecast.config import ForecastConfig
from proband.forecast.engine.request import Trajectory
from proband.forecast.risk import Points
from proband.tokens.dataset import TokenStore
from proband.tokens.measurements.values import bin_values
from proband.tokens.vocabulary import Vocabulary

STAGE = "trajectories"
TABLE, TASK = "trajectories.parquet", "task.yaml"
_EVENTS, _WHOSE = "events.parquet", "whose.parquet"


@dataclass(frozen=True)
class Futures:
    """The simulated futures of some prediction points.

    Attributes:
        points: The points.
        paths: Of each point, its paths.
        first_ids: Simulated subject_id of each point's path 0; the others follow by their numbers.
        horizon: Last horizon in minutes after the prediction time.
    """

    points: Points
    paths: Sequence[Sequence[Trajectory]]
    first_ids: Int[np.ndarray, " points"]
    horizon: int


@dataclass(frozen=True)
class _Flat:
    """All paths in one row each, ascending by simulated subject_id; times in microseconds since 1970."""

    trajectories: list[Trajectory]
    point: Int[np.ndarray, " paths"]
    row: Int[np.ndarray, " paths"]
    subject_id: Int[np.ndarray, " paths"]
    birth: Int[np.ndarray, " paths"]
    prediction: Int[np.ndarray, " paths"]
    end: Int[np.ndarray, " paths"]
    horizon: Int[np.ndarray, " paths"]


def refuse_folder(trajectories: Path, out: Path) -> None:
    """Refuse a trajectories folder that would be lost with the risks' folder, or would replace it.

    Raises:
        ConfigError: One folder is or holds the other.
    """
    inner, outer = trajectories.resolve(), out.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ConfigError(
            "one output folder holds the other",
            where="--trajectories",
            found=f"{trajectories} and {out}",
            remedy="name two folders side by side",
        )


def refuse_settings(config: ForecastConfig) -> None:
    """Refuse settings that do not go with trajectories, or not without them.

    Raises:
        ConfigError: History without futures, futures of a world without death, or sampling asked of
            closed_form.
    """
    if config.with_history and not config.trajectories:
        remedy = "name a folder: --trajectories FOLDER"
        raise ConfigError("no futures to write history before", where="--with-history", remedy=remedy)
    if config.trajectories and not samples_paths(config.estimator):
        remedy = "take a sampled estimator: --estimator scope"
        raise ConfigError(
            "futures are sampled, closed_form samples none", where="--trajectories", remedy=remedy
        )
    if config.raw and samples_paths(config.estimator):
        remedy = "leave one of them out"
        raise ConfigError("sampled risks have no calibration to leave out", where="--raw", remedy=remedy)
    if config.precision and not samples_paths(config.estimator):
        remedy = "leave it out, or take a sampled estimator: --estimator scope"
        raise ConfigError("closed_form has no sampling error", where="--precision", remedy=remedy)
    if config.net and config.trajectories:
        remedy = "leave one of them out"
        raise ConfigError(
            "futures of a world without death are not written",
            where="--net with --trajectories",
            remedy=remedy,
        )


def write_part(store: TokenStore, futures: Futures, folder: Path, with_history: bool = False) -> None:
    """Write the futures of one shard, for :func:`write_dataset`."""
    folder.mkdir(parents=True, exist_ok=True)
    flat = _flatten(store, futures)
    write_table(_events(store, flat, with_history), folder / _EVENTS)
    TRAJECTORIES.write(_whose(futures, flat), folder / _WHOSE)


def write_dataset(
    parts: Sequence[Path], out: Path, task: Task, config: ForecastConfig, inputs: Collection[Path]
) -> None:
    """Make the dataset of all shards, whole or not at all; the shards stay as they are.

    Args:
        parts: Folders of :func:`write_part`, in the order of their simulated subjects.
        out: The trajectories folder.
        task: The task that set the prediction times.
        config: Settings of the forecast.
        inputs: What the forecast read.
    """
    with stage_output(out, stage=STAGE, config=config, inputs=inputs, seed=config.seed) as run:
        run.counts |= _assemble(parts, run.folder, config.split)
        save_task(task, run.folder / TASK)
    say(f"forecast: {run.counts['num_trajectories']:,} simulated futures in {out}")


def _assemble(parts: Sequence[Path], out: Path, split: str) -> dict[str, int]:
    """Put the shards together in the empty folder ``out``; returns counts for the manifest."""
    data = out / DATA / split
    data.mkdir(parents=True)
    (out / SUBJECT_SPLITS).parent.mkdir()
    for number, part in enumerate(parts):
        _link(part / _EVENTS, data / f"{number}.parquet")
    num_paths = join_parquet([part / _WHOSE for part in parts], out / TABLE)
    ids = TRAJECTORIES.read(out / TABLE).select("subject_id", pl.lit(split).alias("split"))
    write_table(ids, out / SUBJECT_SPLITS)
    events = pl.scan_parquet([part / _EVENTS for part in parts])
    codes = events.select(pl.col("code").unique().sort()).collect()["code"].to_list()
    columns = [("code", pl.String()), ("description", pl.String()), ("parent_codes", pl.List(pl.String))]
    write_codes(pl.DataFrame(schema=columns), codes, out, etl_name="proband forecast")
    return {"num_trajectories": num_paths, "num_rows": int(events.select(pl.len()).collect().item())}


def _link(origin: Path, to: Path) -> None:
    """A second name for a file, or a copy of it on another disk."""
    try:
        os.link(origin, to)
    except OSError:
        shutil.copyfile(origin, to)


def _flatten(store: TokenStore, futures: Futures) -> _Flat:
    points = futures.points
    number = np.array([len(paths) for paths in futures.paths], dtype=np.int64)
    point = np.repeat(np.arange(len(number)), number)
    trajectories = [trajectory for paths in futures.paths for trajectory in paths]
    path = np.array([trajectory.path for trajectory in trajectories], dtype=np.int64)
    row = points.rows[point]
    birth = store.subjects["birth_time"].cast(TIME).to_physical().to_numpy()[row]
    prediction = points.frame["prediction_time"].cast(TIME).to_physical().to_numpy()[point]
    horizon = prediction + futures.horizon * MICROSECONDS_PER_MINUTE
    last = np.array([path.minutes[-1] if len(path.minutes) else 0 for path in trajectories], dtype=np.int64)
    at_last = np.maximum(birth + last * MICROSECONDS_PER_MINUTE, prediction)
    reached = np.array([path.end == "horizon" for path in trajectories])
    end = np.where(reached, horizon, at_last)
    return _Flat(trajectories, point, row, futures.first_ids[point] + path, birth, prediction, end, horizon)


def _whose(futures: Futures, flat: _Flat) -> pl.DataFrame:
    frame = futures.points.frame[flat.point]
    return pl.DataFrame(
        {
            "subject_id": flat.subject_id,
            "source_subject_id": frame["subject_id"],
            "prediction_time": frame["prediction_time"],
            "path": flat.subject_id - futures.first_ids[flat.point],
            "end": [path.end for path in flat.trajectories],
            "end_time": flat.end,
            "horizon_time": flat.horizon,
        },
        schema=TRAJECTORIES.empty().schema,
    )


def _events(store: TokenStore, flat: _Flat, with_history: bool) -> pl.DataFrame:
    """Rows of MEDS, each simulated subject's in order of time: what is static, birth, history, the future."""
    every = np.arange(len(flat.row))
    parts = [_statics(store, flat), _marks(flat, every, flat.birth, BIRTH)]
    if with_history:
        lengths, tokens, minutes = _histories(store, flat)
        parts.append(_measurements(store.vocabulary, flat, lengths, tokens, minutes))
    parts.append(_marks(flat, every, flat.prediction, ENTRY))
    lengths = np.array([len(path.tokens) for path in flat.trajectories], dtype=np.int64)
    tokens = _joined([path.tokens for path in flat.trajectories])
    minutes = _joined([path.minutes for path in flat.trajectories])
    parts.append(_measurements(store.vocabulary, flat, lengths, tokens, minutes))
    alive = np.flatnonzero([path.end != "death" for path in flat.trajectories])
    parts.append(_marks(flat, alive, flat.end, EXIT))
    # Rows of one time stay as they were put together: history before the begin, events before the end.
    return pl.concat(parts).sort("subject_id", "time", nulls_last=False, maintain_order=True)


def _frame(subject_id: np.ndarray, **columns: Any) -> pl.DataFrame:
    """Rows of MEDS; columns not given are null."""
    given = {"subject_id": subject_id} | columns
    return pl.DataFrame(
        {name: pl.Series(given[name], dtype=EVENTS[name]) for name in EVENTS if name in given}
    ).select(
        pl.col(name) if name in given else pl.lit(None, dtype).alias(name) for name, dtype in EVENTS.items()
    )


def _statics(store: TokenStore, flat: _Flat) -> pl.DataFrame:
    path, column = np.nonzero(store.statics[flat.row])
    codes = pl.Series(["", *store.vocabulary.statics], dtype=pl.String)
    return _frame(flat.subject_id[path], code=codes[store.statics[flat.row[path], column]])


def _marks(flat: _Flat, which: np.ndarray, time: np.ndarray, code: str) -> pl.DataFrame:
    codes = pl.repeat(code, len(which), dtype=pl.String, eager=True)
    return _frame(flat.subject_id[which], time=time[which], code=codes)


def _measurements(
    vocabulary: Vocabulary,
    flat: _Flat,
    lengths: Int[np.ndarray, " paths"],
    tokens: Int[np.ndarray, " rows"],
    minutes: Int[np.ndarray, " rows"],
) -> pl.DataFrame:
    """Tokens and ages in minutes, ``lengths`` of them per path, as rows with code and value."""
    path = np.repeat(np.arange(len(lengths)), lengths)
    codes, values, units = code_table(vocabulary)
    return _frame(
        flat.subject_id[path],
        time=flat.birth[path] + minutes * MICROSECONDS_PER_MINUTE,
        code=codes[tokens],
        numeric_value=values[tokens],
        unit=units[tokens],
    )


def code_table(vocabulary: Vocabulary) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Code, value and unit of every token: of a value bin its code, a value inside it and its unit.

    Value and unit of other tokens are null; so is the unit where train had none.
    """
    values = np.full(len(vocabulary), np.nan, dtype=np.float32)
    for code, inner in vocabulary.edges.items():
        for number, value in enumerate(bin_values(inner), start=1):
            values[vocabulary.bin_index[code, number]] = value
    codes = pl.Series(vocabulary.recorded_codes(), dtype=pl.String)
    return codes, pl.Series(values).fill_nan(None), pl.Series(vocabulary.bin_units(), dtype=pl.String)


def _histories(store: TokenStore, flat: _Flat) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per path the tokens after birth until the prediction time: how many, which, and when in minutes."""
    until = (flat.prediction - flat.birth) // MICROSECONDS_PER_MINUTE
    tokens, minutes = [], []
    for row, last in zip(flat.row, until, strict=True):
        known, ages = store.history(int(row), int(last))
        tokens.append(known[1:])
        minutes.append(ages[1:])
    lengths = np.array([len(known) for known in tokens], dtype=np.int64)
    return lengths, _joined(tokens), _joined(minutes)


def _joined(arrays: Sequence[np.ndarray]) -> Int[np.ndarray, " rows"]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *arrays]).astype(np.int64)
