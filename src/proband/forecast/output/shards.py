"""One shard of a forecast: the risks of some prediction points, in any process."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Int

from proband.core.schema import RISK
from proband.forecast.answers import closed_form_risks, draw
from proband.forecast.choices import samples_paths
from proband.forecast.engine.request import Trajectory
from proband.forecast.estimators.risks import (
    Risks,
    in_closed_form,
)
from proband.forecast.job import Job, Opened, one_thread, opened
from proband.forecast.output.trajectories import Futures, write_part
from proband.forecast.risk import Points, had, risk_table
from proband.forecast.scenario.compare import Answer, write_comparisons
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable


class ShardFiles(NamedTuple):
    """Where a shard's results go.

    Attributes:
        risk: Rows of the RiskTable.
        curves: Rows at all horizons.
        trajectories: Folder of simulated futures.
        scenarios: Risks of scenarios.
        plausibility: How plausible their histories are.
        scenario_folds: Differences of scenarios without each fold of the train people.
        scenario_curves: Risks of scenarios at all horizons.
        first_point: Number of the shard's first point among all.
    """

    risk: Path
    curves: Path
    trajectories: Path
    scenarios: Path
    plausibility: Path
    scenario_folds: Path
    scenario_curves: Path
    first_point: int


def forecast_shard(
    shard: tuple[ShardFiles, Points], job: Job, memory_gib: float, device: torch.device
) -> None:
    """Write the risks of some points, sorted.

    Args:
        shard: Where to write, and the points.
        job: What is asked.
        memory_gib: What caches may take in this process.
        device: Where to compute.
    """
    files, points = shard
    given = opened(job.model, job.tokens, job.files, device)
    sampled = samples_paths(job.config.estimator)
    with one_thread():
        if sampled:
            drawn = draw(given, points, job, memory_gib)
            risks, num_paths = drawn.risks, drawn.num_paths
            baseline = drawn.answer()
        else:
            risk, by_fold = closed_form_risks(given, points, job)
            risks, baseline = in_closed_form(risk, by_fold), Answer.of_fit(risk, by_fold)
            num_paths = np.zeros(len(points.rows), np.int64)
    _write_risks(files, points, risks, num_paths, job)
    if job.config.trajectories:
        write_part(
            given.store,
            _futures(files, points, drawn.paths, job),
            files.trajectories,
            job.config.with_history,
        )
    if job.compared is not None:
        _write_scenarios(files, points, job, given, baseline, memory_gib)


def _write_scenarios(
    files: ShardFiles, points: Points, job: Job, given: Opened, baseline: Answer, memory_gib: float
) -> None:
    """Write the risks of scenarios, in the same way as those of the points as they are."""
    assert job.compared is not None

    def answers(store: TokenStore, tables: Mapping[str, ModalityTable], changed: Points) -> Answer:
        other = Opened(given.model, store, dict(tables))
        if samples_paths(job.config.estimator):
            return draw(other, changed, job, memory_gib).answer()
        return Answer.of_fit(*closed_form_risks(other, changed, job))

    prevalence = functools.partial(had, sets=job.question.outcomes.numpy(), patterns=job.patterns)
    curves = files.scenario_curves if job.config.curve_points else None
    targets = files.scenarios, files.plausibility, files.scenario_folds, curves
    with one_thread():
        write_comparisons(
            job.compared, targets, given.store, given.tables, points, prevalence, baseline, answers
        )


def _futures(files: ShardFiles, points: Points, paths: list[list[Trajectory]], job: Job) -> Futures:
    """The shard's simulated futures; each point reserves as many subject_ids as it may have paths."""
    most_paths = job.question.max_paths if job.precision else job.question.num_paths
    first_ids = 1 + most_paths * (files.first_point + np.arange(len(paths), dtype=np.int64))
    return Futures(points, paths, first_ids, int(job.question.horizons[-1]))


def _write_risks(
    files: ShardFiles, points: Points, risks: Risks, num_paths: Int[np.ndarray, " points"], job: Job
) -> None:
    question = job.question
    name = f"{job.config.name} (net)" if question.net else job.config.name
    table = risk_table(points, risks, num_paths, job.outcomes, job.horizons_years, name)
    table = table.sort("subject_id", "prediction_time", "outcome", "horizon_years")
    RISK.write(table.filter(pl.col("horizon_years").is_in(job.task_horizons)), files.risk)
    if job.config.curve_points:
        RISK.write(table, files.curves)
