"""Whole lives from 18 to the administrative end, given survival to enrolment.

Who dies before enrolment is lived again, with the same genome, environment and entry age, until alive at it:
exactly the law of a life given survival to entry, so no one is enrolled who could not be. Round 0 lives
everyone once; a later round lives several copies of each who is left, and the first survivor counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from proband.core.seeds import generator
from proband.synth.lives.law import NUM_MARKERS, Law
from proband.synth.lives.lifecourse import Course, Drift
from proband.synth.lives.people import People
from proband.synth.lives.state import State, healthy
from proband.synth.traits import ADULT_AGE

_COPIES, _ROWS = 32, 256
"""Most copies of a life in a later round, and the rows such a round aims at: a matter of speed alone."""


@dataclass(frozen=True)
class History:
    """Lives as they were.

    Attributes:
        state: Ages at all events up to the administrative end; drift as it was left.
        life: Round and copy in which each subject's life was lived, (subjects, 2).
        markers: Biomarkers at the start of each step, standard deviations; not a number where not lived.
    """

    state: State
    life: Int64[np.ndarray, "subjects 2"]
    markers: Float32[np.ndarray, "steps subjects markers"]


def longest_first(num_steps: Int64[np.ndarray, " subjects"]) -> Int64[np.ndarray, " subjects"]:
    """Rows in the order in which a shard is lived, so that the living are always the first rows."""
    return np.argsort(-num_steps, kind="stable")


def num_steps_to(age: Float[np.ndarray, " subjects"], law: Law) -> Int64[np.ndarray, " subjects"]:
    """Steps from 18 that reach an age."""
    return np.maximum(np.ceil((age - ADULT_AGE) / law.step_years - 1e-9), 1).astype(np.int64)


def copies_in(round_: int, waiting: int) -> int:
    """Copies of each life that a round lives."""
    return 1 if round_ == 0 else min(max(_ROWS // waiting, 1), _COPIES)


def live_through(
    law: Law,
    people: People,
    entry_age: Float[np.ndarray, " subjects"],
    end_age: Float[np.ndarray, " subjects"],
    names: tuple[int, ...],
) -> History:
    """Live a shard's lives.

    Args:
        law: Hazards.
        people: Who.
        entry_age: Age at enrolment, years.
        end_age: Age at the administrative end, years.
        names: Seed and shard, which name the random streams.
    """
    count = len(entry_age)
    num_steps = num_steps_to(end_age, law)
    markers = np.full((int(num_steps.max()), count, NUM_MARKERS), np.nan, dtype=np.float32)
    state, life = healthy(count), np.zeros((count, 2), dtype=np.int64)
    waiting, round_ = longest_first(num_steps), 0
    while len(waiting):
        copies = copies_in(round_, len(waiting))
        rows = np.repeat(waiting, copies)
        trial, levels = _one_round(law, people.take(rows), num_steps[rows], names, round_)
        alive = (trial.death > entry_age[rows]).reshape(-1, copies)
        lives_on, copy = alive.any(axis=1), alive.argmax(axis=1)
        chosen = (np.arange(len(waiting)) * copies + copy)[lives_on]
        done = waiting[lives_on]
        state.put(done, trial, chosen)
        life[done] = np.column_stack([np.full(len(done), round_), copy[lives_on]])
        markers[: len(levels), done] = levels[:, chosen]
        waiting, round_ = waiting[~lives_on], round_ + 1
    return History(state, life, markers)


def _one_round(
    law: Law, people: People, num_steps: np.ndarray, names: tuple[int, ...], round_: int
) -> tuple[State, np.ndarray]:
    drifting, happening = streams(names, round_)
    course = Course(law, people, healthy(len(num_steps)))
    Drift(course.terms.x[:, :NUM_MARKERS], law.step_years).begin(drifting)
    levels = np.full((int(num_steps[0]), len(num_steps), NUM_MARKERS), np.nan, dtype=np.float32)
    for step in range(int(num_steps[0])):
        count = active_rows(num_steps, step)
        start = np.full(count, ADULT_AGE + step * law.step_years)
        hazards = course.hazards(np.full(count, step), start)
        levels[step, :count] = course.terms.levels(count)
        changed = course.happen(hazards, start, np.full(count, law.step_years), happening)
        course.settle(changed, count, drifting)
    course.state.drift[:] = course.terms.x[:, :NUM_MARKERS]
    return course.state, levels


def active_rows(num_steps: Int64[np.ndarray, " rows"], step: int) -> int:
    """How many of the rows, longest life first, have the step."""
    return int(np.searchsorted(-num_steps, -step, side="left"))


def streams(names: tuple[int, ...], round_: int) -> tuple[np.random.Generator, np.random.Generator]:
    """The streams of a round: of drift, and of what happens."""
    seed, *shard = names
    drifting = generator(seed, "synth", "drift", *shard, round_)
    return drifting, generator(seed, "synth", "lives", *shard, round_)
