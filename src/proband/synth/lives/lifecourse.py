"""Lives in small time steps: competing onsets and death, records, treatment, drifting biomarkers.

Within a step every hazard is constant, given the state at its start. The events of a step are those of one
Poisson process with the sum of all hazards, each assigned to its kind in proportion; of what happens once,
the first counts. This is exact, and costs one random number where nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from proband.synth.lives.law import NUM_DISEASES, NUM_MARKERS, SMOKING, Law, access_at
from proband.synth.lives.laws import Covariates
from proband.synth.lives.people import People
from proband.synth.lives.state import DRIFT_SD, State, Terms
from proband.synth.traits import ADULT_AGE, ENVIRONMENT

_DEATH = NUM_DISEASES
_RECORD = NUM_DISEASES + 1
_STOP = _RECORD + NUM_DISEASES


@dataclass(frozen=True)
class Hazards:
    """The hazards that hold in a step, per year.

    Attributes:
        onset: Onset of each disease, 0 where it is had, then death; all 0 after death.
        record: First record of each disease, beside what onset brings along.
        at_onset: 1 where an onset is recorded at once.
        stop: End of each treatment.
        total: Sum of them all.
    """

    onset: Float32[np.ndarray, "rows hazards"]
    record: Float32[np.ndarray, "rows diseases"]
    at_onset: Float32[np.ndarray, "rows diseases"]
    stop: Float32[np.ndarray, "rows treatments"]
    total: Float32[np.ndarray, " rows"]


class Course:
    """Lives of a block of people on their way through the steps.

    ``repeats`` rows in a row are futures of one person, at one age; 1 in a biobank.
    """

    def __init__(self, law: Law, people: People, state: State, repeats: int = 1) -> None:
        self.law, self.state, self.repeats = law, state, repeats
        self.terms = Terms(law, people, state)
        self._effects = law.effects()
        self._male = people.male.astype(int)[::repeats]
        self._genetic = people.genetic[::repeats].astype(np.float32)
        self._drift = Drift(self.terms.x[:, :NUM_MARKERS], law.step_years)
        self._buffer = np.empty((len(state.death), NUM_DISEASES + 1), dtype=np.float32)

    def enter(self, now: State) -> None:
        """Go on from ``now``, within the step whose start the course began with."""
        self.state = self.terms.state = now
        self.terms.close()

    def hazards(self, step: Int64[np.ndarray, " people"], start: Float[np.ndarray, " people"]) -> Hazards:
        """Hazards of the first rows in ``step``, which holds the age ``start``, one per person."""
        rows = len(step) * self.repeats
        terms = self.terms
        terms.smoke(np.repeat(start, self.repeats) if self.repeats > 1 else start)
        onset = np.matmul(terms.x[:rows], self._effects, out=self._buffer[:rows])
        by_person = onset.reshape(len(step), self.repeats, NUM_DISEASES + 1)
        by_person += self._of_person(step)[:, None]
        if self.law.term is not None:
            onset += self.law.term(self.covariates(rows, start))
        np.exp(onset, out=onset)
        onset *= terms.ratio[:rows]
        middle = ADULT_AGE + (step + 0.5) * self.law.step_years
        factor = np.repeat(access_at(middle), self.repeats).astype(np.float32)
        total = onset.sum(axis=1) + factor * terms.record_sum[:rows] + terms.stop_sum[:rows]
        record = terms.record[:rows] * factor[:, None]
        return Hazards(onset, record, terms.at_onset[:rows], terms.stop[:rows], total)

    def covariates(self, rows: int, start: Float[np.ndarray, " people"]) -> Covariates:
        """What a law's further term is made of, of the first rows at the age ``start`` of each person."""
        people, terms = self.terms.people, self.terms
        year = people.birth_year[:rows] + np.repeat(start, self.repeats)
        return Covariates(terms.levels(rows), terms.x[:rows, SMOKING], people.genetic[:rows], year)

    def _of_person(self, step: Int64[np.ndarray, " people"]) -> Float32[np.ndarray, "people hazards"]:
        """Log rate of age and sex with the effect of the genetic value at this age."""
        log_rate = self.law.log_rate[self._male[: len(step)], step]
        log_rate[:, :NUM_DISEASES] += self.law.genetic[step] * self._genetic[: len(step)]
        return log_rate

    def happen(
        self,
        hazards: Hazards,
        start: Float[np.ndarray, " rows"],
        years: Float[np.ndarray, " rows"],
        random: np.random.Generator,
    ) -> Int64[np.ndarray, " changed"]:
        """Draw what happens within ``years`` after the ages ``start``; returns the rows it happened to."""
        wait = random.standard_exponential(len(years), dtype=np.float32)
        changed = row = np.flatnonzero(wait < hazards.total * years)
        if not len(row):
            return changed
        # Only here, for the few rows with events: all kinds side by side, in the order of the constants.
        parts = (hazards.onset[row], hazards.record[row], hazards.stop[row])
        edges = np.cumsum(np.concatenate(parts, axis=1), axis=1, dtype=np.float64)
        total = edges[:, -1]
        time = wait[row] / total
        place = np.arange(len(row))
        while len(place):
            mark = random.random(len(place)) * total[place]
            kind = (edges[place] <= mark[:, None]).sum(axis=1)
            self._apply(row[place], kind, (start[row] + time)[place], hazards.at_onset)
            time[place] += random.standard_exponential(len(place)) / total[place]
            goes_on = (time[place] < years[row[place]]) & (kind != _DEATH)
            place = place[goes_on]
        return changed

    def _apply(self, row: np.ndarray, kind: np.ndarray, age: np.ndarray, at_onset: np.ndarray) -> None:
        state = self.state
        dies = kind == _DEATH
        state.death[row[dies]] = age[dies]
        begins = kind < NUM_DISEASES
        who, what = row[begins], kind[begins]
        first = np.isinf(state.onset[who, what])
        state.onset[who[first], what[first]] = age[begins][first]
        seen = first & (at_onset[who, what] > 0)
        self._record(who[seen], what[seen], age[begins][seen])
        noted = (kind >= _RECORD) & (kind < _STOP)
        self._record(row[noted], kind[noted] - _RECORD, age[noted])
        ends = kind >= _STOP
        who, what = row[ends], kind[ends] - _STOP
        first = np.isinf(state.stopped[who, what])
        state.stopped[who[first], what[first]] = age[ends][first]

    def _record(self, row: np.ndarray, disease: np.ndarray, age: np.ndarray) -> None:
        """Record diseases not recorded before, and start their treatments in the willing."""
        state = self.state
        first = np.isinf(state.recorded[row, disease])
        row, disease, age = row[first], disease[first], age[first]
        state.recorded[row, disease] = age
        due = self.law.starts[disease] & self.terms.people.willing[row] & np.isinf(state.started[row])
        which, treatment = np.nonzero(due)
        state.started[row[which], treatment] = age[which]

    def settle(self, changed: Int64[np.ndarray, " rows"], count: int, random: np.random.Generator) -> None:
        """End a step: what happened shows from now on, and the first ``count`` rows' biomarkers drift."""
        self.terms.refresh(changed)
        self._drift.advance(count, random)


class Drift:
    """Ornstein-Uhlenbeck drift of the biomarkers, moved in place; it depends on nothing but its stream."""

    def __init__(self, values: Float32[np.ndarray, "rows markers"], step_years: float) -> None:
        self.values = values
        kept = np.exp(-step_years / ENVIRONMENT.drift_years)
        self._kept = np.float32(kept)
        self._shock_sd = (np.sqrt(1 - kept**2) * DRIFT_SD).astype(np.float32)

    def begin(self, random: np.random.Generator) -> None:
        """Draw the drift at age 18 from its stationary law."""
        self.values[:] = random.standard_normal(self.values.shape, dtype=np.float32) * DRIFT_SD

    def advance(self, count: int, random: np.random.Generator) -> None:
        """Move the first ``count`` rows on by one step."""
        shock = random.standard_normal((count, NUM_MARKERS), dtype=np.float32)
        shock *= self._shock_sd
        moved = self.values[:count]
        moved *= self._kept
        moved += shock
