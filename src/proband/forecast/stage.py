"""The forecast stage: risks of a task's outcomes for a split's subjects."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch

from proband.core.engine import available_cores, map_shards
from proband.core.errors import ConfigError
from proband.core.progress import say
from proband.core.provenance import hash_file, is_finished, stage_output
from proband.core.schema import RISK
from proband.core.units import MINUTES_PER_DAY, years_to_minutes
from proband.ehr.outcomes import Task, load_task, save_task
from proband.forecast.config import ForecastConfig
from proband.forecast.estimators import Risks, estimate
from proband.forecast.histories import history_lengths, read_histories
from proband.forecast.risk import Points, outcome_matrix, outcome_tokens, prediction_points, risk_table
from proband.forecast.rollout import Question, roll_out
from proband.model.checkpoint import WEIGHTS, load_model
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.modality import GENOME, ModalityTable, modality_files
from proband.train.likelihood import say_absent, tables_for


def forecast(
    model: Path,
    tokens: Path,
    out: Path,
    *,
    task: Path,
    genome: Path | None = None,
    modalities: Mapping[str, Path] | None = None,
    config: ForecastConfig | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Estimate risks by sampled futures.

    Args:
        model: A model folder.
        tokens: A tokens folder with the model's vocabulary.
        out: Output folder.
        task: Task file: outcomes, prediction times, horizons.
        genome: Genome folder for a model that reads it; without it all count as ungenotyped.
        modalities: Parquet files of other modalities by name; one not given counts as absent.
        config: Settings.
        workers: Processes; default one per core.
        overwrite: Replace a finished output.

    Raises:
        ConfigError: Outcome codes or a modality unknown to the model, or a bad task file.
        CheckpointError: Model and tokens do not fit.
        DataError: Nobody to predict for.
    """
    question = load_task(task)
    files = modality_files(genome, modalities)
    resolved = {"task": hash_file(task), "modalities": tuple(files)}
    config = (config or ForecastConfig()).model_copy(update=resolved)
    given = [genome if genome and name == GENOME else path for name, path in files.items()]
    inputs = [model, tokens, task, *given]
    if is_finished(out, "forecast", config, overwrite, inputs):
        return
    loaded, store, tables = _opened(model, tokens, files)
    outcomes = outcome_tokens(store.vocabulary, question)
    questions = _questions(store, outcomes, question, config)
    job = _Job(model, tokens, files, questions, config, question.gap_days > 0)
    say_absent("forecast", loaded.config, files)
    points = prediction_points(store, question, config.split, outcomes)
    with stage_output(out, stage="forecast", config=config, inputs=inputs, seed=config.seed) as run:
        table = _risks(job, points, list(outcomes), question, workers)
        RISK.write(table, run.folder / "risk.parquet")
        save_task(question, run.folder / "task.yaml")
        run.counts["num_predictions"] = len(points.rows)
        run.counts["num_rows"] = table.height
        for at, name in enumerate(outcomes):
            run.counts[f"num_prevalent_{name}"] = int(points.prevalent[:, at].sum())
        for name in loaded.config.modalities:
            known = tables[name].observed_by(points.rows, points.start).sum() if name in tables else 0
            run.counts[f"num_without_{name}"] = len(points.rows) - int(known)
        unresolved = float(table["unresolved"].mean() or 0)  # type: ignore[arg-type]
        run.notes["mean_unresolved"] = unresolved
    say(f"forecast: {table.height:,} risks of {len(points.rows):,} predictions in {out}")
    if unresolved > 0:
        say(f"forecast: {unresolved:.2%} of paths were cut at {config.max_events} events; raise --max-events")


@dataclass(frozen=True)
class _Job:
    """What every worker process needs to know."""

    model: Path
    tokens: Path
    files: dict[str, Path]
    questions: list[Question]
    config: ForecastConfig
    after_gap: bool


class _Opened(NamedTuple):
    """A model and its data."""

    model: Proband
    store: TokenStore
    tables: dict[str, ModalityTable]


def _opened(model: Path, tokens: Path, files: Mapping[str, Path]) -> _Opened:
    """The model and its data, loaded once per process and again when a file has changed."""
    read = [model / WEIGHTS, tokens / "tokens.npy", *files.values()]
    changed = tuple(file.stat().st_mtime_ns for file in read if file.is_file())
    return _open(model, tokens, tuple(files.items()), changed)


@functools.lru_cache(maxsize=1)
def _open(
    model: Path, tokens: Path, files: tuple[tuple[str, Path], ...], changed: tuple[int, ...]
) -> _Opened:
    store = TokenStore(tokens)
    loaded = load_model(model, store.vocabulary.hash)
    return _Opened(loaded, store, tables_for(loaded.config, store, dict(files)))


def _risks(job: _Job, points: Points, outcomes: list[str], task: Task, workers: int | None) -> pl.DataFrame:
    """RiskTable rows of all points, in chunks of similar history length, the longest first."""
    store = _opened(job.model, job.tokens, job.files).store
    order = np.argsort(-history_lengths(store, points.rows, points.start), kind="stable")
    processes = workers or available_cores()
    size = max(1, min(job.config.path_budget // job.config.paths, math.ceil(len(order) / processes)))
    chunks = [order[at : at + size] for at in range(0, len(order), size)]
    found = map_shards(
        functools.partial(_forecast_chunk, job=job),
        [(points.rows[index], points.start[index]) for index in chunks],
        description="Forecasting",
        workers=workers,
    )
    parts = [
        risk_table(points, index, risks, outcomes, task, job.config.name)
        for index, risks in zip(chunks, found, strict=True)
    ]
    return pl.concat(parts).sort("subject_id", "prediction_time", "outcome", "horizon_years")


def _forecast_chunk(chunk: tuple[np.ndarray, np.ndarray], job: _Job) -> Risks:
    """Risks of some prediction points, (rows, start)."""
    model, store, tables = _opened(job.model, job.tokens, job.files)
    histories = read_histories(store, *chunk, model.config.context, tables)
    return _joined(
        [
            estimate(roll_out(model, histories, question), job.config.estimator, job.after_gap)
            for question in job.questions
        ]
    )


def _questions(
    store: TokenStore, outcomes: dict[str, np.ndarray], task: Task, config: ForecastConfig
) -> list[Question]:
    """One question for all outcomes, or for reach one each: its paths are drawn without its outcome."""
    sets = outcome_matrix(outcomes)
    horizons = [years_to_minutes(years) for years in sorted(task.horizons_years)]
    gap = round(task.gap_days * MINUTES_PER_DAY)
    if gap >= horizons[0]:
        found = f"gap_days {task.gap_days:g}"
        raise ConfigError("the gap reaches the first horizon", found=found, expected="a shorter gap_days")
    masked = config.estimator == "reach"
    return [
        Question(
            outcomes=part,
            horizons=torch.tensor([gap, *horizons] if gap else horizons),
            masked=masked,
            death=store.vocabulary.death,
            num_paths=config.paths,
            max_events=config.max_events,
            seed=config.seed,
        )
        for part in (sets.split(1) if masked else [sets])
    ]


def _joined(parts: list[Risks]) -> Risks:
    return Risks(
        *(torch.cat([getattr(part, name) for part in parts], dim=1) for name in Risks.__dataclass_fields__)
    )
