"""The drift of finished lives at any step, drawn again from its own stream.

Drift depends on nothing that happens in a life, so that the stored ages of the events and this replay give
back the whole latent state at any time, without living the life again.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int64

from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.config import SynthConfig
from proband.synth.lives.history import active_rows, copies_in, longest_first, num_steps_to, streams
from proband.synth.lives.law import NUM_MARKERS, Law
from proband.synth.lives.lifecourse import Drift
from proband.synth.lives.lives import Lives, end_of
from proband.synth.lives.output.truth import Moments, moments
from proband.synth.lives.people import People
from proband.synth.lives.state import State


def drift_at(
    law: Law,
    num_steps: Int64[np.ndarray, " subjects"],
    life: Int64[np.ndarray, "subjects 2"],
    names: tuple[int, ...],
    row: Int64[np.ndarray, " wanted"],
    step: Int64[np.ndarray, " wanted"],
) -> Float32[np.ndarray, "wanted markers"]:
    """Drift of the shard's ``row`` at the start of its ``step``.

    Args:
        law: Steps.
        num_steps: Steps of every life of the shard.
        life: Round and copy of every life.
        names: Seed and shard.
        row: Rows of the shard.
        step: Their steps.
    """
    found = np.empty((len(row), NUM_MARKERS), dtype=np.float32)
    waiting = longest_first(num_steps)
    for round_ in range(int(life[:, 0].max(initial=-1)) + 1):
        copies = copies_in(round_, len(waiting))
        wanted = np.flatnonzero(life[row, 0] == round_)
        if len(wanted):
            place = np.empty(len(num_steps), dtype=np.int64)
            place[waiting] = np.arange(len(waiting)) * copies
            index = place[row[wanted]] + life[row[wanted], 1]
            lengths = num_steps[np.repeat(waiting, copies)]
            found[wanted] = _one_round(law, lengths, streams(names, round_)[0], index, step[wanted])
        waiting = waiting[life[waiting, 0] != round_]
    return found


def _one_round(
    law: Law,
    num_steps: np.ndarray,
    random: np.random.Generator,
    index: np.ndarray,
    step: np.ndarray,
) -> np.ndarray:
    drift = Drift(np.empty((len(num_steps), NUM_MARKERS), dtype=np.float32), law.step_years)
    drift.begin(random)
    found = np.empty((len(index), NUM_MARKERS), dtype=np.float32)
    for now in range(int(step.max()) + 1):
        here = step == now
        found[here] = drift.values[index[here]]
        drift.advance(active_rows(num_steps, now), random)
    return found


def enter_lives(
    law: Law,
    lives: Lives,
    config: SynthConfig,
    shard: int,
    row: Int64[np.ndarray, " moments"],
    time: Int64[np.ndarray, " moments"],
) -> Moments:
    """The shard's lives ``row`` as they stand at ``time`` (microseconds since 1970), one moment each."""
    end_age = (end_of(config) - lives.birth) / MICROSECONDS_PER_YEAR
    return moments_of(
        law, lives.people, lives.state, lives.life, end_age, (config.seed, shard), row, lives.age(row, time)
    )


def moments_of(
    law: Law,
    people: People,
    events: State,
    life: Int64[np.ndarray, "subjects 2"],
    end_age: Float[np.ndarray, " subjects"],
    names: tuple[int, ...],
    row: Int64[np.ndarray, " moments"],
    age: Float[np.ndarray, " moments"],
) -> Moments:
    """A shard's lives ``row`` as they stand at ``age``; the other arguments are of the whole shard."""
    here = events.take(row)
    here.drift[:] = drift_at(law, num_steps_to(end_age, law), life, names, row, law.step_of(age))
    return moments(law, people.take(row), here, age)
