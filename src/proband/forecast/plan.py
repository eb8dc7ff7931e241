"""From a task to what every process needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.running.progress import say
from proband.core.units import DAYS_PER_YEAR, MINUTES_PER_DAY, years_to_minutes
from proband.ehr.outcomes import Task, load_task
from proband.forecast.choices import samples_paths
from proband.forecast.config import ForecastConfig, precision_of
from proband.forecast.engine.clocks import NO_TASK, Clocks
from proband.forecast.engine.request import Question, outcome_matrix
from proband.forecast.estimators.risks import Precision
from proband.forecast.job import Job, Opened, opened
from proband.forecast.patterns import token_patterns
from proband.forecast.risk import Points, never_asked, observed_shares, prediction_points
from proband.forecast.scenario.compare import Compared
from proband.forecast.scenario.file import load_scenarios
from proband.forecast.scenario.made import resolved_scenarios
from proband.forecast.scenario.plausibility import Sample
from proband.forecast.scenario.resolve import Resolver
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.outcomes import outcome_tokens
from proband.tokens.history.subjects import subject_rows
from proband.tokens.modalities.modality import GENOME, ModalityTable
from proband.tokens.modalities.tables import say_absent, say_shifted


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        job: What is asked of every point.
        points: Prediction points.
        task: The task.
        counts: Predictions without each modality that the model reads, subjects without a prediction.
        shares: Share of the train subjects' time to each horizon that was observed.
        read: Modalities that are given and that the model reads.
        overlap: Source cohorts of the scores read, as of :func:`proband.genome.cohorts.sample_overlap`.
    """

    job: Job
    points: Points
    task: Task
    counts: dict[str, int]
    shares: dict[str, float]
    read: tuple[str, ...]
    overlap: dict[str, Any] = field(default_factory=dict)


def make_plan(
    model: Path,
    tokens: Path,
    files: dict[str, Path],
    task: Path,
    config: ForecastConfig,
    subjects: Path | None = None,
    scenario: Path | None = None,
) -> Plan:
    """Find out what is asked, and of whom.

    Raises:
        ConfigError: Outcome codes unknown to the model, a bad task or scenario, or unfit settings.
        CheckpointError: Model and tokens do not fit.
        DataError: Nobody to predict for, or a subject asked for is not in the tokens.
    """
    question = load_task(task)
    given = opened(model, tokens, files, torch.device("cpu"))
    loaded, store, tables = given
    outcomes, onset = _outcomes(given, question, model, config)
    horizons, asked = _question(store, outcomes, question, config)
    say_absent("forecast", loaded.config.modalities, files)
    say_shifted("forecast", loaded.fusion.scales(), tables)
    rows = None if subjects is None else subject_rows(subjects, store)
    points = prediction_points(store, question, config.split, outcomes, rows)
    counts = never_asked(store, question, config.split) if rows is None else {}
    counts |= _num_without(loaded, tables, points)
    compared = None
    if scenario is not None:
        compared = _compared(scenario, given, question, outcomes, points, horizons, config.seed)
    job = Job(
        model,
        tokens,
        files,
        question=replace(asked, clocks=_clocks(loaded, asked, config)),
        outcomes=tuple(outcomes),
        patterns=tuple(token_patterns(question, outcomes).values()),
        after_gap=len(asked.horizons) > len(horizons),
        precision=Precision(*precision_of(config.precision)) if config.precision else None,
        horizons_years=horizons,
        task_horizons=frozenset(question.horizons_years),
        config=config,
        tasks=tuple(onset.values()),
        death_task=loaded.config.onset.index_of((store.vocabulary.death,)) if loaded.config.onset else None,
        gap_years=question.gap_days / DAYS_PER_YEAR,
        compared=compared,
    )
    return Plan(job, points, question, counts, observed_shares(store, question), tuple(sorted(tables)))


def _outcomes(
    given: Opened, task: Task, model: Path, config: ForecastConfig
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Tokens of each outcome that is forecast, and in closed form the number of the onset task that it is."""
    outcomes = outcome_tokens(given.store.vocabulary, task)
    if samples_paths(config.estimator):
        _refuse_labels(task, config)
        return outcomes, {}
    onset = onset_tasks(given.model, outcomes, task, model)
    _say_undying(given.model, given.store.vocabulary.death, config)
    return {name: outcomes[name] for name in onset}, onset


def _refuse_labels(task: Task, config: ForecastConfig) -> None:
    """Refuse outcomes given as labels, whose codes are not known, where paths are sampled.

    Raises:
        ConfigError: Names the first.
    """
    if task.labelled:
        raise ConfigError(
            "labels cannot be read off sampled paths, which hold codes",
            where=f"outcome {next(iter(task.labelled))}",
            found=f"--estimator {config.estimator}",
            remedy="add it with proband finetune, then leave --estimator out; or leave it out of the task",
        )


def _compared(
    file: Path,
    given: Opened,
    task: Task,
    outcomes: Mapping[str, np.ndarray],
    points: Points,
    horizons: tuple[float, ...],
    seed: int,
) -> Compared:
    """The scenarios of a file, resolved for the points, and what they are compared with."""
    resolver = Resolver(file, given.store, given.tables, points, GENOME in given.model.config.modalities)
    scenarios = resolved_scenarios(load_scenarios(file), resolver)
    sample = _sample(given.store, task, outcomes, points, seed)
    return Compared(scenarios, sample, tuple(outcomes), horizons, frozenset(task.horizons_years))


def _num_without(loaded: Proband, tables: Mapping[str, ModalityTable], points: Points) -> dict[str, int]:
    """Predictions without each modality that the model reads."""
    counts = {}
    for name in loaded.config.modalities:
        known = tables[name].observed_by(points.rows, points.start).sum() if name in tables else 0
        counts[f"num_without_{name}"] = len(points.rows) - int(known)
    return counts


def _sample(
    store: TokenStore, task: Task, outcomes: Mapping[str, np.ndarray], points: Points, seed: int
) -> Sample:
    """Train histories at the task's prediction times; where there are none, those of the points, said."""
    try:
        return Sample.of(prediction_points(store, task, "train", outcomes), seed)
    except DataError:
        say("forecast: no train subject has a prediction time here; plausibility is against those asked for")
        return Sample.of(points, seed)


def onset_tasks(
    loaded: Proband,
    outcomes: Mapping[str, Bool[np.ndarray, "_ vocabulary"]],
    task: Task,
    where: Path,
    stage: str = "forecast",
) -> dict[str, int]:
    """Number of the onset task that each outcome is; outcomes that may be absent and are none are left out.

    Args:
        loaded: The model.
        outcomes: Tokens of each step of each outcome.
        task: The task.
        where: The model's folder.
        stage: Name of the stage that asks; forecast alone has other estimators to offer.

    Raises:
        ConfigError: The model has no onset hazards, or an outcome is none of its tasks (names near matches).
    """
    sampled = ", or take a sampled estimator: --estimator scope" if stage == "forecast" else ""
    onset = loaded.config.onset
    if onset is None:
        remedy = f"train it with --task TASK{sampled}"
        raise ConfigError("the model has no onset hazards to read risks from", where=where, remedy=remedy)
    found: dict[str, int] = {}
    missing = []
    for name, steps in outcomes.items():
        if name in task.labelled:
            number = onset.index_of_label(name, task.horizons_years[0])
        else:
            number = onset.index_of(np.flatnonzero(steps[0]).tolist()) if len(steps) == 1 else None
        if number is not None:
            found[name] = number
        elif task.outcomes[name].may_be_absent:
            say(f"{stage}: {name} is no onset task of the model and is left out")
        else:
            missing.append(name)
    if missing or not found:
        names = [one.name for one in onset.tasks]
        near = near_matches(missing[0], names) if missing else ""
        train = f"train with --task and this task file, add it with proband finetune, leave it out{sampled}"
        raise ConfigError(
            "an outcome is no onset task of the model",
            where=f"outcome {', '.join(missing[:3] or outcomes)}",
            found="other codes, a pattern of several events, labels, or too few onsets in training",
            expected=f"one of {', '.join(names[:5])}, ...",
            remedy=f"{near} Or {train}" if near else train,
        )
    return found


def _clocks(loaded: Proband, question: Question, config: ForecastConfig) -> Clocks | None:
    """Clocks of the outcomes that are onset tasks, and of death; none in closed form."""
    onset = loaded.config.onset
    if onset is None or config.onsets != "hazards" or not samples_paths(config.estimator):
        return None
    numbers = [onset.index_of(row.nonzero().squeeze(-1).tolist()) for row in question.outcomes]
    tasks = [NO_TASK if number is None else number for number in numbers]
    death_task = None if config.net else onset.index_of((question.death,))
    return Clocks.of(question.outcomes, tasks, question.death, death_task)


def _say_undying(loaded: Proband, death: int, config: ForecastConfig) -> None:
    assert loaded.config.onset is not None
    if not config.net and loaded.config.onset.index_of((death,)) is None:
        say("forecast: the model saw too few deaths for a hazard of death; none competes with the outcomes")


def refuse_long_gap(task: Task) -> None:
    """Refuse a task whose blanking gap is not over before its first horizon.

    Raises:
        ConfigError: It is not.
    """
    if round(task.gap_days * MINUTES_PER_DAY) >= years_to_minutes(min(task.horizons_years)):
        found = f"gap_days {task.gap_days:g}"
        raise ConfigError("the gap reaches the first horizon", found=found, expected="a shorter gap_days")


def _question(
    store: TokenStore, outcomes: dict[str, np.ndarray], task: Task, config: ForecastConfig
) -> tuple[tuple[float, ...], Question]:
    """Horizons in years, and what is asked of the paths."""
    last = max(task.horizons_years)
    grid = [last * (at + 1) / config.curve_points for at in range(config.curve_points)]
    years = tuple(sorted({*task.horizons_years, *grid}))
    gap = round(task.gap_days * MINUTES_PER_DAY)
    refuse_long_gap(task)
    years = tuple(horizon for horizon in years if years_to_minutes(horizon) > gap)
    horizons = [years_to_minutes(horizon) for horizon in years]
    death = store.vocabulary.death
    mortal = [name for name, members in outcomes.items() if members[:, death].any()]
    if config.net and mortal:
        remedy = "leave it out of the task, or leave --net out"
        raise ConfigError("no death in a world without death", where=f"outcome {mortal[0]}", remedy=remedy)
    return years, Question(
        outcomes=outcome_matrix(outcomes),
        horizons=torch.tensor([gap, *horizons] if gap else horizons),
        estimator=config.estimator,
        death=death,
        num_paths=config.paths,
        max_events=config.max_events,
        seed=config.seed,
        net=config.net,
        max_paths=max(config.paths, config.max_paths),
        record=config.trajectories or any(len(steps) > 1 for steps in outcomes.values()),
    )
