"""One shard of subjects: draw the people, live their lives, write their records and their truth."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from proband.core.seeds import generator
from proband.synth.care.omop import write_omop_shard
from proband.synth.care.records import make_records
from proband.synth.config import FIRST_SUBJECT_ID, POPULATIONS, SynthConfig
from proband.synth.genomes.relatives.pedigree import Pedigree, subjects_of
from proband.synth.lives.law import table_law
from proband.synth.lives.lives import live
from proband.synth.lives.output.files import ShardSubjects, write_truth
from proband.synth.lives.people import draw_deprivation, draw_people
from proband.synth.traits import TRAITS


def num_shards(config: SynthConfig) -> int:
    """Shards of subjects."""
    return -(-config.subjects // config.shard_subjects)


def shard_folder(scratch: Path, shard: int) -> Path:
    """Where a shard leaves its files: omop/ and truth/."""
    return scratch / f"shard{shard:05d}"


def live_shard(
    config: SynthConfig,
    pedigree: Pedigree,
    genetic: Float[np.ndarray, "subjects traits"],
    scratch: Path,
    shard: int,
) -> None:
    """Live the lives of one shard and leave its records and truth in :func:`shard_folder`.

    Args:
        config: Settings.
        pedigree: Of everyone.
        genetic: Genetic values of all subjects.
        scratch: Folder for the shards.
        shard: Number of the shard, from 0.
    """
    folder = shard_folder(scratch, shard)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "truth").mkdir(parents=True)
    first = shard * config.shard_subjects
    rows = np.arange(first, min(first + config.shard_subjects, config.subjects))
    subjects, law = subjects_of(pedigree), table_law(config.step_years, config.law)
    random = partial(generator, config.seed, "synth")
    # A product's last bits depend on how many threads share it; one thread keeps the files the same.
    with threadpool_limits(1):
        who = ShardSubjects(
            subject_id=FIRST_SUBJECT_ID + rows,
            population=subjects.population[rows],
            family=subjects.family[rows],
            genetic=genetic[rows],
            unobserved=random("environment", shard).standard_normal((len(rows), len(TRAITS))),
        )
        deprivation = draw_deprivation(
            who.family,
            who.population == "EUR",
            config.population_shares[POPULATIONS.index("EUR")],
            config.seed,
            random("deprivation", shard),
        )
        people = draw_people(
            law, subjects.male[rows], who.genetic, who.unobserved, deprivation, random("people", shard)
        )
        lives = live(people, subjects.birth[rows], subjects.entry[rows], law, config, shard)
        records = make_records(lives, random("records", shard))
        write_omop_shard(folder / "omop", lives, who.subject_id, records, shard)
        write_truth(folder / "truth", shard, who, lives, law, config)
