"""From lives to health records: visits, diagnoses, measurements, drugs, procedures, smoking status."""

from __future__ import annotations

import numpy as np
import polars as pl

from proband.core.units import MICROSECONDS_PER_MINUTE, MICROSECONDS_PER_YEAR
from proband.synth.care import concepts
from proband.synth.care.concepts import Everyday
from proband.synth.lives.lifecourse import Law, treated
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, NEVER, Lives, to_minutes
from proband.synth.traits import BIOMARKERS, DISEASE_NAMES, DISEASES, TREATMENTS

# Rounded choices of ours: how often care is sought and what is done at a visit.
VISITS_PER_YEAR, VISITS_AGE_SLOPE, VISITS_PER_DISEASE, VISITS_DEPRIVATION = 1.3, 0.012, 0.35, -0.1
VISIT_KINDS = ((concepts.OUTPATIENT, 0.88), (concepts.EMERGENCY, 0.07), (concepts.INPATIENT, 0.05))
MEASURED_AT_VISIT = {"bmi": 0.35, "sbp": 0.5, "hba1c": 0.12, "ldl": 0.15, "egfr": 0.15}
MEASURED_WHEN_ILL = 0.4
"""Chance of the laboratory tests at a visit of someone with a disease here."""
REPEAT_DIAGNOSIS = 0.12
"""Chance that a visit repeats a standing diagnosis."""
SUPPLY_DAYS, REFILLED = 90, 0.6
"""Days of a prescription, and the share of due refills that are recorded."""
ASKED_SMOKING, ANSWERED_SMOKING = 0.06, 0.75
"""Chance of a smoking record at a visit, and the share of subjects who have any."""
LONGEST_STAY_DAYS = 7
ENROLMENT_HOUR = 10
SEASON_AMPLITUDE = 0.7
"""Seasonal rates swing between 1 - amplitude and 1 + amplitude of their mean."""

Rows = dict[str, np.ndarray]


def make_records(lives: Lives, law: Law, random: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Everything recorded, one frame per kind.

    Returns:
        ``condition``, ``drug``, ``procedure``, ``measurement``, ``observation`` with subject (row of
        ``lives``), time, concept_id (measurement: value, unit_concept_id), and ``visit`` with subject, time,
        concept_id, end. Every row but a refill shares subject and time with a visit.
    """
    onsets, first = _diagnoses(lives)
    conditions, everyday_drugs = _everyday(lives, concepts.CONDITIONS, random)
    procedures, _ = _everyday(lives, concepts.PROCEDURES, random)
    visits = _stack([_routine_visits(lives, random), first])
    measurements = _measurements(lives, visits, random)
    observations = _smoking(lives, visits, random)
    repeats = _repeats(lives, visits, random)
    rows = {
        "condition": _stack([onsets, conditions, repeats]),
        "drug": _stack([everyday_drugs, _prescriptions(lives, law, random)]),
        "procedure": _stack([procedures, _at_diagnosis(lives, onsets, random)]),
        "measurement": measurements,
        "observation": observations,
    }
    frames = {name: _frame(lives, kind) for name, kind in rows.items()}
    frames["visit"] = _visits(lives, frames, _frame(lives, visits), random)
    return frames


def _stack(parts: list[Rows]) -> Rows:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _frame(lives: Lives, rows: Rows) -> pl.DataFrame:
    """Rows within the record, on whole minutes, in a fixed order, exact repeats once."""
    inside = (rows["time"] >= lives.record_start[rows["subject"]]) & (
        rows["time"] <= lives.exit[rows["subject"]]
    )
    frame = pl.DataFrame({name: values[inside] for name, values in rows.items()})
    return (
        frame.with_columns(pl.col("time").cast(pl.Datetime("us")), pl.col("concept_id").cast(pl.Int32))
        .unique(["subject", "time", "concept_id"], keep="first", maintain_order=True)
        .sort("subject", "time", "concept_id")
    )


def _rows(subject: np.ndarray, time: np.ndarray, concept_id: np.ndarray | int) -> Rows:
    concept = np.broadcast_to(np.asarray(concept_id, dtype=np.int64), subject.shape)
    return {"subject": subject.astype(np.int64), "time": to_minutes(time), "concept_id": concept}


def _enrolment(lives: Lives) -> np.ndarray:
    return lives.entry + ENROLMENT_HOUR * 60 * MICROSECONDS_PER_MINUTE


def _diagnoses(lives: Lives) -> tuple[Rows, Rows]:
    """Diagnoses at onset, or at the first visit for what arose before the record; and that first visit."""
    first = _rows(np.arange(len(lives.birth)), lives.record_start, concepts.OUTPATIENT)
    recorded = np.maximum(lives.onset, lives.record_start[:, None])
    subject, disease = np.nonzero(lives.onset < NEVER)
    ids = np.array([disease.concept_id for disease in DISEASES])
    return _rows(subject, recorded[subject, disease], ids[disease]), first


def _poisson(
    lives: Lives, most_per_year: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subject, time and a uniform mark of events at each subject's greatest rate, over its record."""
    years = (lives.exit - lives.record_start) / MICROSECONDS_PER_YEAR
    subject = np.repeat(np.arange(len(years)), random.poisson(np.maximum(years, 0) * most_per_year))
    share = random.random(len(subject))
    span = (lives.exit - lives.record_start)[subject]
    return subject, lives.record_start[subject] + (share * span).astype(np.int64), random.random(len(subject))


def _routine_visits(lives: Lives, random: np.random.Generator) -> Rows:
    """Visits at a rate that rises with age and disease and falls a little with deprivation; enrolment."""
    age_at_exit = (lives.exit - lives.birth) / MICROSECONDS_PER_YEAR
    access = np.exp(VISITS_DEPRIVATION * lives.people.deprivation)
    ill = (lives.onset < lives.exit[:, None]).sum(axis=1)
    most = access * (
        VISITS_PER_YEAR * np.exp(VISITS_AGE_SLOPE * (age_at_exit - 50)) + VISITS_PER_DISEASE * ill
    )
    subject, time, mark = _poisson(lives, most, random)
    age = lives.age(subject, time)
    num_had = (lives.onset[subject] <= time[:, None]).sum(axis=1)
    rate = access[subject] * (
        VISITS_PER_YEAR * np.exp(VISITS_AGE_SLOPE * (age - 50)) + VISITS_PER_DISEASE * num_had
    )
    kept = mark * most[subject] < rate
    kinds, shares = zip(*VISIT_KINDS, strict=True)
    routine = _rows(subject[kept], time[kept], random.choice(kinds, int(kept.sum()), p=shares))
    return _stack([routine, _rows(np.arange(len(lives.birth)), _enrolment(lives), concepts.OUTPATIENT)])


def _everyday(lives: Lives, kinds: tuple[Everyday, ...], random: np.random.Generator) -> tuple[Rows, Rows]:
    """Everyday conditions or procedures, thinned to their rate by age, sex and season; and drugs for them."""
    found, drugs = [], []
    for kind in kinds:
        by_sex = kind.rate * np.where(lives.people.male, kind.men, kind.women)
        extreme = max(kind.age * (kind.ages[0] - 50), kind.age * (min(kind.ages[1], 100) - 50))
        most = by_sex * np.exp(extreme) * (1 + (SEASON_AMPLITUDE if kind.peak_month else 0))
        subject, time, mark = _poisson(lives, most, random)
        age = lives.age(subject, time)
        rate = (
            by_sex[subject] * np.exp(kind.age * (np.minimum(age, 100) - 50)) * _season(time, kind.peak_month)
        )
        kept = (mark * most[subject] < rate) & (age >= kind.ages[0]) & (age < kind.ages[1])
        found.append(_rows(subject[kept], time[kept], kind.concept_id))
        given = kept & (random.random(len(kept)) < kind.drug_share)
        drugs.append(_rows(subject[given], time[given], kind.drug_concept_id))
    return _stack(found), _stack(drugs)


def _season(time: np.ndarray, peak_month: int) -> np.ndarray:
    if not peak_month:
        return np.ones(len(time))
    year = (time / MICROSECONDS_PER_YEAR) - (peak_month - 0.5) / 12
    return 1 + SEASON_AMPLITUDE * np.cos(2 * np.pi * year)


def _measurements(lives: Lives, visits: Rows, random: np.random.Generator) -> Rows:
    """Biomarkers at visits: all at enrolment, else by chance, laboratory tests more often in the ill."""
    subject, time = visits["subject"], visits["time"]
    age = lives.age(subject, time)
    level = lives.level(subject, age)
    ill = (lives.onset[subject] <= time[:, None]).any(axis=1)
    enrolment = time == to_minutes(_enrolment(lives))[subject]
    male = lives.people.male[subject].astype(int)
    parts = []
    for column, marker in enumerate(BIOMARKERS):
        chance = np.where(
            ill, np.maximum(MEASURED_WHEN_ILL, MEASURED_AT_VISIT[marker.name]), MEASURED_AT_VISIT[marker.name]
        )
        taken = enrolment | (random.random(len(subject)) < chance)
        mean = np.array(marker.mean)[male] + marker.slope * (age - 50)
        value = mean + marker.sd * level[:, column] + marker.noise_sd * random.standard_normal(len(subject))
        value = np.clip(value, *marker.bounds).round(marker.decimals)
        part = _rows(subject[taken], time[taken], marker.concept_id)
        part["value"] = value[taken]
        part["unit_concept_id"] = np.full(int(taken.sum()), marker.unit_concept_id)
        parts.append(part)
    return _stack(parts)


def _smoking(lives: Lives, visits: Rows, random: np.random.Generator) -> Rows:
    """Smoking status at enrolment and some visits, of those who answer."""
    subject, time = visits["subject"], visits["time"]
    answers = random.random(len(lives.birth)) < ANSWERED_SMOKING
    enrolment = time == to_minutes(_enrolment(lives))[subject]
    asked = answers[subject] & (enrolment | (random.random(len(subject)) < ASKED_SMOKING))
    subject, time = subject[asked], time[asked]
    quit_age = lives.people.quit_age[subject]
    former = np.where(quit_age > lives.age(subject, time), concepts.SMOKER, concepts.EX_SMOKER)
    return _rows(subject, time, np.where(np.isinf(quit_age), concepts.NEVER_SMOKED, former))


def _repeats(lives: Lives, visits: Rows, random: np.random.Generator) -> Rows:
    """Standing diagnoses that a visit records again."""
    subject, time = visits["subject"], visits["time"]
    has = lives.onset[subject] < time[:, None]
    row, disease = np.nonzero(has & (random.random(has.shape) < REPEAT_DIAGNOSIS))
    ids = np.array([disease.concept_id for disease in DISEASES])
    return _rows(subject[row], time[row], ids[disease])


def _at_diagnosis(lives: Lives, onsets: Rows, random: np.random.Generator) -> Rows:
    """Procedures on the day of a diagnosis, for diagnoses made within the record."""
    parts = []
    for name, procedures in concepts.DISEASE_PROCEDURES.items():
        onset = lives.onset[:, DISEASE_NAMES.index(name)]
        subject = np.flatnonzero((onset < NEVER) & (onset >= lives.record_start))
        for concept_id, share in procedures:
            done = subject[random.random(len(subject)) < share]
            parts.append(_rows(done, onset[done], concept_id))
    return _stack(parts)


def _prescriptions(lives: Lives, law: Law, random: np.random.Generator) -> Rows:
    """Drugs from diagnosis (or record start) to exit, renewed every :data:`SUPPLY_DAYS`, some unrecorded."""
    parts = []
    takes = treated(law, lives.people, lives.onset < NEVER)
    for column, treatment in enumerate(TREATMENTS):
        started = np.where(law.starts[:, column], lives.onset, NEVER).min(axis=1)
        begin = np.maximum(started, lives.record_start)
        subject = np.flatnonzero(takes[:, column] & (begin < lives.exit))
        supply = SUPPLY_DAYS * MICROSECONDS_PER_DAY
        renewals = (lives.exit[subject] - begin[subject]) // supply + 1
        rows = np.repeat(subject, renewals)
        order = np.arange(len(rows)) - np.repeat(np.cumsum(renewals) - renewals, renewals)
        kept = (order == 0) | (random.random(len(rows)) < REFILLED)
        parts.append(_rows(rows[kept], begin[rows[kept]] + order[kept] * supply, treatment.drug_concept_id))
    return _stack(parts)


def _visits(
    lives: Lives, frames: dict[str, pl.DataFrame], planned: pl.DataFrame, random: np.random.Generator
) -> pl.DataFrame:
    """One visit per subject and time that has a record; those not planned are outpatient visits."""
    kinds = [frames[name] for name in ("condition", "procedure")]
    needed = pl.concat([frame.select("subject", "time") for frame in kinds])
    extra = needed.with_columns(concept_id=pl.lit(concepts.OUTPATIENT, pl.Int32))
    visits = pl.concat([planned, extra]).unique(["subject", "time"], keep="first", maintain_order=True)
    visits = visits.sort("subject", "time")
    nights = random.integers(1, LONGEST_STAY_DAYS + 1, visits.height)
    stay = np.where(visits["concept_id"].to_numpy() == concepts.INPATIENT, nights, 0) * MICROSECONDS_PER_DAY
    end = np.minimum(
        visits["time"].cast(pl.Int64).to_numpy() + stay, lives.exit[visits["subject"].to_numpy()]
    )
    return visits.with_columns(end=pl.Series(to_minutes(end)).cast(pl.Datetime("us")))
