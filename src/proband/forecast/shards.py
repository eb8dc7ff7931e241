"""One shard of a forecast: the risks of some prediction points, in any process."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.core.schema import RISK
from proband.forecast.choices import samples_paths
from proband.forecast.config import ForecastConfig
from proband.forecast.engine.histories import Histories, read_histories
from proband.forecast.engine.request import Finished, Question, Trajectory
from proband.forecast.engine.rollout import roll_out
from proband.forecast.estimators.closed_form import cumulative_incidence
from proband.forecast.estimators.path_values import PathValues
from proband.forecast.estimators.risks import (
    Precision,
    Risks,
    contributions,
    estimate,
    side_by_side,
    stacked,
)
from proband.forecast.patterns import TokenPattern, pattern_values
from proband.forecast.risk import Points, risk_table
from proband.forecast.scenario.compare import Answer, Compared, write_comparisons
from proband.forecast.trajectories import Futures, write_part
from proband.model.checkpoint import load_model
from proband.model.folder import CONFIG, VOCABULARY, WEIGHTS
from proband.model.onset.queries import Queries
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.modality import ModalityTable
from proband.tokens.queries import known_at, query_batches
from proband.tokens.tables import tables_for

_LEAST_FREE = 1e-9


@dataclass(frozen=True)
class Job:
    """What every process needs to know.

    Attributes:
        model: Model folder.
        tokens: Tokens folder.
        files: Files of modalities by name.
        question: What is asked.
        outcomes: Names of the outcomes: those of the question, then those of the patterns.
        patterns: Outcomes that take several events.
        after_gap: The question's first horizon is a blanking gap.
        precision: How well each risk must be known.
        horizons_years: Horizons that are reported, ascending: the question's without a blanking gap.
        task_horizons: Those of them that the task names; the others are for curves.
        config: Settings.
        tasks: For closed form, the number of each outcome's onset task.
        death_task: And that of death.
        gap_years: The blanking gap.
        compared: Scenarios, if there are any.
    """

    model: Path
    tokens: Path
    files: dict[str, Path]
    question: Question
    outcomes: tuple[str, ...]
    patterns: tuple[TokenPattern, ...]
    after_gap: bool
    precision: Precision | None
    horizons_years: tuple[float, ...]
    task_horizons: frozenset[float]
    config: ForecastConfig
    tasks: tuple[int, ...] = ()
    death_task: int | None = None
    gap_years: float = 0.0
    compared: Compared | None = None


class Opened(NamedTuple):
    """A model and its data."""

    model: Proband
    store: TokenStore
    tables: dict[str, ModalityTable]


class ShardFiles(NamedTuple):
    """Where a shard's results go.

    Attributes:
        risk: Rows of the RiskTable.
        curves: Rows at all horizons.
        trajectories: Folder of simulated futures.
        scenarios: Risks of scenarios.
        plausibility: How plausible their histories are.
        first_point: Number of the shard's first point among all.
    """

    risk: Path
    curves: Path
    trajectories: Path
    scenarios: Path
    plausibility: Path
    first_point: int


def input_files(model: Path, tokens: Path, files: Mapping[str, Path]) -> list[Path]:
    """Every file that a forecast reads, the task apart."""
    read = [model / WEIGHTS, model / CONFIG, tokens / "tokens.npy", tokens / VOCABULARY, *files.values()]
    return [file for file in read if file.is_file()]


def opened(model: Path, tokens: Path, files: Mapping[str, Path], device: torch.device) -> Opened:
    """The model and its data, loaded once per process and again when a file has changed."""
    changed = tuple(file.stat().st_mtime_ns for file in input_files(model, tokens, files))
    named = tuple((name, file.absolute()) for name, file in files.items())
    return _open(model.absolute(), tokens.absolute(), named, device, changed)


@functools.lru_cache(maxsize=1)
def _open(
    model: Path,
    tokens: Path,
    files: tuple[tuple[str, Path], ...],
    device: torch.device,
    changed: tuple[int, ...],
) -> Opened:
    store = TokenStore(tokens)
    loaded = load_model(model, store.vocabulary.hash).to(device)
    return Opened(loaded, store, tables_for(loaded.config.modalities, store, dict(files)))


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
            drawn = _draw(given, points, job, memory_gib)
            risks, num_paths = drawn.risks, drawn.num_paths
            baseline = drawn.answer()
        else:
            risks, num_paths = closed_form_risks(given, points, job), np.zeros(len(points.rows), np.int64)
            baseline = Answer(risks.risk.double().numpy())
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
            return _draw(other, changed, job, memory_gib).answer()
        return Answer(closed_form_risks(other, changed, job).risk.double().numpy())

    sets = job.question.outcomes.numpy()
    targets = files.scenarios, files.plausibility
    with one_thread():
        write_comparisons(
            job.compared, targets, given.store, given.tables, points, sets, job.patterns, baseline, answers
        )


@dataclass(frozen=True)
class _Drawn:
    """What sampled paths of points gave, in the order of the points.

    Attributes:
        risks: Risks.
        num_paths: Paths drawn.
        paths: The paths themselves, if they are kept.
        values: What each path contributes, of each point; empty unless scenarios are compared.
    """

    risks: Risks
    num_paths: Int[np.ndarray, " points"]
    paths: list[list[Trajectory]]
    values: list[Float[np.ndarray, "_ outcomes horizons"]]

    def answer(self) -> Answer:
        return Answer(self.risks.risk.double().numpy(), self.values or None)


def _draw(given: Opened, points: Points, job: Job, memory_gib: float) -> _Drawn:
    """Sample futures of points."""
    model, store, tables = given
    context = model.config.context
    lengths = np.minimum(store.history_lengths(points.rows, points.start), context)
    order = np.argsort(-lengths, kind="stable")  # histories of like length are read together

    def read(index: np.ndarray) -> Histories:
        chosen = order[index]
        return read_histories(store, points.rows[chosen], points.start[chosen], context, tables)

    answers = _Answers(job, store, points, order)
    is_enough = answers.are_known if job.precision else None
    risks: dict[int, Risks] = {}
    paths: dict[int, list[Trajectory]] = {}
    values: dict[int, np.ndarray] = {}
    num_paths = np.zeros(len(order), dtype=np.int64)
    asked = ~points.prevalent[order, : len(job.question.outcomes)]
    for finished in roll_out(model, read, lengths[order], job.question, memory_gib, asked, is_enough):
        at = int(order[finished.point])
        num_paths[at] = finished.values.value.shape[0]
        paths[at] = finished.trajectories if job.config.trajectories else []
        risks[at] = answers.risks(finished)
        if job.compared is not None:
            values[at] = answers.values(finished)
    every = range(len(order))
    kept = [values[at] for at in every if at in values]
    return _Drawn(stacked([risks[at] for at in every]), num_paths, [paths[at] for at in every], kept)


@torch.no_grad()
def closed_form_risks(given: Opened, points: Points, job: Job) -> Risks:
    """Risks of points from onset hazards."""
    model, store, tables = given
    head = model.onset
    assert head is not None
    linear = {name: tables[name] for name in head.modalities if name in tables}
    # As in the fit, modalities come in by their linear terms alone.
    batches = query_batches(store, {}, points.rows, points.start, model.config.context)
    state = model.states(batches, len(points.rows))
    queries = Queries(state=state, tables=linear, **known_at(store, points.rows, points.start))
    device = head.bias.device
    query = queries.batch(np.arange(len(queries))).map(lambda item: item.to(device))
    log_ratio = head(query) if job.config.raw else head.calibrated(query)
    death = None if job.config.net else job.death_task
    horizons = (job.gap_years, *job.horizons_years) if job.after_gap else job.horizons_years
    risk = cumulative_incidence(head, log_ratio, query.age, query.female, job.tasks, death, horizons).cpu()
    if job.after_gap:
        early = risk[..., :1]
        risk = ((risk[..., 1:] - early) / (1 - early).clamp(min=_LEAST_FREE)).clamp(0, 1)
    exact = torch.zeros_like(risk)
    return Risks(risk, exact, exact, risk, risk)


def _futures(files: ShardFiles, points: Points, paths: list[list[Trajectory]], job: Job) -> Futures:
    """The shard's simulated futures; each point reserves as many subject_ids as it may have paths."""
    most_paths = job.question.max_paths if job.precision else job.question.num_paths
    first_ids = 1 + most_paths * (files.first_point + np.arange(len(paths), dtype=np.int64))
    return Futures(points, paths, first_ids, int(job.question.horizons[-1]))


@dataclass(frozen=True)
class _Answers:
    """What the paths of a point answer.

    Attributes:
        job: What is asked.
        store: The records.
        points: Prediction points.
        order: Their places in the queue.
    """

    job: Job
    store: TokenStore
    points: Points
    order: Int[np.ndarray, " points"]

    def risks(self, finished: Finished) -> Risks:
        """Risks of sets of codes by the estimator, then those of patterns, which need whole paths, by mc."""
        question, parts = self.job.question, []
        if len(question.outcomes):
            parts.append(estimate(finished.values, question.estimator, self.job.after_gap))
        if self.job.patterns:
            parts.append(estimate(self._patterns(finished), "mc", self.job.after_gap))
        found = side_by_side(parts)
        return Risks(*(getattr(found, name) * self.possible[:, None] for name in Risks.__dataclass_fields__))

    def values(self, finished: Finished) -> Float[np.ndarray, "paths outcomes horizons"]:
        """What each path contributes to the risks."""
        parts = [finished.values] if len(self.job.question.outcomes) else []
        parts += [self._patterns(finished)] if self.job.patterns else []
        found = torch.cat([contributions(part, self.job.after_gap) for part in parts], dim=-2)
        return (found * self.possible[:, None]).double().numpy()

    @functools.cached_property
    def possible(self) -> Bool[Tensor, " outcomes"]:
        """Outcomes that the model knows codes of, for each step of a pattern; the others cannot happen."""
        steps = [pattern.members.any(axis=1) for pattern in self.job.patterns]
        patterns = torch.tensor([bool(known.all()) for known in steps], dtype=torch.bool)
        return torch.cat([self.job.question.outcomes.any(dim=1), patterns])

    def _patterns(self, finished: Finished) -> PathValues:
        at = self.order[finished.point]
        start = int(self.points.start[at])
        record, horizons = self.store.history(int(self.points.rows[at]), start), self.job.question.horizons
        return pattern_values(self.job.patterns, record, start, horizons, finished.trajectories)

    def are_known(self, finished: Finished) -> bool:
        """Whether so many paths are enough for the precision asked for, at the task's horizons."""
        assert self.job.precision
        found = self.risks(finished)
        wanted = torch.from_numpy(~self.points.prevalent[self.order[finished.point]])
        named = torch.tensor([years in self.job.task_horizons for years in self.job.horizons_years])
        return bool(self.job.precision.reached(found.risk, found.standard_error)[wanted][:, named].all())


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


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One core per process: sums are then the same however many processes there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
