"""Small shards of lives by the law of the synthetic biobank, with liabilities drawn from their joint law."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.lives.calibrate import draw_cohort
from proband.synth.lives.files import ShardSubjects, join_truth, write_truth
from proband.synth.lives.law import NUM_DISEASES, NUM_MARKERS, NUM_TREATMENTS, Law
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, Lives, live
from proband.synth.lives.people import People


def average_people(count: int, male: bool = False, willing: bool = False, missed: bool = False) -> People:
    """Never smokers with every liability and biomarker at its mean."""
    return People(
        male=np.full(count, male),
        liability=np.zeros((count, NUM_DISEASES)),
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
    """Their ids and liabilities; shards are alike in size. The genetic part is not looked at: it is 0."""
    count = len(lives.birth)
    traits = np.concatenate([lives.people.stable, lives.people.liability], axis=1)
    return ShardSubjects(
        subject_id=1001 + count * shard + np.arange(count),
        population=np.where(np.arange(count) % 3, "EUR", "AFR"),
        family=np.arange(count),
        genetic=np.zeros_like(traits),
        traits=traits,
    )


def write_biobank(out: Path, shards: Sequence[Lives], law: Law, config: SynthConfig) -> None:
    """The truth of a biobank of these shards."""
    folders = [out / f"shard{number}" for number in range(len(shards))]
    for number, (folder, lives) in enumerate(zip(folders, shards, strict=True)):
        folder.mkdir(parents=True)
        write_truth(folder, number, shard_subjects(lives, number), lives, law, config)
    join_truth(folders, out / "truth", config)
