"""The forecast stage: risks of a task's outcomes for a split's subjects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import torch

from proband.core.errors import ConfigError
from proband.core.progress import say, track
from proband.core.provenance import hash_file, is_finished, stage_output
from proband.core.schema import RISK
from proband.core.units import MINUTES_PER_DAY, years_to_minutes
from proband.ehr.outcomes import Task, load_task, save_task
from proband.forecast.config import ForecastConfig
from proband.forecast.estimators import Risks, estimate
from proband.forecast.histories import history_lengths, read_histories
from proband.forecast.risk import Points, outcome_matrix, outcome_tokens, prediction_points, risk_table
from proband.forecast.rollout import Question, roll_out
from proband.model.checkpoint import load_model
from proband.model.transformer import Proband
from proband.tokens.dataset import ModalityTable, TokenStore
from proband.train.likelihood import tables_for


def forecast(
    model: Path,
    tokens: Path,
    out: Path,
    *,
    task: Path,
    genome: Path | None = None,
    config: ForecastConfig | None = None,
    overwrite: bool = False,
) -> None:
    """Estimate risks by sampled futures.

    Args:
        model: A model folder.
        tokens: A tokens folder with the model's vocabulary.
        out: Output folder.
        task: Task file: outcomes, prediction times, horizons.
        genome: Genome folder for a model that reads it; without it all count as ungenotyped.
        config: Settings.
        overwrite: Replace a finished output.

    Raises:
        ConfigError: Outcome codes unknown to the model, or a bad task file.
        CheckpointError: Model and tokens do not fit.
        DataError: Nobody to predict for.
    """
    question = load_task(task)
    config = (config or ForecastConfig()).model_copy(update={"task": hash_file(task)})
    inputs = [model, tokens, task, *([genome] if genome else [])]
    if is_finished(out, "forecast", config, overwrite, inputs):
        return
    store = TokenStore(tokens)
    loaded = load_model(model, store.vocabulary.hash)
    tables = tables_for(loaded, store, genome)
    if loaded.config.modalities and not tables:
        say("forecast: the model reads a genome and none is given; all subjects count as ungenotyped")
    outcomes = outcome_tokens(store.vocabulary, question)
    points = prediction_points(store, question, config.split, outcomes)
    with stage_output(out, stage="forecast", config=config, inputs=inputs, seed=config.seed) as run:
        table = _risks(loaded, store, tables, points, outcomes, question, config)
        RISK.write(table, run.folder / "risk.parquet")
        save_task(question, run.folder / "task.yaml")
        run.counts["num_predictions"] = len(points.rows)
        run.counts["num_rows"] = table.height
        for at, name in enumerate(outcomes):
            run.counts[f"num_prevalent_{name}"] = int(points.prevalent[:, at].sum())
        for name in loaded.config.modalities:
            observed = (
                tables[name].observed[points.rows] if name in tables else np.zeros(len(points.rows), bool)
            )
            run.counts[f"num_without_{name}"] = int((~observed).sum())
        unresolved = float(table["unresolved"].mean() or 0)  # type: ignore[arg-type]
        run.notes["mean_unresolved"] = unresolved
    say(f"forecast: {table.height:,} risks of {len(points.rows):,} predictions in {out}")
    if unresolved > 0:
        say(f"forecast: {unresolved:.2%} of paths were cut at {config.max_events} events; raise --max-events")


def _risks(
    model: Proband,
    store: TokenStore,
    tables: dict[str, ModalityTable],
    points: Points,
    outcomes: dict[str, np.ndarray],
    task: Task,
    config: ForecastConfig,
) -> pl.DataFrame:
    """RiskTable rows of all points, in chunks of similar history length."""
    order = np.argsort(history_lengths(store, points.rows, points.start), kind="stable")
    size = max(1, config.path_budget // config.paths)
    chunks = [order[at : at + size] for at in range(0, len(order), size)]
    questions = _questions(store, outcomes, task, config)
    parts = []
    for index in track(chunks, "Forecasting"):
        histories = read_histories(
            store, points.rows[index], points.start[index], model.config.context, tables
        )
        found = [
            estimate(roll_out(model, histories, question), config.estimator, task.gap_days > 0)
            for question in questions
        ]
        parts.append(risk_table(points, index, _joined(found), list(outcomes), task, config.name))
    return pl.concat(parts).sort("subject_id", "prediction_time", "outcome", "horizon_years")


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
