"""Risks of prediction points: from onset hazards, or from sampled futures."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.forecast.engine.histories import Histories, read_histories
from proband.forecast.engine.request import Finished, Trajectory
from proband.forecast.engine.rollout import roll_out
from proband.forecast.estimators.closed_form import cumulative_hazards, cumulative_incidence
from proband.forecast.estimators.path_values import PathValues
from proband.forecast.estimators.risks import (
    Risks,
    contributions,
    estimate,
    side_by_side,
    stacked,
)
from proband.forecast.job import Job, Opened
from proband.forecast.patterns import pattern_values
from proband.forecast.risk import Points
from proband.forecast.scenario.compare import Answer
from proband.model.onset.inputs import Query
from proband.model.onset.queries import Queries
from proband.tokens.dataset import TokenStore
from proband.tokens.history.queries import known_at, query_batches

_LEAST_FREE = 1e-9


@dataclass(frozen=True)
class Drawn:
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
        """Risks and values as scenarios compare them."""
        return Answer(self.risks.risk.double().numpy(), self.values or None)


def draw(given: Opened, points: Points, job: Job, memory_gib: float) -> Drawn:
    """Sample futures of points."""
    model, store, tables = given
    context = model.config.context
    lengths = np.minimum(store.history_lengths(points.rows, points.start), context)
    order = np.argsort(-lengths, kind="stable")  # histories of like length are read together

    def read(index: np.ndarray) -> Histories:
        chosen = order[index]
        return read_histories(store, points.rows[chosen], points.start[chosen], context, tables)

    exact, hazards = _of_clocks(given, points, job)
    answers = _Answers(job, store, points, order, exact)
    is_enough = answers.are_known if job.precision else None
    risks: dict[int, Risks] = {}
    paths: dict[int, list[Trajectory]] = {}
    values: dict[int, np.ndarray] = {}
    num_paths = np.zeros(len(order), dtype=np.int64)
    asked = ~points.prevalent[order, : len(job.question.outcomes)]
    hazards = None if hazards is None else hazards[order]
    for finished in roll_out(
        model, read, lengths[order], job.question, memory_gib, asked, is_enough, hazards
    ):
        at = int(order[finished.point])
        num_paths[at] = finished.values.value.shape[0]
        paths[at] = finished.trajectories if job.config.trajectories else []
        risks[at] = answers.risks(finished)
        if job.compared is not None:
            values[at] = answers.values(finished)
    every = range(len(order))
    kept = [values[at] for at in every if at in values]
    return Drawn(stacked([risks[at] for at in every]), num_paths, [paths[at] for at in every], kept)


@torch.no_grad()
def closed_form_risks(
    given: Opened, points: Points, job: Job
) -> tuple[Float[Tensor, "points chosen horizons"], Float[Tensor, "folds points chosen horizons"]]:
    """Risks of points from onset hazards, and those of a fit without each fold of the train people."""
    query, raw = _log_ratios(given, points, job)
    return _risks_by_horizon(given, query, raw, job.tasks, job), _by_fold(given, query, raw, job)


def _risks_by_horizon(
    given: Opened, query: Query, raw: Float[Tensor, "points some bins"], tasks: Sequence[int], job: Job
) -> Float[Tensor, "points chosen horizons"]:
    return _after_gap(_incidence(given, query, _calibrated(given, query, raw, job), tasks, job), job)


def _after_gap(
    risk: Float[Tensor, "points chosen times"], job: Job
) -> Float[Tensor, "points chosen horizons"]:
    """Risks of those who are free of the outcome when the blanking gap is over, if the task has one."""
    if not job.after_gap:
        return risk
    early = risk[..., :1]
    return ((risk[..., 1:] - early) / (1 - early).clamp(min=_LEAST_FREE)).clamp(0, 1)


def _by_fold(
    given: Opened, query: Query, raw: Float[Tensor, "points tasks bins"], job: Job
) -> Float[Tensor, "folds points chosen horizons"]:
    """Risks by coefficients fitted without each fold of the train people
    (:meth:`~proband.model.onset.head.OnsetHead.changes_by_fold`); NaN of outcomes that are no named tasks."""
    head = given.model.onset
    assert head is not None
    number = head.config.num_named
    is_named = torch.tensor([task < number for task in job.tasks], dtype=torch.bool)
    named = [task for task in job.tasks if task < number]
    found = [
        _risks_by_horizon(given, query, raw[:, :number] + change, named, job)
        for change in head.changes_by_fold(query)
    ]
    risks = torch.stack(found)
    every = risks.new_full((*risks.shape[:2], len(is_named), risks.shape[-1]), torch.nan)
    every[:, :, is_named] = risks
    return every


@torch.no_grad()
def _of_clocks(
    given: Opened, points: Points, job: Job
) -> tuple[Float[Tensor, "points outcomes horizons"] | None, Float[Tensor, "points clocks months"] | None]:
    """What onset hazards say of a question with clocks; None of one without.

    Returns:
        Risks by each horizon of the question that are known without paths, NaN of the other outcomes; and the
        cumulative hazard of each clock's outcome.
    """
    head, question, clocks = given.model.onset, job.question, job.question.clocks
    if head is None or clocks is None:
        return None, None
    query, raw = _log_ratios(given, points, job)
    log_ratio = _calibrated(given, query, raw, job)
    years = job.horizons_years[-1]
    hazards = cumulative_hazards(head, log_ratio, query.age, query.female, clocks.tasks, years)
    exact = torch.full((len(points.rows), len(question.outcomes), len(question.horizons)), torch.nan).double()
    if question.is_exact.any():
        task_of = dict(zip(clocks.outcome.tolist(), clocks.tasks, strict=True))
        tasks = [task_of[outcome] for outcome in question.is_exact.nonzero().squeeze(-1).tolist()]
        exact[:, question.is_exact] = _incidence(given, query, log_ratio, tasks, job)
    return exact, hazards.cpu()


def _incidence(
    given: Opened,
    query: Query,
    log_ratio: Float[Tensor, "points tasks bins"],
    tasks: Sequence[int],
    job: Job,
) -> Float[Tensor, "points chosen horizons"]:
    """Cumulative incidence of tasks by each horizon of the question, a blanking gap first."""
    head = given.model.onset
    assert head is not None
    death = None if job.config.net else job.death_task
    horizons = (job.gap_years, *job.horizons_years) if job.after_gap else job.horizons_years
    return cumulative_incidence(head, log_ratio, query.age, query.female, tasks, death, horizons).cpu()


def _log_ratios(given: Opened, points: Points, job: Job) -> tuple[Query, Float[Tensor, "points tasks bins"]]:
    """What is known of points, and the log ratios of their onset hazards, not calibrated."""
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
    return query, head(query)


def _calibrated(
    given: Opened, query: Query, raw: Float[Tensor, "points some bins"], job: Job
) -> Float[Tensor, "points some bins"]:
    head = given.model.onset
    assert head is not None
    return raw if job.config.raw else head.calibrate(query, raw)


@dataclass(frozen=True)
class _Answers:
    """What the paths of a point answer.

    Attributes:
        job: What is asked.
        store: The records.
        points: Prediction points.
        order: Their places in the queue.
        exact: Risks that are known without paths; NaN of the others. Default none.
    """

    job: Job
    store: TokenStore
    points: Points
    order: Int[np.ndarray, " points"]
    exact: Float[Tensor, "points outcomes horizons"] | None = None

    def risks(self, finished: Finished) -> Risks:
        """Risks of sets of codes by the estimator, then those of patterns, which need whole paths, by mc."""
        question, parts = self.job.question, []
        if len(question.outcomes):
            parts.append(estimate(self._sets(finished), question.estimator, self.job.after_gap))
        if self.job.patterns:
            parts.append(estimate(self._patterns(finished), "mc", self.job.after_gap))
        found = side_by_side(parts)
        return Risks(*(getattr(found, name) * self.possible[:, None] for name in Risks.__dataclass_fields__))

    def values(self, finished: Finished) -> Float[np.ndarray, "paths outcomes horizons"]:
        """What each path contributes to the risks."""
        parts = [self._sets(finished)] if len(self.job.question.outcomes) else []
        parts += [self._patterns(finished)] if self.job.patterns else []
        found = torch.cat([contributions(part, self.job.after_gap) for part in parts], dim=-2)
        return (found * self.possible[:, None]).double().numpy()

    @functools.cached_property
    def possible(self) -> Bool[Tensor, " outcomes"]:
        """Outcomes that the model knows codes of, for each step of a pattern; the others cannot happen."""
        steps = [pattern.members.any(axis=1) for pattern in self.job.patterns]
        patterns = torch.tensor([bool(known.all()) for known in steps], dtype=torch.bool)
        return torch.cat([self.job.question.outcomes.any(dim=1), patterns])

    def _sets(self, finished: Finished) -> PathValues:
        """Contributions to sets of codes; on every path the risk itself where it is known without."""
        if self.exact is None:
            return finished.values
        exact = self.exact[self.order[finished.point]].expand_as(finished.values.value)
        return PathValues(torch.where(exact.isnan(), finished.values.value, exact), finished.values.margin)

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
