"""Find the mean hazard ratios that make the population's incidence the table's: one forward pass.

A large cohort is lived from 18 on. In each step, before anything happens in it, the mean of
exp(linear predictor) is taken for each hazard and sex over those alive and free of the disease; its inverse
scales the baseline of that very step. So each age's baseline is set by a cohort that has lived by the
baselines of all earlier ages. The means of a year's steps, averaged, are stored beside the law.

Run ``python -m proband.synth.lives.calibrate`` after any change of the table of traits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.core.progress import track
from proband.core.seeds import generator
from proband.synth.genomes.liability import liability_correlation
from proband.synth.lives.law import (
    CALIBRATION,
    NUM_DISEASES,
    NUM_MARKERS,
    OLDEST,
    Law,
    uncentred_law,
)
from proband.synth.lives.lifecourse import Course, Drift
from proband.synth.lives.people import People, draw_people
from proband.synth.lives.state import healthy
from proband.synth.traits import ADULT_AGE, BIOMARKERS, DISEASE_NAMES, table_hash

COHORT = 400_000
"""People of the calibration cohort; a mean ratio's standard error is below 1% to age 95."""
STEP_YEARS = 0.25
LAST_AGE = 102
"""Ages from here on keep the ratio of the year before: too few of the cohort are left."""


def draw_cohort(law: Law, count: int, random: np.random.Generator) -> People:
    """Unrelated people of the reference population, from their liabilities' joint normal law."""
    correlation = liability_correlation()
    stable = np.sqrt([marker.stable for marker in BIOMARKERS] + [1.0] * NUM_DISEASES)
    # Only the stable part of a biomarker is drawn; what it shares with other traits is all in it.
    np.fill_diagonal(correlation, stable**2)
    traits = random.standard_normal((count, len(stable))) @ np.linalg.cholesky(correlation).T
    return draw_people(law, random.random(count) < 0.5, traits, random.standard_normal(count), random)


def mean_ratios(
    count: int = COHORT, seed: int = 0, years: int = LAST_AGE - int(ADULT_AGE)
) -> Float[np.ndarray, "2 years hazards"]:
    """Log mean ratios by sex, year of age from 18, and hazard.

    Args:
        count: People of the cohort.
        seed: Seed of its stream.
        years: Years lived; later ones keep the ratios of the last.
    """
    random = generator(seed, "synth", "calibration")
    law = uncentred_law(STEP_YEARS)
    people = draw_cohort(law, count, random)
    course = Course(law, people, healthy(count))
    Drift(course.terms.x[:, :NUM_MARKERS], STEP_YEARS).begin(random)
    per_year = round(1 / STEP_YEARS)
    means = np.ones((2, years * per_year, NUM_DISEASES + 1))
    for step in track(range(means.shape[1]), "Steps"):
        start = np.full(count, ADULT_AGE + step * STEP_YEARS)
        hazards = course.hazards(np.full(count, step), start)
        for sex in (0, 1):
            means[sex, step] = _mean_ratio(hazards.onset[people.male == sex], law.log_rate[sex, step])
        hazards.onset[:] /= means[people.male.astype(int), step]
        total = hazards.onset.sum(axis=1) + hazards.record.sum(axis=1) + hazards.stop.sum(axis=1)
        hazards.total[:] = total
        changed = course.happen(hazards, start, np.full(count, STEP_YEARS), random)
        course.settle(changed, count, random)
    yearly = np.log(means).reshape(2, -1, per_year, NUM_DISEASES + 1).mean(axis=2)
    rest = np.repeat(yearly[:, -1:], round(OLDEST - ADULT_AGE) - years, axis=1)
    return np.concatenate([yearly, rest], axis=1)


def _mean_ratio(hazards: np.ndarray, log_rate: np.ndarray) -> np.ndarray:
    """Mean of hazard / rate over the rows whose hazard is open; 1 where none is."""
    open_rows = (hazards > 0).sum(axis=0)
    rate = np.exp(log_rate.astype(np.float64))
    total = hazards.sum(axis=0, dtype=np.float64)
    known = (open_rows > 0) & (rate > 0)
    return np.divide(total, rate * open_rows, out=np.ones(len(rate)), where=known)


def write_calibration(path: Path = CALIBRATION, count: int = COHORT) -> None:
    """Calibrate, and write the table with the hash of the traits it belongs to."""
    centre = mean_ratios(count)
    ages = np.arange(centre.shape[1]) + int(ADULT_AGE)
    columns = {"sex": np.repeat(["women", "men"], len(ages)), "age": np.tile(ages, 2)}
    values = centre.reshape(-1, centre.shape[2])
    columns |= {name: values[:, k].round(4) for k, name in enumerate((*DISEASE_NAMES, "death"))}
    path.write_text(f"# table {table_hash()}\n" + pl.DataFrame(columns).write_csv())


if __name__ == "__main__":
    write_calibration()
