"""The true risks: each subject's future lived many times over with the same life-course code."""

from __future__ import annotations

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
    death, while it is alive and free of it. This has the expectation of the plain count of events and a
    smaller variance. Treatment, other diseases and biomarkers move on as they do in the biobank.

    Args:
        law: Hazards.
        at: Lives at their prediction times; not changed.
        horizons: Years, increasing.
        replicates: Futures per moment, at least 2.
        random: Stream.

    Returns:
        Risks (means cut to at most 1) and their Monte-Carlo standard errors; 0 where the event has happened.
    """
    per_block = max(1, FUTURES_AT_ONCE // replicates)
    count = len(at.age)
    blocks = [
        _block(law, at.take(np.arange(low, min(low + per_block, count))), horizons, replicates, random)
        for low in range(0, count, per_block)
    ]
    paths = np.concatenate([block[0] for block in blocks], axis=1)
    hazards = np.concatenate([block[1] for block in blocks], axis=1)
    mean, error = np.minimum(paths[..., 0], 1), np.minimum(paths[..., 1], 1)
    return Risks(mean[0], error[0], mean[1], error[1], hazards)


def _block(
    law: Law,
    at: Moments,
    horizons: tuple[int, ...] | tuple[float, ...],
    replicates: int,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and error of (recorded, onset), (2, moments, diseases, horizons, 2), and hazards at the time."""
    rows = np.repeat(np.arange(len(at.age)), replicates)
    course = _enter(law, at.take(rows), replicates, random)
    first_step = law.step_of(at.age)
    begin = ADULT_AGE + first_step * law.step_years
    years, elapsed = begin + law.step_years - at.age, np.zeros(len(at.age))
    so_far = np.zeros((2, len(rows), NUM_DISEASES), dtype=np.float32)
    found = np.zeros((len(horizons), 2, len(at.age), NUM_DISEASES, 2))
    now: np.ndarray | None = None
    step, in_first = first_step, True
    while True:
        hazards = course.hazards(step, begin)
        if now is None:
            now = np.stack([hazards.onset[::replicates, :NUM_DISEASES], record_hazard(hazards)[::replicates]])
        for index, horizon in enumerate(horizons):
            reached = (elapsed < horizon) & (horizon <= elapsed + years)
            if reached.any():
                part = np.repeat(np.where(reached, horizon - elapsed, 0), replicates)
                paths = so_far + step_incidence(hazards, part)
                found[index][:, reached] = _mean_and_error(paths, replicates)[:, reached]
        if (elapsed + years >= horizons[-1]).all():
            return found.transpose(1, 2, 3, 0, 4), now
        span = np.repeat(years, replicates)
        so_far += step_incidence(hazards, span)
        from_age = np.repeat(at.age + elapsed, replicates)
        changed = course.happen(hazards, from_age, span, random)
        course.settle(np.arange(len(rows)) if in_first else changed, len(rows), random)
        in_first = False
        elapsed = elapsed + years
        step = np.minimum(step + 1, law.num_steps - 1)
        begin = ADULT_AGE + step * law.step_years
        years = np.full(len(years), law.step_years)


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
