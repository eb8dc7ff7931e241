"""Finished lives on the calendar: what the life course hands to the records and to the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Int64

from proband.core.seeds import generator
from proband.core.units import DAYS_PER_YEAR, MICROSECONDS_PER_MINUTE, MICROSECONDS_PER_YEAR, MINUTES_PER_DAY
from proband.synth.config import SynthConfig
from proband.synth.lives.history import live_through
from proband.synth.lives.law import Law
from proband.synth.lives.people import People
from proband.synth.lives.state import State
from proband.synth.traits import ADULT_AGE

MICROSECONDS_PER_DAY = MINUTES_PER_DAY * MICROSECONDS_PER_MINUTE
NEVER = np.iinfo(np.int64).max
"""Time of what never happens, microseconds."""


@dataclass(frozen=True)
class Lives:
    """Finished lives on the calendar, times in int64 microseconds since 1970, :data:`NEVER` for never.

    Events go on to the administrative end, also of those lost before; only death is cut at ``exit``.

    Attributes:
        people: What stays with them.
        birth: Birth, at midnight.
        record_start: First visit of the record.
        entry: Enrolment, at midnight.
        exit: End of follow-up: death, loss or administrative end.
        death: Death within follow-up.
        onset: Onset of each disease, (subjects, diseases).
        recorded: First record of each disease, true or false: before onset, or without one, it is false.
        started: Start of each treatment, (subjects, treatments).
        stopped: Its end.
        ages: Ages at the start of the steps lived, (steps, subjects).
        markers: Biomarkers in these steps, standard deviations, (steps, subjects, markers).
        state: The same events as exact ages.
        life: Round and copy in which the life was lived, which name its random stream.
    """

    people: People
    birth: Int64[np.ndarray, " subjects"]
    record_start: Int64[np.ndarray, " subjects"]
    entry: Int64[np.ndarray, " subjects"]
    exit: Int64[np.ndarray, " subjects"]
    death: Int64[np.ndarray, " subjects"]
    onset: Int64[np.ndarray, "subjects diseases"]
    recorded: Int64[np.ndarray, "subjects diseases"]
    started: Int64[np.ndarray, "subjects treatments"]
    stopped: Int64[np.ndarray, "subjects treatments"]
    ages: Float[np.ndarray, "steps subjects"]
    markers: Float32[np.ndarray, "steps subjects markers"]
    state: State
    life: Int64[np.ndarray, "subjects 2"]

    def age(
        self, subject: Int64[np.ndarray, " rows"], time: Int64[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " rows"]:
        """Age in years of ``subject`` at ``time``."""
        return (time - self.birth[subject]) / MICROSECONDS_PER_YEAR

    def level(self, subject: Int64[np.ndarray, " rows"], age: Float[np.ndarray, " rows"]) -> np.ndarray:
        """Biomarkers in the step that holds ``age``, standard deviations, (rows, markers)."""
        step_years = self.ages[1, 0] - self.ages[0, 0] if len(self.ages) > 1 else 1.0
        step = np.floor((age - ADULT_AGE) / step_years).astype(np.int64)
        return self.markers[np.clip(step, 0, len(self.markers) - 1), subject]


def live(
    people: People,
    birth: Int64[np.ndarray, " subjects"],
    entry: Int64[np.ndarray, " subjects"],
    law: Law,
    config: SynthConfig,
    shard: int = 0,
) -> Lives:
    """Live a shard's lives to the administrative end.

    Args:
        people: The shard's people.
        birth: Microseconds since 1970, at midnight.
        entry: Enrolment, at midnight.
        law: Hazards.
        config: End, loss, length of records, seed.
        shard: Number of the shard, which names its random streams.
    """
    random = generator(config.seed, "synth", "follow-up", shard)
    entry_age = (entry - birth) / MICROSECONDS_PER_YEAR
    end = end_of(config)
    people = replace(people, birth_year=calendar_year(birth))
    history = live_through(
        law, people, entry_age, (end - birth) / MICROSECONDS_PER_YEAR, (config.seed, shard)
    )
    lost = years_after(entry, random.exponential(1 / max(config.loss_per_year, 1e-12), len(entry)))
    # Follow-up is lost on a day, as an observation period is written; death has its minute.
    exit_time = np.minimum(end, lost - lost % MICROSECONDS_PER_DAY)
    death = to_minutes(years_after(birth, history.state.death))
    death = np.where(death <= exit_time, death, NEVER)
    back = random.uniform(*config.record_years, len(entry))
    start = np.maximum(entry_age - back, ADULT_AGE)
    steps = np.arange(len(history.markers))[:, None] * law.step_years
    events = {name: calendar(birth, getattr(history.state, name)) for name in EVENTS}
    return Lives(
        people=people,
        birth=birth,
        record_start=to_minutes(years_after(birth, np.minimum(start, entry_age))),
        entry=entry,
        exit=np.minimum(exit_time, death),
        death=death,
        **events,
        ages=np.broadcast_to(ADULT_AGE + steps, history.markers.shape[:2]),
        markers=history.markers,
        state=history.state,
        life=history.life,
    )


EVENTS = ("onset", "recorded", "started", "stopped")
"""What happens once to each disease, or each treatment."""


def calendar_year(time: Int64[np.ndarray, " subjects"]) -> Float[np.ndarray, " subjects"]:
    """Microseconds since 1970 as a calendar year with its fraction."""
    return 1970 + time / MICROSECONDS_PER_YEAR


def end_of(config: SynthConfig) -> int:
    """The administrative end, microseconds since 1970."""
    return int(np.datetime64(config.end, "D").astype(np.int64)) * MICROSECONDS_PER_DAY


def calendar(birth: Int64[np.ndarray, " subjects"], ages: Float[np.ndarray, "subjects kinds"]) -> np.ndarray:
    """Ages as times in whole minutes, (subjects, kinds)."""
    return to_minutes(np.stack([years_after(birth, of_kind) for of_kind in ages.T], axis=1))


def to_minutes(time: Int64[np.ndarray, " *shape"]) -> Int64[np.ndarray, " *shape"]:
    """Times cut to the whole minute, as records hold them; :data:`NEVER` stays."""
    return np.where(time == NEVER, NEVER, time - time % MICROSECONDS_PER_MINUTE)


def years_after(start: Int64[np.ndarray, " subjects"], years: Float[np.ndarray, " subjects"]) -> np.ndarray:
    """``start`` moved by ``years`` of 365.25 days, microseconds; :data:`NEVER` where years are infinite."""
    finite = np.isfinite(years)
    moved = start + np.round(np.where(finite, years, 0) * DAYS_PER_YEAR * MICROSECONDS_PER_DAY).astype(
        np.int64
    )
    return np.where(finite, moved, NEVER)
