"""The stage: draw a biobank, live its lives, write its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from proband.core import schema
from proband.core.provenance import is_finished, stage_output
from proband.core.seeds import generator
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.care import write
from proband.synth.care.records import make_records
from proband.synth.config import SynthConfig
from proband.synth.genomes.genotypes import Genome, simulate, typed_calls
from proband.synth.genomes.liability import draw_effects, draw_liabilities, genetic_values
from proband.synth.genomes.scores import Score, make_scores
from proband.synth.lives.lifecourse import Law, State, advance, draw_people, live_to_entry, table_law
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, NEVER, Lives, to_minutes, years_after
from proband.synth.lives.truth import risk_table, true_risks
from proband.synth.traits import ADULT_AGE, DISEASE_NAMES, TRAIT_NAMES

OLDEST_AT_ENTRY = 80.0
_ENTRY_AGE_BETA = (2.2, 1.8)
"""Shape of ages at enrolment between 18 and 80: middle age most. Rounded choice of ours, as is the next."""
_DEPRIVATION_SHIFT = 0.3
"""Mean deprivation of non-Europeans: ancestry goes along with access to care."""
FIRST_SUBJECT_ID = 1001


@dataclass(frozen=True)
class Population:
    """The people before any life is lived: sex, traits, deprivation, and their calendar."""

    subject_id: np.ndarray
    male: np.ndarray
    genetic: np.ndarray
    traits: np.ndarray
    deprivation: np.ndarray
    birth: np.ndarray
    entry: np.ndarray


def synth(
    out: Path,
    *,
    subjects: int = 5000,
    seed: int = 0,
    scores: int = 60,
    overwrite: bool = False,
    config: SynthConfig | None = None,
) -> None:
    """Make a synthetic biobank.

    Args:
        out: Output folder.
        subjects: Subjects.
        seed: Same seed, same files.
        scores: Scoring files.
        overwrite: Make it anew where there is one.
        config: All settings; it replaces ``subjects``, ``seed`` and ``scores``.

    Raises:
        ConfigError: msprime is not installed, the settings do not fit together, or ``out`` is in use.
    """
    config = config or SynthConfig(subjects=subjects, seed=seed, scores=scores)
    if is_finished(out, "synth", config, overwrite):
        return
    from threadpoolctl import threadpool_limits

    # A product's last bits depend on how many threads share it; one thread keeps the files the same.
    with threadpool_limits(1), stage_output(out, stage="synth", config=config, seed=config.seed) as run:
        genome = simulate(config)
        effects = draw_effects(genome, config)
        people = draw_population(genome, effects, config)
        law = table_law()
        lives, landmark = live(people, law, config)
        records = make_records(lives, law, generator(config.seed, "synth", "records"))
        run.counts |= write.write_omop(run.folder / "omop", lives, people.subject_id, records, config.end)
        made = make_scores(genome, effects, config)
        write.write_scorefiles(run.folder / "scorefiles", made)
        calls, typed = typed_calls(genome, config)
        variants = genome.variants.filter("genotyped")
        write.write_genotypes(
            run.folder / "genotypes", calls, variants, people.subject_id[typed], people.male[typed]
        )
        write.write_task(run.folder / "task.yaml", config.landmark_years, config.horizons_years)
        _write_truth(run.folder / "truth", genome, people, lives, law, landmark, made, config)
        run.counts |= {"num_genotyped": len(typed), "num_variants": variants.height, "num_scores": len(made)}


def draw_population(genome: Genome, effects: np.ndarray, config: SynthConfig) -> Population:
    """Draw sex, environment, birth and enrolment of everyone in ``genome``."""
    random = generator(config.seed, "synth", "population")
    count = config.subjects
    genetic = genetic_values(genome.dosages, effects, genome.population)
    deprivation = random.standard_normal(count) + _DEPRIVATION_SHIFT * (genome.population != "EUR")
    first, last = (np.datetime64(day, "D").astype(np.int64) for day in config.enrolment)
    entry_day = random.integers(first, last + 1, count)
    age = ADULT_AGE + (OLDEST_AT_ENTRY - ADULT_AGE) * random.beta(*_ENTRY_AGE_BETA, count)
    birth_day = np.floor(entry_day - age * 365.25).astype(np.int64)
    return Population(
        subject_id=np.arange(FIRST_SUBJECT_ID, FIRST_SUBJECT_ID + count),
        male=random.random(count) < 0.5,
        genetic=genetic,
        traits=draw_liabilities(genetic, random),
        deprivation=deprivation,
        birth=birth_day * MICROSECONDS_PER_DAY,
        entry=entry_day * MICROSECONDS_PER_DAY,
    )


def live(population: Population, law: Law, config: SynthConfig) -> tuple[Lives, State]:
    """Live everyone's life to the administrative end; also the state at the landmark, for the truth."""
    random = generator(config.seed, "synth", "lives")
    people = draw_people(population.male, population.traits, population.deprivation, random)
    birth, entry = population.birth, population.entry
    entry_age = (entry - birth) / MICROSECONDS_PER_YEAR
    end = np.datetime64(config.end, "D").astype(np.int64) * MICROSECONDS_PER_DAY
    state, ages, markers = live_to_entry(law, people, entry_age, config.step_years, random)
    steps = advance(law, people, state, entry_age + config.landmark_years, config.step_years, random)
    landmark = state.take(np.arange(len(entry)))
    steps += advance(law, people, state, (end - birth) / MICROSECONDS_PER_YEAR, config.step_years, random)
    lost = years_after(entry, random.exponential(1 / max(config.loss_per_year, 1e-12), len(entry)))
    # Follow-up is lost on a day, as an observation period is written; death has its minute.
    exit_time = np.minimum(end, lost - lost % MICROSECONDS_PER_DAY)
    death = to_minutes(years_after(birth, state.death))
    death = np.where(death <= exit_time, death, NEVER)
    back = random.uniform(*config.record_years, len(entry))
    start = np.maximum(entry_age - back, ADULT_AGE)
    onset = np.stack([years_after(birth, ages_at) for ages_at in state.onset.T], axis=1)
    lives = Lives(
        people=people,
        birth=birth,
        record_start=to_minutes(years_after(birth, np.minimum(start, entry_age))),
        entry=entry,
        exit=np.minimum(exit_time, death),
        death=death,
        onset=to_minutes(onset),
        ages=np.concatenate([ages, [step.age for step in steps]]),
        markers=np.concatenate([markers, [step.markers for step in steps]]),
    )
    return lives, landmark


def _write_truth(
    folder: Path,
    genome: Genome,
    population: Population,
    lives: Lives,
    law: Law,
    landmark: State,
    scores: list[Score],
    config: SynthConfig,
) -> None:
    folder.mkdir()
    _liabilities(population).write_parquet(folder / "liabilities.parquet", compression="zstd")
    _onsets(population, lives).write_parquet(folder / "onsets.parquet", compression="zstd")
    _subjects(population, lives, genome).write_parquet(folder / "subjects.parquet", compression="zstd")
    _score_table(scores).write_parquet(folder / "scores.parquet", compression="zstd")
    schema.RISK.write(oracle(population, lives, law, landmark, config), folder / "risk.parquet")


def oracle(
    population: Population, lives: Lives, law: Law, landmark: State, config: SynthConfig
) -> pl.DataFrame:
    """True risks at the landmark of everyone in follow-up there, for each disease not had by then."""
    time = lives.entry + config.landmark_years * MICROSECONDS_PER_YEAR
    present = np.flatnonzero(lives.exit > time)
    state = landmark.take(present)
    risk, error = true_risks(
        law,
        lives.people.take(present),
        state,
        config.horizons_years,
        config.truth_replicates,
        config.step_years,
        generator(config.seed, "synth", "truth"),
    )
    free = lives.onset[present] > time[present, None]
    times = pl.Series(time[present]).cast(schema.TIME)
    return risk_table(
        population.subject_id[present], times, free, risk, error, DISEASE_NAMES, config.horizons_years
    )


def _liabilities(population: Population) -> pl.DataFrame:
    subject, trait = (index.ravel() for index in np.indices(population.traits.shape))
    return pl.DataFrame(
        {
            "subject_id": population.subject_id[subject],
            "trait": np.array(TRAIT_NAMES)[trait],
            "liability": population.traits.ravel(),
            "genetic": population.genetic.ravel(),
        }
    )


def _onsets(population: Population, lives: Lives) -> pl.DataFrame:
    subject, disease = np.nonzero(lives.onset < NEVER)
    onset = lives.onset[subject, disease]
    return pl.DataFrame(
        {
            "subject_id": population.subject_id[subject],
            "disease": np.array(DISEASE_NAMES)[disease],
            "time": pl.Series(onset).cast(schema.TIME),
            "age_years": (onset - lives.birth[subject]) / MICROSECONDS_PER_YEAR,
            "in_follow_up": (onset >= lives.entry[subject]) & (onset <= lives.exit[subject]),
        }
    )


def _subjects(population: Population, lives: Lives, genome: Genome) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "subject_id": population.subject_id,
            "population": genome.population,
            "male": population.male,
            "deprivation": population.deprivation,
            "quit_age": lives.people.quit_age,
        }
    )


def _score_table(scores: list[Score]) -> pl.DataFrame:
    names = ("pgs_id", "trait", "discovery", "size", "method", "is_null")
    return pl.DataFrame({name: [getattr(score, name) for score in scores] for name in names})
