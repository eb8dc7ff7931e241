"""When people come to a clinic, and what kind of visit it is."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.synth.care.concepts import EMERGENCY, EMERGENCY_INPATIENT, INPATIENT, OUTPATIENT
from proband.synth.care.events.diagnoses import diagnosed, undiagnosed
from proband.synth.care.practice import OF_DISEASE, SYMPTOMATIC
from proband.synth.care.rows import Rows, poisson_times, rows
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, Lives, to_minutes

# Rounded choices of ours: how often care is sought.
PER_YEAR, AGE_SLOPE, REFERENCE_AGE = 1.1, 0.012, 50.0
"""Visits per year of a healthy woman of 50, and the change of their log with each year of age."""
PER_DIAGNOSIS, PER_COMPLAINT = 0.3, 0.5
"""Visits per year for each diagnosed disease, and for each that is felt and not yet diagnosed."""
MEN = 0.8
"""Visits of men relative to women."""
DEPRIVATION = -0.1
"""Log ratio of visits per standard deviation of deprivation: access to care."""
EMERGENCY_SHARE, EMERGENCY_DEPRIVATION = 0.06, 0.2
"""Share of routine visits that are emergencies, and the log ratio of it per standard deviation."""
INPATIENT_SHARE, INPATIENT_AGE_SLOPE = 0.03, 0.02
NIGHTS = 3.0
"""Mean nights of a stay that no diagnosis began."""
LONGEST_STAY = 60
ENROLMENT_HOUR = 10


def visit_rate(
    age: Float[np.ndarray, " rows"],
    male: Bool[np.ndarray, " rows"],
    deprivation: Float[np.ndarray, " rows"],
    num_diagnosed: Int[np.ndarray, " rows"],
    num_complaints: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, " rows"]:
    """Routine visits per year: more with age, disease and complaints, fewer of men and of the deprived."""
    access = np.exp(DEPRIVATION * deprivation) * np.where(male, MEN, 1.0)
    by_age = PER_YEAR * np.exp(AGE_SLOPE * (age - REFERENCE_AGE))
    return access * (by_age + PER_DIAGNOSIS * num_diagnosed + PER_COMPLAINT * num_complaints)


def routine_visits(lives: Lives, random: np.random.Generator) -> Rows:
    """Visits at :func:`visit_rate` of each moment; nothing in them depends on what comes after."""
    everyone = np.arange(len(lives.birth))
    exit_time, people = lives.exit, lives.people
    ill = (np.minimum(lives.onset, lives.recorded) <= exit_time[:, None]).sum(axis=1)
    complaints = ((lives.onset <= exit_time[:, None]) & SYMPTOMATIC).sum(axis=1)
    age_at_exit = lives.age(everyone, exit_time)
    most = visit_rate(age_at_exit, people.male, people.deprivation, ill, complaints)
    subject, time, mark = poisson_times(lives, most, random)
    rate = visit_rate(
        lives.age(subject, time),
        people.male[subject],
        people.deprivation[subject],
        diagnosed(lives, subject, time).sum(axis=1),
        (undiagnosed(lives, subject, time) & SYMPTOMATIC).sum(axis=1),
    )
    kept = mark * most[subject] < rate
    subject, time = subject[kept], time[kept]
    return rows(subject, time, _kinds(lives, subject, time, random))


def _kinds(
    lives: Lives, subject: np.ndarray, time: np.ndarray, random: np.random.Generator
) -> Int[np.ndarray, " rows"]:
    age = lives.age(subject, time)
    emergency = EMERGENCY_SHARE * np.exp(EMERGENCY_DEPRIVATION * lives.people.deprivation[subject])
    inpatient = INPATIENT_SHARE * np.exp(INPATIENT_AGE_SLOPE * (age - REFERENCE_AGE))
    draw = random.random(len(subject))
    kind = np.where(draw < emergency + inpatient, INPATIENT, OUTPATIENT)
    return np.where(draw < emergency, EMERGENCY, kind)


def enrolment_time(lives: Lives) -> np.ndarray:
    """The enrolment visit of each subject, microseconds."""
    return lives.entry + ENROLMENT_HOUR * 60 * MICROSECONDS_PER_MINUTE


def fixed_visits(lives: Lives) -> Rows:
    """The first visit of each record, and enrolment."""
    everyone = np.arange(len(lives.birth))
    time = np.concatenate([lives.record_start, enrolment_time(lives)])
    return rows(np.concatenate([everyone, everyone]), time, OUTPATIENT)


def admissions(first: Rows, random: np.random.Generator) -> Rows:
    """Hospital stays in which a disease is first recorded, with their nights."""
    share = np.array([practice.admitted for practice in OF_DISEASE])
    nights = np.array([practice.nights for practice in OF_DISEASE])
    disease = first["disease"]
    kept = first["new"] & (random.random(len(disease)) < share[disease])
    stays = rows(first["subject"][kept], first["time"][kept], EMERGENCY_INPATIENT)
    return stays | {"nights": random.geometric(1 / nights[disease[kept]])}


def visit_table(lives: Lives, stays: Rows, visits: list[Rows], random: np.random.Generator) -> pl.DataFrame:
    """One visit per subject and time: a stay before a planned visit before an outpatient visit for a record.

    Args:
        lives: Whose.
        stays: As :func:`admissions` returns, within the record.
        visits: Subject, time and kind of further visits, the first to win at one time.
        random: Stream.

    Returns:
        subject, time, concept_id and end, sorted; a stay that reaches the exit ends there.
    """
    frames = [pl.DataFrame(stays)]
    for table in visits:
        routine = random.geometric(1 / NIGHTS, len(table["subject"]))
        stay = np.where(table["concept_id"] == INPATIENT, routine, 0)
        frames.append(pl.DataFrame(table | {"nights": stay}))
    merged = pl.concat(frame.with_columns(rank=pl.lit(rank)) for rank, frame in enumerate(frames))
    unique = merged.sort("subject", "time", "rank").unique(
        ["subject", "time"], keep="first", maintain_order=True
    )
    nights = np.minimum(unique["nights"].to_numpy(), LONGEST_STAY)
    end = unique["time"].to_numpy() + nights * MICROSECONDS_PER_DAY
    end = to_minutes(np.minimum(end, lives.exit[unique["subject"].to_numpy()]))
    return unique.select("subject", "time", "concept_id").with_columns(end=pl.Series(end))
