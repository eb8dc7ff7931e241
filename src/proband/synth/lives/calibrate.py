"""Find what makes the population's incidence the table's, and the scores' hazard ratios the published ones.

**Baselines, in one forward pass.** A large cohort is lived from 18 on. In each step, before anything happens
in it, the mean of exp(linear predictor) is taken for each hazard and sex over those alive and free of the
disease; its inverse scales the baseline of that very step. So each age's baseline is set by a cohort that has
lived by the baselines of all earlier ages. The means of a year's steps, averaged, are stored beside the law.

**Effects of the genetic values, in a few passes.** Part of a score's effect runs through biomarkers and other
diseases that share its genes, part is lost to false records and to the depletion of the susceptible. So the
effect at age 60 and its slope with age are moved until the hazard ratio that a study would fit for the best
score (:mod:`proband.synth.lives.score_effects`) is the table's ``score_ratio``, and falls by ``age_slope``.

Run ``python -m proband.synth.lives.calibrate`` after any change of the table of traits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from proband.core.running.progress import say, track
from proband.core.seeds import generator
from proband.synth.genomes.polygenic.liability import genetic_correlation
from proband.synth.lives.law import (
    CALIBRATION,
    EFFECTS,
    NUM_DISEASES,
    NUM_MARKERS,
    OLDEST,
    GeneticEffects,
    Law,
    calibration_of,
    read_calibration,
    table_law,
    uncentred_law,
)
from proband.synth.lives.laws import LAWS, RECENTRED
from proband.synth.lives.lifecourse import Course, Drift
from proband.synth.lives.people import People, draw_people
from proband.synth.lives.score_effects import RecordCounts, ScoreEffects
from proband.synth.lives.state import healthy
from proband.synth.traits import ADULT_AGE, BEST_SCORE_R2, DISEASE_NAMES, DISEASES, TRAITS, table_hash

COHORT = 400_000
"""People of the calibration cohort; a mean ratio's standard error is below 1% to age 95."""
LAW_COHORT = 60_000
"""People of the cohorts that set the baselines of other laws."""
PASSES = (0.125, 0.25, 0.5, 1.0)
"""Cohorts of the passes that set the effects, relative to the last one's."""
STEP_YEARS = 0.25
LAST_AGE = 102
"""Ages from here on keep the ratio of the year before: too few of the cohort are left."""
FIRST_GAIN, GAIN_BOUNDS, LEAST_MOVE = 0.9, (0.3, 1.0), 0.1
"""Secant steps: first gain relative to the score's correlation (depletion takes the rest), bounds of later
ones, and the least change of an effect that tells its gain from noise. Choices of ours, as are the next."""
LEAST_EFFECT, LARGEST_EFFECT, STEEPEST = 0.01, 3.0, -0.5
"""Bounds of the effect at 60, and steepest fall per decade relative to it, that a step may set."""
LEAST_SHARE = 0.2
"""Least effect at the mean age of the records, relative to that at 60, that a step reckons with."""


def draw_cohort(law: Law, count: int, random: np.random.Generator) -> People:
    """Unrelated people of the reference population, genetic values drawn from their joint normal law."""
    shape = (count, len(TRAITS))
    genetic = random.standard_normal(shape) @ np.linalg.cholesky(genetic_correlation(TRAITS)).T
    unobserved = random.standard_normal(shape)
    male, deprivation = random.random(count) < 0.5, random.standard_normal(count)
    return draw_people(law, male, genetic, unobserved, deprivation, random)


@dataclass(frozen=True)
class Cohort:
    """What a cohort showed.

    Attributes:
        centre: Log mean ratios by sex, year of age from 18, and hazard.
        records: Its first records against its genetic values.
    """

    centre: Float[np.ndarray, "2 years hazards"]
    records: RecordCounts


def live_cohort(
    effects: GeneticEffects, count: int = COHORT, seed: int = 0, years: int = LAST_AGE - int(ADULT_AGE)
) -> Cohort:
    """Live a cohort from 18 on, its baselines set on the way.

    Args:
        effects: Of the genetic values.
        count: People of the cohort.
        seed: Seed of its stream.
        years: Years lived; later ones keep the ratios of the last.
    """
    random = generator(seed, "synth", "calibration")
    law = uncentred_law(STEP_YEARS, effects)
    people = draw_cohort(law, count, random)
    records = RecordCounts(people.male, people.genetic)
    course = Course(law, people, healthy(count))
    Drift(course.terms.x[:, :NUM_MARKERS], STEP_YEARS).begin(random)
    per_year = round(1 / STEP_YEARS)
    means = np.ones((2, years * per_year, NUM_DISEASES + 1))
    with threadpool_limits(1):  # the products are too narrow to share between threads
        for step in track(range(means.shape[1]), "Steps"):
            if step % per_year == 0:
                records.begin_year(course.state)
            means[:, step] = _live_step(course, step, random)
            if (step + 1) % per_year == 0:
                records.end_year(course.state)
    yearly = np.log(means).reshape(2, -1, per_year, NUM_DISEASES + 1).mean(axis=2)
    rest = np.repeat(yearly[:, -1:], round(OLDEST - ADULT_AGE) - years, axis=1)
    return Cohort(np.concatenate([yearly, rest], axis=1), records)


def _live_step(course: Course, step: int, random: np.random.Generator) -> Float[np.ndarray, "2 hazards"]:
    """Live a step with its baseline set by those alive; returns the mean ratios, of women and men."""
    male, count = course.terms.people.male, len(course.state.death)
    start = np.full(count, ADULT_AGE + step * STEP_YEARS)
    hazards = course.hazards(np.full(count, step), start)
    means = np.stack(
        [_mean_ratio(hazards.onset[male == sex], course.law.log_rate[sex, step]) for sex in (0, 1)]
    )
    hazards.onset[:] /= means[male.astype(int)]
    total = hazards.onset.sum(axis=1) + hazards.record.sum(axis=1) + hazards.stop.sum(axis=1)
    hazards.total[:] = total
    changed = course.happen(hazards, start, np.full(count, STEP_YEARS), random)
    course.settle(changed, count, random)
    return means


def _mean_ratio(hazards: np.ndarray, log_rate: np.ndarray) -> np.ndarray:
    """Mean of hazard / rate over the rows whose hazard is open; 1 where none is."""
    open_rows = (hazards > 0).sum(axis=0)
    rate = np.exp(log_rate.astype(np.float64))
    total = hazards.sum(axis=0, dtype=np.float64)
    known = (open_rows > 0) & (rate > 0)
    return np.divide(total, rate * open_rows, out=np.ones(len(rate)), where=known)


def recentred(name: str, count: int = LAW_COHORT, seed: int = 0) -> Float[np.ndarray, "2 years hazards"]:
    """Log mean ratios of another law: the table's, and what its own term adds to the mean.

    Both means are of one cohort, which lives by the law itself, so that their quotient is known well from
    fewer people.

    Args:
        name: One of :data:`proband.synth.lives.laws.RECENTRED`.
        count: People of the cohort.
        seed: Seed of its stream.
    """
    law = replace(table_law(STEP_YEARS), term=LAWS[name])
    random = generator(seed, "synth", "calibration", name)
    course = Course(law, draw_cohort(law, count, random), healthy(count))
    Drift(course.terms.x[:, :NUM_MARKERS], STEP_YEARS).begin(random)
    centre = read_calibration()
    per_year, years = round(1 / STEP_YEARS), LAST_AGE - int(ADULT_AGE)
    with threadpool_limits(1):
        steps = range(years * per_year)
        added = np.stack([_recentre_step(course, step, random) for step in track(steps, "Steps")], axis=1)
    yearly = added.reshape(2, years, per_year, NUM_DISEASES + 1).mean(axis=2)
    rest = np.repeat(yearly[:, -1:], centre.shape[1] - years, axis=1)
    return centre + np.concatenate([yearly, rest], axis=1)


def _recentre_step(course: Course, step: int, random: np.random.Generator) -> Float[np.ndarray, "2 hazards"]:
    """Live a step with what the law's term adds to the mean taken off; returns its logarithm by sex."""
    male, count = course.terms.people.male, len(course.state.death)
    start = np.full(count, ADULT_AGE + step * STEP_YEARS)
    hazards = course.hazards(np.full(count, step), start)
    term = course.law.term
    assert term is not None
    plain = hazards.onset * np.exp(-term(course.covariates(count, start)))
    added = np.stack([_log_quotient(hazards.onset[male == sex], plain[male == sex]) for sex in (False, True)])
    before = hazards.onset.sum(axis=1)
    hazards.onset[:] *= np.exp(-added)[male.astype(int)]
    hazards.total[:] += hazards.onset.sum(axis=1) - before
    changed = course.happen(hazards, start, np.full(count, STEP_YEARS), random)
    course.settle(changed, count, random)
    return added


def _log_quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Log of the quotient of the sums of columns; 0 where nobody is at risk."""
    total, base = above.sum(axis=0, dtype=np.float64), below.sum(axis=0, dtype=np.float64)
    return np.log(np.divide(total, base, out=np.ones(len(total)), where=base > 0))


def write_recentred(name: str, count: int = LAW_COHORT) -> None:
    """Calibrate another law's baselines, and write them beside the table's."""
    _write_centre(calibration_of(name), recentred(name, count))


def _write_centre(path: Path, centre: np.ndarray) -> None:
    ages = np.arange(centre.shape[1]) + int(ADULT_AGE)
    columns = {"sex": np.repeat(["women", "men"], len(ages)), "age": np.tile(ages, 2)}
    values = centre.reshape(-1, centre.shape[2])
    columns |= {name: values[:, k].round(4) for k, name in enumerate((*DISEASE_NAMES, "death"))}
    path.write_text(f"# table {table_hash()}\n" + pl.DataFrame(columns).write_csv())


def formula_effects() -> GeneticEffects:
    """Effects of a rare disease whose genes act on nothing else: ln(ratio) / r, r the score's correlation."""
    published = np.log([disease.score_ratio for disease in DISEASES])
    slope = np.array([disease.age_slope for disease in DISEASES])
    return GeneticEffects(published / np.sqrt(BEST_SCORE_R2), slope)


def moved_effects(effects: GeneticEffects, fitted: ScoreEffects, gain: np.ndarray) -> GeneticEffects:
    """One step towards the published ratios: the effect and its slope moved by what the fit lacks.

    Args:
        effects: Under which the cohort lived.
        fitted: What a study of that cohort would fit.
        gain: Change of the fitted log ratio per change of the effect, (diseases,).

    Returns:
        Effects whose slope is never positive: where depletion alone makes the fitted ratio fall faster with
        age than it should, the effect itself stays the same for life.
    """
    published = np.log([disease.score_ratio for disease in DISEASES])
    slope = np.array([disease.age_slope for disease in DISEASES])
    lacking = (slope * published / (1 + slope * fitted.mean_decades) - fitted.per_decade) / gain
    per_decade = np.minimum(effects.at_60 * effects.slope + lacking, 0)
    at_mean = _at_decades(effects, fitted.mean_decades) + (published - fitted.log_ratio) / gain
    at_60 = np.clip(at_mean - per_decade * fitted.mean_decades, LEAST_EFFECT, LARGEST_EFFECT)
    # A cohort too small for any record of a disease says nothing of it.
    known = np.isfinite(at_60) & np.isfinite(per_decade)
    return GeneticEffects(
        np.where(known, at_60, effects.at_60),
        np.where(known, np.clip(per_decade / at_60, STEEPEST, 0), effects.slope),
    )


def _at_decades(effects: GeneticEffects, decades: np.ndarray) -> np.ndarray:
    """Each disease's effect at its own age, in decades from 60."""
    return effects.at_60 * np.maximum(1 + effects.slope * decades, LEAST_SHARE)


def find_effects(count: int = COHORT, seed: int = 0) -> GeneticEffects:
    """Effects of the genetic values, after the secant steps of :data:`PASSES`."""
    effects, correlation = formula_effects(), np.sqrt(BEST_SCORE_R2)
    gain = np.full(NUM_DISEASES, FIRST_GAIN * correlation)
    before: tuple[GeneticEffects, ScoreEffects] | None = None
    for number, share in enumerate(PASSES, start=1):
        fitted = live_cohort(effects, round(share * count), seed + number).records.fit(correlation)
        if before is not None:
            # At one age for both passes, since the slope moves too.
            moved = _at_decades(effects, fitted.mean_decades) - _at_decades(before[0], fitted.mean_decades)
            secant = (fitted.log_ratio - before[1].log_ratio) / np.where(moved == 0, 1, moved)
            telling = (np.abs(moved) > LEAST_MOVE) & np.isfinite(secant)
            gain = np.where(telling, np.clip(secant, *GAIN_BOUNDS), gain)
        before = effects, fitted
        effects = moved_effects(effects, fitted, gain)
    # Rounded as they are stored, so that the baselines are of the very law that is read back.
    return GeneticEffects(effects.at_60.round(4), effects.slope.round(4))


def write_calibration(path: Path = CALIBRATION, effects_path: Path = EFFECTS, count: int = COHORT) -> None:
    """Calibrate, and write both tables with the hash of the traits they belong to."""
    effects = find_effects(count)
    cohort = live_cohort(effects, count)
    _write_centre(path, cohort.centre)
    frame = pl.DataFrame({"disease": DISEASE_NAMES, "at_60": effects.at_60, "slope": effects.slope})
    effects_path.write_text(f"# table {table_hash()}\n" + frame.write_csv())
    _tell(cohort.records.fit(np.sqrt(BEST_SCORE_R2)))


def _tell(fitted: ScoreEffects) -> None:
    for disease, ratio, slope in zip(DISEASES, np.exp(fitted.log_ratio), fitted.slope, strict=True):
        say(
            f"{disease.name}: ratio {ratio:.2f} of {disease.score_ratio:.2f}, "
            f"slope {slope:.2f} of {disease.age_slope:.2f}"
        )


if __name__ == "__main__":
    write_calibration()
    for law in RECENTRED:
        write_recentred(law)
