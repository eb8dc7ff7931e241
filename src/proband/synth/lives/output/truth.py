"""The true risks: each subject's future lived many times over with the same life-course code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Float, Float32, Int64

from proband.synth.lives.law import NUM_DISEASES, Law
from proband.synth.lives.lifecourse import Course, Hazards
from proband.synth.lives.people import People
from proband.synth.lives.state import State
from proband.synth.traits import ADULT_AGE, DISEASE_NAMES, ENVIRONMENT

FUTURES_AT_ONCE = 6000
"""Futures in one block: what fits a core's cache."""
COUNT_ABOVE = 1.25
"""Mean delays from onset to record within the longest horizon above which the records of the ill are counted:
with a constant hazard, where the variance of the count falls below that of the sum."""


@dataclass(frozen=True)
class Moments:
    """Lives at their prediction times, one row each.

    Attributes:
        people: Who.
        start: The state at the start of the step that holds the time; the step's covariates.
        now: What has happened by the time itself.
        age: Age at the time, years.
    """

    people: People
    start: State
    now: State
    age: Float[np.ndarray, " moments"]

    def take(self, rows: np.ndarray) -> Moments:
        """These rows, in this order, with repeats."""
        return Moments(self.people.take(rows), self.start.take(rows), self.now.take(rows), self.age[rows])


def joined(parts: Sequence[Moments]) -> Moments:
    """Moments one after another."""
    people, start, now = (
        {name: np.concatenate([vars(one)[name] for one in ones]) for name in vars(ones[0])}
        for ones in zip(*((part.people, part.start, part.now) for part in parts), strict=True)
    )
    age = np.concatenate([part.age for part in parts])
    return Moments(People(**people), State(**start), State(**now), age)


def moments(law: Law, people: People, events: State, age: Float[np.ndarray, " moments"]) -> Moments:
    """Enter lives at ``age``: later events undone, the rest of the step with the covariates of its start.

    Args:
        law: Steps.
        people: One row per moment.
        events: Ages at all events of these lives; ``drift`` as at the start of the step that holds ``age``.
        age: Prediction times as ages.
    """
    begin = ADULT_AGE + law.step_of(age) * law.step_years
    return Moments(people, events.before(begin), events.before(age), age)


@dataclass(frozen=True)
class Risks:
    """True risks of the diagnosis recorded and of onset, (moments, diseases, horizons), with their errors.

    ``hazards`` are those of (onset, first record) at the time itself, per year, (2, moments, diseases).
    """

    recorded: Float[np.ndarray, "moments diseases horizons"]
    recorded_error: Float[np.ndarray, "moments diseases horizons"]
    onset: Float[np.ndarray, "moments diseases horizons"]
    onset_error: Float[np.ndarray, "moments diseases horizons"]
    hazards: Float[np.ndarray, "2 moments diseases"]


def true_risks(
    law: Law,
    at: Moments,
    horizons: tuple[int, ...] | tuple[float, ...],
    replicates: int,
    random: np.random.Generator,
) -> Risks:
    """Cumulative incidences with death competing, given everything latent at the prediction time.

    Each future contributes the sum over its steps of the probability that the event falls in the step before
    death, while it is alive and free of it; records that the ill can expect are counted instead. Both have
    the same expectation; the choice (see ``_counted``) is for the smaller variance. Treatment, other diseases
    and biomarkers move on as they do in the biobank.

    Args:
        law: Hazards.
        at: Lives at their prediction times; not changed.
        horizons: Years, increasing.
        replicates: Futures per moment, at least 2.
        random: Stream.

    Returns:
        Risks (means cut to at most 1) and their Monte-Carlo standard errors; 0 where the event has happened.
        Of no moments, arrays of no rows.
    """
    per_block = max(1, FUTURES_AT_ONCE // replicates)
    count = len(at.age)
    if not count:
        none = np.zeros((0, NUM_DISEASES, len(horizons)))
        return Risks(none, none, none, none, np.zeros((2, 0, NUM_DISEASES)))
    blocks = [
        _Futures(
            law, at.take(np.arange(low, min(low + per_block, count))), horizons, replicates, random
        ).run()
        for low in range(0, count, per_block)
    ]
    paths = np.concatenate([block[0] for block in blocks], axis=1)
    hazards = np.concatenate([block[1] for block in blocks], axis=1)
    mean, error = np.minimum(paths[..., 0], 1), np.minimum(paths[..., 1], 1)
    return Risks(mean[0], error[0], mean[1], error[1], hazards)


class _Futures:
    """A block of moments on its way: what their futures have come to so far."""

    def __init__(
        self,
        law: Law,
        at: Moments,
        horizons: tuple[int, ...] | tuple[float, ...],
        replicates: int,
        random: np.random.Generator,
    ) -> None:
        self.law, self.at, self.horizons, self.replicates, self.random = law, at, horizons, replicates, random
        rows = np.repeat(np.arange(len(at.age)), replicates)
        self.course = _enter(law, at.take(rows), replicates, random)
        self.step = law.step_of(at.age)
        self.elapsed = np.zeros(len(at.age))
        self.so_far = np.zeros((2, len(rows), NUM_DISEASES), dtype=np.float32)
        self.found = np.zeros((len(horizons), 2, len(at.age), NUM_DISEASES, 2))
        self.now: np.ndarray | None = None
        self.counted = _counted(law, at, float(horizons[-1]))

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and error of (recorded, onset), (2, moments, diseases, horizons, 2), and hazards now."""
        while self.now is None or (self.elapsed < self.horizons[-1]).any():
            self._advance()
        return self.found.transpose(1, 2, 3, 0, 4), self.now

    def _advance(self) -> None:
        begin = ADULT_AGE + self.step * self.law.step_years
        hazards = self.course.hazards(self.step, begin)
        is_first = self.now is None
        if self.now is None:
            here = slice(None, None, self.replicates)
            self.now = np.stack([hazards.onset[here, :NUM_DISEASES], record_hazard(hazards)[here]])
        # Steps end on the grid of ages from 18: the first is what is left of the one entered.
        after = begin + self.law.step_years - self.at.age
        # The oldest have no further step: what is left of the horizons is at the hazards of their last.
        is_last = self.step == self.law.num_steps - 1
        after = np.where(is_last, np.maximum(after, float(self.horizons[-1])), after)
        reached = [(self.elapsed < horizon) & (horizon <= after) for horizon in self.horizons]
        paths = [
            self._until(hazards, horizon - self.elapsed, mask)
            for horizon, mask in zip(self.horizons, reached, strict=True)
        ]
        span = np.repeat(after - self.elapsed, self.replicates)
        self.so_far += step_incidence(hazards, span)
        from_age = np.repeat(self.at.age + self.elapsed, self.replicates)
        changed = self.course.happen(hazards, from_age, span, self.random)
        for index, mask in enumerate(reached):
            if mask.any():
                self._note(index, mask, paths[index])
        self.course.settle(np.arange(len(span)) if is_first else changed, len(span), self.random)
        self.elapsed = after
        self.step = np.minimum(self.step + 1, self.law.num_steps - 1)

    def _until(self, hazards: Hazards, years: np.ndarray, reached: np.ndarray) -> np.ndarray:
        """Summed probabilities up to a horizon within the step."""
        if not reached.any():
            return self.so_far
        part = np.repeat(np.where(reached, years, 0), self.replicates)
        return self.so_far + step_incidence(hazards, part)

    def _note(self, index: int, reached: np.ndarray, paths: np.ndarray) -> None:
        """Mean and error at a horizon, once what happens in its step has happened."""
        limit = np.repeat(self.at.age + self.horizons[index], self.replicates)[:, None]
        counted = np.repeat(self.counted, self.replicates, axis=0)
        paths[0] = np.where(counted, self.course.state.recorded <= limit, paths[0])
        self.found[index][:, reached] = _mean_and_error(paths, self.replicates)[:, reached]


def _counted(law: Law, at: Moments, longest: float) -> np.ndarray:
    """Where records are counted instead of summing their probabilities, (moments, diseases): in the ill.

    Both have the same expectation. The sum varies less while the hazard is small; over a horizon of many mean
    delays it does not: along one path it is near an exponential variable, where a count is 0 or 1. One choice
    for all horizons, so that the risk does not fall with the horizon.
    """
    undiagnosed = np.isfinite(at.now.onset) & np.isinf(at.now.recorded)
    return undiagnosed & (longest * law.record_rate > COUNT_ABOVE)


def _enter(law: Law, at: Moments, replicates: int, random: np.random.Generator) -> Course:
    """The lives in the middle of a step. Quitting is memoryless, so who smokes has it still to come."""
    smokes = at.people.quit_age > at.age
    later = at.age + random.exponential(1 / ENVIRONMENT.quit_per_year, len(at.age))
    people = replace(at.people, quit_age=np.where(smokes, later, at.people.quit_age))
    course = Course(law, people, at.start, replicates)
    course.enter(at.now)
    return course


def record_hazard(hazards: Hazards) -> Float32[np.ndarray, "rows diseases"]:
    """Hazard of a first record: of the diagnosis, a false one, or an onset recorded at once."""
    return hazards.record + hazards.onset[:, :NUM_DISEASES] * hazards.at_onset


def step_incidence(
    hazards: Hazards, years: Float[np.ndarray, " rows"]
) -> Float32[np.ndarray, "2 rows diseases"]:
    """Probabilities of a first record, and of onset, within ``years`` of constant hazards and before death.

    h / (h + m) x (1 - exp(-(h + m) years)) with hazard h and hazard of death m.
    """
    death = hazards.onset[:, NUM_DISEASES:] + np.float32(1e-30)  # keeps 0 / 0 at 0
    exposure = -years.astype(np.float32)[:, None]
    found = np.empty((2, len(years), NUM_DISEASES), dtype=np.float32)
    for place, rate in enumerate((record_hazard(hazards), hazards.onset[:, :NUM_DISEASES])):
        both = rate + death
        np.divide(rate, both, out=found[place])
        both *= exposure
        np.expm1(both, out=both)
        found[place] *= both
    return np.negative(found, out=found)


def _mean_and_error(paths: Float32[np.ndarray, "2 rows diseases"], replicates: int) -> np.ndarray:
    by_moment = paths.reshape(2, -1, replicates, NUM_DISEASES)
    mean = by_moment.mean(axis=2, dtype=np.float64)
    spread = by_moment.std(axis=2, ddof=1, dtype=np.float64)
    return np.stack([mean, spread / np.sqrt(replicates)], axis=-1)


def risk_table(
    subject_id: Int64[np.ndarray, " moments"],
    prediction_time: pl.Series,
    happened: np.ndarray,
    risk: Float[np.ndarray, "moments diseases horizons"],
    error: Float[np.ndarray, "moments diseases horizons"],
    horizons: tuple[int, ...] | tuple[float, ...],
    model: str,
) -> pl.DataFrame:
    """The risks as ``core.schema.RISK``, for diseases that have not ``happened`` by the prediction time."""
    subject, disease = (np.repeat(index, len(horizons)) for index in np.nonzero(~happened))
    horizon = np.tile(np.arange(len(horizons)), int((~happened).sum()))
    return pl.DataFrame(
        {
            "subject_id": subject_id[subject],
            "prediction_time": prediction_time.gather(subject),
            "outcome": np.array(DISEASE_NAMES)[disease],
            "horizon_years": np.array(horizons, dtype=float)[horizon],
            "model": np.full(len(subject), model),
            "risk": risk[subject, disease, horizon],
            "standard_error": error[subject, disease, horizon],
            "unresolved": np.zeros(len(subject)),
        }
    )
