"""Where lives stand: ages at what has happened so far, and the arrays a step's hazards are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from proband.synth.lives.law import (
    HAS,
    NUM_COVARIATES,
    NUM_DISEASES,
    NUM_MARKERS,
    NUM_TREATMENTS,
    SMOKING,
    TREATED,
    Law,
    access,
)
from proband.synth.lives.people import People
from proband.synth.traits import BIOMARKERS

DRIFT_SD = np.sqrt([1 - marker.stable for marker in BIOMARKERS]).astype(np.float32)


@dataclass
class State:
    """Ages at events in years, infinite until they happen, and the drift of the biomarkers.

    Attributes:
        onset: Onset of each disease, (subjects, diseases).
        recorded: First record of each disease, true or false.
        started: Start of each treatment, (subjects, treatments).
        stopped: Its end; it is not taken again.
        death: Death.
        drift: Biomarkers about their stable level, standard deviations.
    """

    onset: Float[np.ndarray, "subjects diseases"]
    recorded: Float[np.ndarray, "subjects diseases"]
    started: Float[np.ndarray, "subjects treatments"]
    stopped: Float[np.ndarray, "subjects treatments"]
    death: Float[np.ndarray, " subjects"]
    drift: Float32[np.ndarray, "subjects markers"]

    def take(self, rows: np.ndarray) -> State:
        """A copy of these rows, in this order, with repeats."""
        return State(**{name: values[rows] for name, values in vars(self).items()})

    def put(self, rows: np.ndarray, other: State, source: np.ndarray) -> None:
        """Overwrite ``rows`` by the rows ``source`` of ``other``."""
        for name, values in vars(self).items():
            values[rows] = getattr(other, name)[source]

    def before(self, age: Float[np.ndarray, " subjects"]) -> State:
        """The events up to each subject's ``age``; later ones have not happened."""
        events = {}
        for name, values in vars(self).items():
            limit = age if values.ndim == 1 else age[:, None]
            events[name] = values.copy() if name == "drift" else np.where(values <= limit, values, np.inf)
        return State(**events)


def healthy(count: int) -> State:
    """``count`` people to whom nothing has happened, with every biomarker at its stable level."""
    return State(
        onset=np.full((count, NUM_DISEASES), np.inf),
        recorded=np.full((count, NUM_DISEASES), np.inf),
        started=np.full((count, NUM_TREATMENTS), np.inf),
        stopped=np.full((count, NUM_TREATMENTS), np.inf),
        death=np.full(count, np.inf),
        drift=np.zeros((count, NUM_MARKERS), dtype=np.float32),
    )


class Terms:
    """The state in the form a step computes with: float32 arrays, refreshed for the rows that changed.

    Attributes:
        x: Covariates; the first columns are the drift, which the step moves in place.
        ratio: Ratio of the unobserved part, deprivation and stable biomarkers; 0 where the hazard is shut,
            (subjects, hazards). The genetic value is not in it: its effect changes with age.
        record: Hazard of being recorded at age 50, 0 where it is or cannot be.
        at_onset: 1 where an onset would be recorded at once.
        stop: Hazard of stopping each treatment taken.
        record_sum: ``record`` summed over diseases.
        stop_sum: ``stop`` summed over treatments.
    """

    def __init__(self, law: Law, people: People, state: State) -> None:
        count = len(state.death)
        self.law, self.people, self.state = law, people, state
        log_ratio = np.outer(people.deprivation, law.deprivation)
        log_ratio[:, :NUM_DISEASES] += people.unobserved * law.unobserved
        self._static = np.exp(log_ratio).astype(np.float32)
        self._access = access(people.deprivation).astype(np.float32)[:, None]
        self._diagnosis = law.record_rate.astype(np.float32) * ~people.missed
        self._false_rate = law.false_rate.astype(np.float32)
        self._at_onset = law.at_onset & ~people.missed
        self._stopping = law.stopping.astype(np.float32)
        self.x = np.zeros((count, NUM_COVARIATES), dtype=np.float32)
        self.x[:, :NUM_MARKERS] = state.drift
        self.ratio = np.empty((count, NUM_DISEASES + 1), dtype=np.float32)
        self.record = np.empty((count, NUM_DISEASES), dtype=np.float32)
        self.at_onset = np.empty((count, NUM_DISEASES), dtype=np.float32)
        self.stop = np.empty((count, NUM_TREATMENTS), dtype=np.float32)
        self.record_sum = np.empty(count, dtype=np.float32)
        self.stop_sum = np.empty(count, dtype=np.float32)
        self._stable_effect = (people.stable @ law.weights[:NUM_MARKERS]).astype(np.float32)
        self._static *= np.exp(self._stable_effect)
        self.refresh(np.arange(count))

    def refresh(self, rows: Int64[np.ndarray, " rows"]) -> None:
        """Bring ``rows`` up to date with the state."""
        state = self.state
        has, known = np.isfinite(state.onset[rows]), np.isfinite(state.recorded[rows])
        taken = np.isfinite(state.started[rows]) & np.isinf(state.stopped[rows])
        alive = np.isinf(state.death[rows])[:, None]
        self.x[rows, HAS:TREATED] = has
        self.x[rows, TREATED:] = taken
        self.ratio[rows, :NUM_DISEASES] = self._static[rows, :NUM_DISEASES] * (~has & alive)
        self.ratio[rows, NUM_DISEASES] = self._static[rows, NUM_DISEASES] * alive[:, 0]
        rate = np.where(has, self._diagnosis[rows], self._false_rate) * self._access[rows]
        record = rate * (~known & alive)
        stop = self._stopping * (taken & alive)
        self.record[rows], self.stop[rows] = record, stop
        self.at_onset[rows] = self._at_onset[rows] & ~known
        self.record_sum[rows], self.stop_sum[rows] = record.sum(axis=1), stop.sum(axis=1)

    def smoke(self, age: Float[np.ndarray, " rows"]) -> None:
        """Bring the smoking columns of the first rows to their ages."""
        quit_age = self.people.quit_age[: len(age)]
        self.x[: len(age), SMOKING] = quit_age > age
        self.x[: len(age), SMOKING + 1] = np.isfinite(quit_age) & (quit_age <= age)

    def close(self) -> None:
        """Shut the hazards of what has happened by now, and leave every covariate as it was.

        For a life entered in the middle of a step: the step's covariates are those at its start.
        """
        state = self.state
        known = np.isfinite(state.recorded)
        self.ratio[:, :NUM_DISEASES] *= np.isinf(state.onset)
        self.record *= ~known
        self.at_onset *= ~known
        self.stop *= np.isinf(state.stopped)
        self.record_sum[:], self.stop_sum[:] = self.record.sum(axis=1), self.stop.sum(axis=1)

    def levels(self, count: int) -> Float32[np.ndarray, "subjects markers"]:
        """Biomarkers of the first ``count`` rows, standard deviations from the mean of age and sex."""
        drift = self.people.stable[:count] + self.x[:count, :NUM_MARKERS]
        return (drift + self.x[:count, HAS:] @ self.law.marker_shift).astype(np.float32)
