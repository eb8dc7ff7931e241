"""Lives made by hand, not by the law: every case a clinic can meet, in numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.care.records import make_records
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, NEVER, Lives, to_minutes
from proband.synth.lives.people import People
from proband.synth.lives.state import healthy
from proband.synth.traits import BIOMARKERS, DISEASE_NAMES, DISEASES, TREATMENTS

NUM = 400
END = np.datetime64("2024-12-31", "D").astype(np.int64) * MICROSECONDS_PER_DAY


def made_lives(num: int, seed: int) -> Lives:
    """People enrolled in 2008 to 2012, who fall ill at any age and are found late, never or falsely."""
    random = np.random.default_rng(seed)
    first = np.datetime64("2008-01-01", "D").astype(np.int64)
    entry = (first + random.integers(0, 1800, num)) * MICROSECONDS_PER_DAY
    age = random.uniform(18, 80, num)
    birth = np.floor(entry / MICROSECONDS_PER_DAY - age * 365.25).astype(np.int64) * MICROSECONDS_PER_DAY
    began = np.maximum(age - random.uniform(2, 8, num), 18)
    death = entry + (random.random(num) * (END - entry)).astype(np.int64)
    death = np.where(random.random(num) < 0.2, to_minutes(death), NEVER)
    lost = entry + random.integers(0, 6000, num) * MICROSECONDS_PER_DAY
    exits = np.minimum(np.minimum(END, lost), death)
    onset, recorded = _illness(birth, random)
    started, stopped = _treatment(recorded, random)
    people = People(
        male=random.random(num) < 0.5,
        genetic=random.standard_normal((num, len(DISEASES))),
        unobserved=random.standard_normal((num, len(DISEASES))),
        stable=random.standard_normal((num, len(BIOMARKERS))),
        deprivation=random.standard_normal(num),
        quit_age=np.where(random.random(num) < 0.4, 18 + random.exponential(28, num), -np.inf),
        willing=started < NEVER,
        missed=recorded == NEVER,
    )
    ages = 18 + 0.25 * np.arange(320)[:, None] + np.zeros(num)
    return Lives(
        people=people,
        birth=birth,
        record_start=to_minutes(np.minimum(birth + (began * MICROSECONDS_PER_YEAR).astype(np.int64), entry)),
        entry=entry,
        exit=exits,
        death=np.where(death <= exits, death, NEVER),
        onset=onset,
        recorded=recorded,
        started=started,
        stopped=stopped,
        ages=ages,
        markers=random.standard_normal((320, num, len(BIOMARKERS))).astype(np.float32),
        state=healthy(num),
        life=np.zeros((num, 2), dtype=np.int64),
    )


def _illness(birth: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    shape = (len(birth), len(DISEASES))
    onset = _moment(birth[:, None], random.uniform(18, 85, shape), random.random(shape) < 0.25)
    delay = np.array([disease.delay_years for disease in DISEASES])
    later = _moment(onset, random.exponential(1, shape) * delay, random.random(shape) < 0.8)
    recorded = np.where(onset < NEVER, later, NEVER)
    false = _moment(birth[:, None], random.uniform(18, 85, shape), random.random(shape) < 0.02)
    return onset, np.minimum(recorded, false)


def _treatment(recorded: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    shape = (len(recorded), len(TREATMENTS))
    starts = [[DISEASE_NAMES.index(name) for name in treatment.diseases] for treatment in TREATMENTS]
    due = np.stack([recorded[:, columns].min(axis=1) for columns in starts], axis=1)
    started = np.where(random.random(shape) < 0.6, due, NEVER)
    return started, _moment(started, random.exponential(5, shape), started < NEVER)


def _moment(start: np.ndarray, years: np.ndarray, happens: np.ndarray) -> np.ndarray:
    base = np.where(start < NEVER, start, 0)
    return np.where(happens, to_minutes(base + (years * MICROSECONDS_PER_YEAR).astype(np.int64)), NEVER)


@pytest.fixture(scope="session")
def make_lives() -> Callable[[int, int], Lives]:
    return made_lives


@pytest.fixture(scope="session")
def lives() -> Lives:
    return made_lives(NUM, 5)


@pytest.fixture(scope="session")
def records(lives: Lives) -> dict:
    return make_records(lives, np.random.default_rng(6))
