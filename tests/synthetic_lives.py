"""Small shards of lives by the law of the synthetic biobank, with liabilities drawn from their joint law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.lives.calibrate import draw_cohort
from proband.synth.lives.law import NUM_DISEASES, NUM_MARKERS, NUM_TREATMENTS, Law
from proband.synth.lives.lifecourse import Course, Drift
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, Lives, live
from proband.synth.lives.output.files import ShardSubjects, join_truth, write_truth
from proband.synth.lives.people import People
from proband.synth.lives.state import State, healthy
from proband.synth.traits import ADULT_AGE, BIOMARKERS

OLDEST = 95.0
"""Age at which a cohort's lives are cut."""


@dataclass(frozen=True)
class LivedCohort:
    """Lives from 18 to :data:`OLDEST` or death."""

    people: People
    state: State
    ends: np.ndarray


def lived_cohort(law: Law, count: int, seed: int) -> LivedCohort:
    """Lives of unrelated people of the reference population."""
    random = generator(seed, "cohort")
    return lived(law, draw_cohort(law, count, random), random)


def lived(law: Law, people: People, random: np.random.Generator) -> LivedCohort:
    """Whole lives of these people."""
    count = len(people.male)
    course = Course(law, people, healthy(count))
    Drift(course.terms.x[:, :NUM_MARKERS], law.step_years).begin(random)
    with threadpool_limits(1):
        for step in range(round((OLDEST - ADULT_AGE) / law.step_years)):
            start = np.full(count, ADULT_AGE + step * law.step_years)
            hazards = course.hazards(np.full(count, step), start)
            changed = course.happen(hazards, start, np.full(count, law.step_years), random)
            course.settle(changed, count, random)
    return LivedCohort(people, course.state, np.minimum(course.state.death, OLDEST))


def average_people(count: int, male: bool = False, willing: bool = False, missed: bool = False) -> People:
    """Never smokers with every genetic value, unobserved part and biomarker at its mean."""
    return People(
        male=np.full(count, male),
        genetic=np.zeros((count, NUM_DISEASES)),
        unobserved=np.zeros((count, NUM_DISEASES)),
        stable=np.zeros((count, NUM_MARKERS)),
        deprivation=np.zeros(count),
        quit_age=np.full(count, -np.inf),
        willing=np.full((count, NUM_TREATMENTS), willing),
        missed=np.full((count, NUM_DISEASES), missed),
    )


def shard_lives(law: Law, count: int, config: SynthConfig, shard: int = 0) -> Lives:
    """A shard of unrelated people, enrolled over four years at 18 to 80."""
    random = generator(config.seed, "test", "cohort", shard)
    people = draw_cohort(law, count, random)
    first = np.datetime64(config.enrolment[0], "D").astype(np.int64)
    entry = first + random.integers(0, 1460, count)
    birth = entry - (365.25 * (18 + 62 * random.beta(2.2, 1.8, count))).astype(np.int64)
    return live(people, birth * MICROSECONDS_PER_DAY, entry * MICROSECONDS_PER_DAY, law, config, shard)


def shard_subjects(lives: Lives, shard: int = 0) -> ShardSubjects:
    """Their ids, genetic values and unobserved parts; shards are alike in size. Biomarkers' genes are 0."""
    count, people = len(lives.birth), lives.people
    spread = np.sqrt([marker.stable - marker.heritability for marker in BIOMARKERS])
    return ShardSubjects(
        subject_id=1001 + count * shard + np.arange(count),
        population=np.where(np.arange(count) % 3, "EUR", "AFR"),
        family=np.arange(count),
        genetic=np.concatenate([np.zeros_like(people.stable), people.genetic], axis=1),
        unobserved=np.concatenate([people.stable / spread, people.unobserved], axis=1),
    )


def write_biobank(out: Path, shards: Sequence[Lives], law: Law, config: SynthConfig) -> None:
    """The truth of a biobank of these shards."""
    folders = [out / f"shard{number}" for number in range(len(shards))]
    for number, (folder, lives) in enumerate(zip(folders, shards, strict=True)):
        folder.mkdir(parents=True)
        write_truth(folder, number, shard_subjects(lives, number), lives, law, config)
    join_truth(folders, out / "truth", config)
