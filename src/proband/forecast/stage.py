"""The forecast stage: risks of a task's outcomes for a split's subjects."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch

from proband.core.engine import available_cores
from proband.core.errors import ConfigError
from proband.core.progress import say
from proband.core.provenance import hash_file, is_finished, stage_output
from proband.core.resume import clear_marks, map_resumably, resumable
from proband.core.schema import RISK, join_parquet
from proband.core.units import MINUTES_PER_DAY, years_to_minutes
from proband.ehr.outcomes import Task, load_task, save_task, task_files
from proband.forecast.config import ForecastConfig
from proband.forecast.estimators import estimate, stacked
from proband.forecast.histories import Histories, history_lengths, read_histories
from proband.forecast.outcomes import outcome_matrix, outcome_tokens
from proband.forecast.patterns import token_patterns
from proband.forecast.risk import Points, never_asked, observed_shares, prediction_points, risk_table
from proband.forecast.rollout import roll_out
from proband.forecast.sums import Question
from proband.model.checkpoint import load_model
from proband.model.hub import CONFIG, VOCABULARY, WEIGHTS
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.modality import GENOME, ModalityTable, modality_files
from proband.train.likelihood import say_absent, tables_for

RISKS, SHARDS = "risk.parquet", "shards"
_SHARD_POINTS = 150
"""Predictions after which what was found is kept: a minute's work or so. Fixed, so that an interrupted run
may go on with another number of processes."""


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
    inputs = [model, tokens, *task_files(task), *given]
    if is_finished(out, "forecast", config, overwrite, inputs):
        return
    loaded, store, tables = _opened(model, tokens, files)
    outcomes = outcome_tokens(store.vocabulary, question)
    for name in token_patterns(question, outcomes):
        raise ConfigError(
            "forecast takes no pattern of events", where=f"outcome {name}", remedy="leave it out"
        )
    asked = _question(store, outcomes, question, config)
    horizons = tuple(sorted(question.horizons_years))
    job = _Job(model, tokens, files, asked, tuple(outcomes), horizons, config, question.gap_days > 0)
    say_absent("forecast", loaded.config, files)
    points = prediction_points(store, question, config.split, outcomes)
    unasked, shares = never_asked(store, question, config.split), observed_shares(store, question)
    reads = [model / WEIGHTS, tokens / "tokens.npy", *task_files(task), *files.values()]
    with (
        resumable(out, "forecast", config, inputs=reads, overwrite=overwrite) as work,
        stage_output(out, stage="forecast", config=config, inputs=inputs, seed=config.seed, work=work) as run,
    ):
        run.counts["num_rows"] = _write_risks(job, points, work, workers)
        save_task(question, work / "task.yaml")
        run.counts["num_predictions"] = len(points.rows)
        run.counts |= unasked
        run.notes["share_of_person_time"] = shares
        for at, name in enumerate(outcomes):
            run.counts[f"num_prevalent_{name}"] = int(points.prevalent[:, at].sum())
        for name in loaded.config.modalities:
            known = tables[name].observed_by(points.rows, points.start).sum() if name in tables else 0
            run.counts[f"num_without_{name}"] = len(points.rows) - int(known)
        column = pl.scan_parquet(work / RISKS).select(pl.col("unresolved").mean()).collect()
        unresolved = float(column.item() or 0)
        run.notes["mean_unresolved"] = unresolved
        clear_marks(work)
        shutil.rmtree(work / SHARDS)  # not before the marks that say they are there
    say(f"forecast: {run.counts['num_rows']:,} risks of {len(points.rows):,} predictions in {out}")
    if unresolved > 0:
        say(
            f"forecast: a share of {unresolved:.2%} is unresolved, mean over all risks (paths cut at "
            f"{config.max_events} events); raise --max-events"
        )


@dataclass(frozen=True)
class _Job:
    """What every worker process needs to know."""

    model: Path
    tokens: Path
    files: dict[str, Path]
    question: Question
    outcomes: tuple[str, ...]
    horizons_years: tuple[float, ...]
    config: ForecastConfig
    after_gap: bool


class _Opened(NamedTuple):
    """A model and its data."""

    model: Proband
    store: TokenStore
    tables: dict[str, ModalityTable]


def _opened(model: Path, tokens: Path, files: Mapping[str, Path]) -> _Opened:
    """The model and its data, loaded once per process and again when a file has changed."""
    read = [model / WEIGHTS, model / CONFIG, tokens / "tokens.npy", tokens / VOCABULARY, *files.values()]
    changed = tuple(file.stat().st_mtime_ns for file in read if file.is_file())
    named = tuple((name, file.absolute()) for name, file in files.items())
    return _open(model.absolute(), tokens.absolute(), named, changed)


@functools.lru_cache(maxsize=1)
def _open(
    model: Path, tokens: Path, files: tuple[tuple[str, Path], ...], changed: tuple[int, ...]
) -> _Opened:
    store = TokenStore(tokens)
    loaded = load_model(model, store.vocabulary.hash)
    return _Opened(loaded, store, tables_for(loaded.config, store, dict(files)))


def _write_risks(job: _Job, points: Points, work: Path, workers: int | None) -> int:
    """Write the RiskTable of all points, shard by shard; returns its rows."""
    order = (
        points.frame.with_row_index()
        .sort("subject_id", "prediction_time")["index"]
        .to_numpy()
        .astype(np.int64)
    )
    shards = [order[at : at + _SHARD_POINTS] for at in range(0, len(order), _SHARD_POINTS)]
    processes = min(workers or available_cores(), len(shards))
    folder = work / SHARDS
    folder.mkdir(exist_ok=True)
    files = [folder / f"{number:06d}.parquet" for number in range(len(shards))]
    function = functools.partial(_forecast_shard, job=job, memory_gib=job.config.memory / processes)
    pairs = [(file, points.take(index)) for file, index in zip(files, shards, strict=True)]
    map_resumably(function, pairs, work, "risks", description="Forecasting", workers=workers)
    return join_parquet(files, work / RISKS)


def _forecast_shard(shard: tuple[Path, Points], job: _Job, memory_gib: float) -> None:
    """Write the risks of some points to a file, sorted."""
    file, points = shard
    model, store, tables = _opened(job.model, job.tokens, job.files)
    context = model.config.context
    lengths = np.minimum(history_lengths(store, points.rows, points.start), context)
    order = np.argsort(-lengths, kind="stable")  # histories of like length are read together

    def read(index: np.ndarray) -> Histories:
        chosen = order[index]
        return read_histories(store, points.rows[chosen], points.start[chosen], context, tables)

    with _one_thread():
        found = {
            int(order[at]): estimate(sums, job.config.estimator, job.after_gap)
            for at, sums in roll_out(model, read, lengths[order], job.question, memory_gib)
        }
    risks = stacked([found[at] for at in range(len(order))])
    table = risk_table(points, risks, job.outcomes, job.horizons_years, job.config.name)
    RISK.write(table.sort("subject_id", "prediction_time", "outcome", "horizon_years"), file)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One core per process: sums are then the same however many processes there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _question(
    store: TokenStore, outcomes: dict[str, np.ndarray], task: Task, config: ForecastConfig
) -> Question:
    horizons = [years_to_minutes(years) for years in sorted(task.horizons_years)]
    gap = round(task.gap_days * MINUTES_PER_DAY)
    if gap >= horizons[0]:
        found = f"gap_days {task.gap_days:g}"
        raise ConfigError("the gap reaches the first horizon", found=found, expected="a shorter gap_days")
    return Question(
        outcomes=outcome_matrix(outcomes),
        horizons=torch.tensor([gap, *horizons] if gap else horizons),
        masked=config.estimator == "reach",
        death=store.vocabulary.death,
        num_paths=config.paths,
        max_events=config.max_events,
        seed=config.seed,
    )
