"""Finished lives on the calendar: what the life course hands to the records and to the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from proband.core.units import DAYS_PER_YEAR, MICROSECONDS_PER_MINUTE, MICROSECONDS_PER_YEAR, MINUTES_PER_DAY
from proband.synth.lives.lifecourse import People

MICROSECONDS_PER_DAY = MINUTES_PER_DAY * MICROSECONDS_PER_MINUTE
NEVER = np.iinfo(np.int64).max
"""Time of what never happens, microseconds."""


@dataclass(frozen=True)
class Lives:
    """Finished lives on the calendar, times in int64 microseconds since 1970, :data:`NEVER` for never.

    Attributes:
        people: What stays with them.
        birth: Birth, at midnight.
        record_start: First visit of the record.
        entry: Enrolment, at midnight.
        exit: End of follow-up: death, loss or administrative end.
        death: Death within follow-up.
        onset: Onset of each disease, (subjects, diseases).
        ages: Ages at the start of the steps lived, (steps, subjects).
        markers: Biomarkers in these steps, standard deviations, (steps, subjects, markers).
    """

    people: People
    birth: Int64[np.ndarray, " subjects"]
    record_start: Int64[np.ndarray, " subjects"]
    entry: Int64[np.ndarray, " subjects"]
    exit: Int64[np.ndarray, " subjects"]
    death: Int64[np.ndarray, " subjects"]
    onset: Int64[np.ndarray, "subjects diseases"]
    ages: Float[np.ndarray, "steps subjects"]
    markers: Float[np.ndarray, "steps subjects markers"]

    def age(
        self, subject: Int64[np.ndarray, " rows"], time: Int64[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " rows"]:
        """Age in years of ``subject`` at ``time``."""
        return (time - self.birth[subject]) / MICROSECONDS_PER_YEAR

    def level(self, subject: Int64[np.ndarray, " rows"], age: Float[np.ndarray, " rows"]) -> np.ndarray:
        """Biomarkers in the step that holds ``age``, standard deviations, (rows, markers)."""
        # One sorted search for all subjects: no one reaches 1,000 years.
        keys = (self.ages.T + 1000 * np.arange(self.ages.shape[1])[:, None]).ravel()
        step = np.searchsorted(keys, age + 1000 * subject, side="right") - 1 - subject * self.ages.shape[0]
        return self.markers[np.clip(step, 0, None), subject]


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
