"""Prediction points of a trained model, and what sampling their futures costs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.core.units import years_to_minutes
from proband.ehr.outcomes import Task
from proband.forecast.config import Estimator
from proband.forecast.engine.histories import Histories, read_histories
from proband.forecast.engine.request import Question, Trajectory, outcome_matrix
from proband.forecast.engine.rollout import roll_out
from proband.forecast.risk import prediction_points
from proband.model.checkpoint import load_model
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.outcomes import outcome_tokens


@dataclass(frozen=True)
class Cohort:
    """People under follow-up at a prediction time, and what happened to them.

    Attributes:
        model: In evaluation mode, on one thread.
        store: Their tokens.
        names: Names of outcomes.
        outcomes: Tokens of each.
        years: Horizon.
        rows: Rows of the store.
        start: Prediction times in minutes since birth.
        prevalent: Who has had the outcome by then.
        case: Who gets it within the horizon.
        known: Who gets it, dies, or is followed to the horizon.
    """

    model: Proband
    store: TokenStore
    names: tuple[str, ...]
    outcomes: Bool[Tensor, "outcomes vocabulary"]
    years: float
    rows: Int[np.ndarray, " points"]
    start: Int[np.ndarray, " points"]
    prevalent: Bool[np.ndarray, "points outcomes"]
    case: Bool[np.ndarray, "points outcomes"]
    known: Bool[np.ndarray, "points outcomes"]

    @classmethod
    def read(cls, model: Path, tokens: Path, task: Task, years: float, splits: tuple[str, ...]) -> Cohort:
        """The points of ``task`` in some splits, for one horizon."""
        store = TokenStore(tokens)
        sets = outcome_tokens(store.vocabulary, task)
        parts = [prediction_points(store, task, split, sets) for split in splits]
        rows = np.concatenate([part.rows for part in parts])
        start = np.concatenate([part.start for part in parts])
        matrix = outcome_matrix(sets)
        case = np.zeros((len(rows), len(sets)), dtype=bool)
        known = np.zeros_like(case)
        for at, (row, begin) in enumerate(zip(rows.tolist(), start.tolist(), strict=True)):
            end = begin + years_to_minutes(years)
            records, minutes = store.record(row)
            after = records[(minutes > begin) & (minutes <= end)]
            case[at] = matrix.numpy()[:, after].any(axis=1)
            known[at] = case[at] | (store.exit[row] >= end) | (store.vocabulary.death in after)
        return cls(
            model=load_model(model, store.vocabulary.hash).eval(),
            store=store,
            names=tuple(sets),
            outcomes=matrix,
            years=years,
            rows=rows,
            start=start,
            prevalent=np.concatenate([part.prevalent for part in parts]),
            case=case,
            known=known,
        )

    def __len__(self) -> int:
        return len(self.rows)

    def incidence(self) -> Float[np.ndarray, " outcomes"]:
        """Share of those at risk, of known status, who get each outcome."""
        at_risk = self.known & ~self.prevalent
        return (self.case & at_risk).sum(axis=0) / np.maximum(1, at_risk.sum(axis=0))

    def sample(self, number: int, seed: int) -> Cohort:
        """Some of the points, at random."""
        return self.take(np.random.default_rng(seed).permutation(len(self))[:number])

    def take(self, chosen: Int[np.ndarray, " chosen"]) -> Cohort:
        """The points at some places."""
        return self._with(("rows", "start", "prevalent", "case", "known"), lambda value: value[chosen])

    def about(self, outcomes: list[int]) -> Cohort:
        """The same points, asked about some outcomes."""
        narrowed = self._with(("prevalent", "case", "known"), lambda value: value[:, outcomes])
        names = tuple(self.names[at] for at in outcomes)
        return Cohort(**(vars(narrowed) | {"names": names, "outcomes": self.outcomes[outcomes]}))

    def _with(self, fields: tuple[str, ...], change: Any) -> Cohort:
        return Cohort(**(vars(self) | {name: change(getattr(self, name)) for name in fields}))


@dataclass
class Run:
    """What came of sampling.

    Attributes:
        values: What each path says of the risks, path by path; NaN where the outcome was prevalent.
        trajectories: Per point, if they were asked for.
        seconds: CPU time of the process.
        prompt_positions: Positions computed to read histories, padding counted.
        path_positions: Positions computed to step paths, idle rows counted.
    """

    values: Float[np.ndarray, "points paths outcomes"]
    trajectories: list[list[Trajectory]] = field(default_factory=list)
    seconds: float = 0.0
    prompt_positions: int = 0
    path_positions: int = 0

    @property
    def risk(self) -> Float[np.ndarray, "points outcomes"]:
        """Means over paths."""
        return self.values.mean(axis=1)

    @property
    def variance(self) -> Float[np.ndarray, "points outcomes"]:
        """Of a single path."""
        return self.values.var(axis=1, ddof=1)


def sample_futures(
    cohort: Cohort,
    estimator: Estimator,
    num_paths: int,
    *,
    seed: int = 0,
    record: bool = False,
    max_events: int = 2048,
) -> Run:
    """Sample the futures of all points of a cohort, and count what it costs."""
    model, context = cohort.model, cohort.model.config.context
    lengths = np.minimum(cohort.store.history_lengths(cohort.rows, cohort.start), context)
    order = np.argsort(-lengths, kind="stable")

    def read(index: np.ndarray) -> Histories:
        chosen = order[index]
        return read_histories(cohort.store, cohort.rows[chosen], cohort.start[chosen], context)

    question = Question(
        outcomes=cohort.outcomes,
        horizons=torch.tensor([years_to_minutes(cohort.years)]),
        estimator=estimator,
        death=cohort.store.vocabulary.death,
        num_paths=num_paths,
        max_events=max_events,
        seed=seed,
        record=record,
    )
    run = Run(np.full((len(cohort), num_paths, len(cohort.outcomes)), np.nan))
    trajectories: dict[int, list[Trajectory]] = {}
    with _counted(model, run):
        began = time.process_time()
        for one in roll_out(model, read, lengths[order], question, asked=~cohort.prevalent[order]):
            found = (one.values.value + one.values.margin / 2)[:, :, 0].numpy()
            point = int(order[one.point])
            run.values[point] = np.where(cohort.prevalent[point], np.nan, found)
            trajectories[point] = one.trajectories
        run.seconds = time.process_time() - began
    run.trajectories = [trajectories[point] for point in range(len(cohort))]
    return run


@contextlib.contextmanager
def _counted(model: Proband, run: Run) -> Iterator[None]:
    """Count the positions that the model computes."""
    hidden, step = model.hidden, model.step

    def counted_hidden(tokens: Tensor, *rest: Any) -> Any:
        run.prompt_positions += tokens.shape[0] * (tokens.shape[1] + model.config.num_latents)
        return hidden(tokens, *rest)

    def counted_step(tokens: Tensor, *rest: Any) -> Any:
        run.path_positions += len(tokens)
        return step(tokens, *rest)

    model.hidden, model.step = counted_hidden, counted_step  # type: ignore[method-assign]
    try:
        yield
    finally:
        del model.hidden, model.step
