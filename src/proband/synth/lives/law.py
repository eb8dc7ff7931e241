"""The table of traits as arrays, with the baseline hazards that give the population its incidence.

    log hazard_d = log rate_d(sex, age) - centre_d(sex, age) + beta_d(age) g_d + u_d + deprivation + x W_d
    beta_d(age) = beta_d(60) max(0, 1 + k_d (age - 60) / 10)

``rate`` is the table's incidence, log-linear between its ages. ``centre`` is the log of the mean ratio
E[exp(linear predictor)] among those alive and free of the disease at that age and sex, found by
:mod:`proband.synth.lives.calibrate`, so that the population's incidence is the table's, all modifiers on.
beta and k, of the genetic value g, are found there too, so that the hazard ratio that a study would fit for
the best score is the published one; u is the unobserved part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float32

from proband.core.errors import DataError
from proband.synth.config import ADDITIVE
from proband.synth.lives.laws import LAWS, RECENTRED, Term
from proband.synth.traits import (
    ADULT_AGE,
    BIOMARKER_NAMES,
    BIOMARKERS,
    DISEASE_NAMES,
    DISEASES,
    ENVIRONMENT,
    HAZARDS,
    INCIDENCE_AGES,
    MORTALITY,
    TREATMENTS,
    table_hash,
)

NUM_DISEASES, NUM_MARKERS, NUM_TREATMENTS = len(DISEASES), len(BIOMARKERS), len(TREATMENTS)
SMOKING = NUM_MARKERS
"""Columns of the covariates: drift of the biomarkers, smoking current and former, diseases, treatments."""
HAS = SMOKING + 2
TREATED = HAS + NUM_DISEASES
NUM_COVARIATES = TREATED + NUM_TREATMENTS
OLDEST = 120.0
"""Age at which the tables end, years; no one is simulated beyond it."""
REFERENCE_AGE = 60.0
"""Age to which ``age_slope`` relates, years."""
CALIBRATION = Path(__file__).with_name("baseline.csv")
EFFECTS = Path(__file__).with_name("genetic_effects.csv")
"""Calibrated effects of the genetic values."""


@dataclass(frozen=True)
class Law:
    """The law of lives in steps from age 18; hazards are the diseases', then death's.

    Attributes:
        step_years: Length of a step, within which hazards are constant.
        log_rate: Log baseline hazard per year in each step, (women and men, steps, hazards).
        genetic: Log ratio per standard deviation of a disease's genetic value, in each step.
        unobserved: Log ratio per standard deviation of its unobserved part.
        deprivation: Log ratio per standard deviation, of each hazard.
        weights: Log ratios of the covariates as the table gives them; biomarkers at their level.
        marker_shift: What (diseases, treatments) add to biomarkers, in their standard deviations.
        record_rate: Hazard of the diagnosis after onset, per year; 0 where it is recorded at onset.
        at_onset: Diseases recorded at onset.
        missed: Share never diagnosed.
        false_rate: Hazard of a false first record, per year.
        starts: Which diseases' records start a treatment, (diseases, treatments).
        share: Share who take a treatment.
        stopping: Hazard of stopping it, per year.
        term: Added to the log hazards; None for a law that is a sum of effects.
    """

    step_years: float
    log_rate: Float[np.ndarray, "2 steps hazards"]
    genetic: Float32[np.ndarray, "steps diseases"]
    unobserved: Float[np.ndarray, " diseases"]
    deprivation: Float[np.ndarray, " hazards"]
    weights: Float[np.ndarray, "covariates hazards"]
    marker_shift: Float[np.ndarray, "causes markers"]
    record_rate: Float[np.ndarray, " diseases"]
    at_onset: Bool[np.ndarray, " diseases"]
    missed: Float[np.ndarray, " diseases"]
    false_rate: Float[np.ndarray, " diseases"]
    starts: Bool[np.ndarray, "diseases treatments"]
    share: Float[np.ndarray, " treatments"]
    stopping: Float[np.ndarray, " treatments"]
    term: Term | None = None

    @property
    def num_steps(self) -> int:
        """Steps from 18 to the end of the tables."""
        return self.log_rate.shape[1]

    def step_of(self, age: Float[np.ndarray, " rows"]) -> np.ndarray:
        """The step that holds an age."""
        step = np.floor((age - ADULT_AGE) / self.step_years + 1e-9).astype(np.int64)
        return np.clip(step, 0, self.num_steps - 1)

    def effects(self) -> Float[np.ndarray, "covariates hazards"]:
        """Log ratios of the covariates with what diseases and treatments do through the biomarkers."""
        effects = self.weights.copy()
        effects[HAS:] += self.marker_shift @ self.weights[:NUM_MARKERS]
        return effects.astype(np.float32)

    def neutral(self) -> Law:
        """The table's rates without any modifier of them."""
        log_rate = table_rates(self.step_years).astype(np.float32)
        modifiers = ("genetic", "unobserved", "deprivation", "weights")
        zeros = {name: np.zeros_like(getattr(self, name)) for name in modifiers}
        return replace(self, log_rate=log_rate, term=None, **zeros)


def table_law(step_years: float = 0.25, name: str = ADDITIVE) -> Law:
    """The :class:`Law` of the table of traits.

    Args:
        step_years: Length of a step.
        name: One of :data:`proband.synth.lives.laws.LAWS`.

    Raises:
        DataError: The calibration was made with another table of traits.
    """
    centre = read_calibration(CALIBRATION if name not in RECENTRED else calibration_of(name))
    year = np.clip((_middles(step_years) - ADULT_AGE).astype(int), 0, centre.shape[1] - 1)
    return replace(uncentred_law(step_years, read_effects(), centre[:, year]), term=LAWS[name])


def calibration_of(name: str) -> Path:
    """The file of a law's own baselines."""
    return CALIBRATION.with_name(f"baseline_{name}.csv")


@dataclass(frozen=True)
class GeneticEffects:
    """Effects of the diseases' genetic values on their hazards.

    Attributes:
        at_60: Log ratio per standard deviation at age 60.
        slope: Its change per decade of age, relative to ``at_60``.
    """

    at_60: Float[np.ndarray, " diseases"]
    slope: Float[np.ndarray, " diseases"]

    def at(self, age: Float[np.ndarray, " ages"]) -> Float[np.ndarray, "ages diseases"]:
        """Log ratios at ages in years: linear in age, and nowhere below 0."""
        return self.at_60 * np.maximum(0, 1 + self.slope * (age[:, None] - REFERENCE_AGE) / 10)


def uncentred_law(step_years: float, effects: GeneticEffects, centre: np.ndarray | float = 0.0) -> Law:
    """The law with ``centre``, (2, steps, hazards), taken off its log rates."""
    delays = np.array([disease.delay_years for disease in DISEASES])
    with np.errstate(divide="ignore"):
        record_rate = np.where(delays > 0, 1 / delays, 0.0)
    return Law(
        step_years=step_years,
        log_rate=(table_rates(step_years) - centre).astype(np.float32),
        genetic=effects.at(_middles(step_years)).astype(np.float32),
        unobserved=np.log([disease.unobserved_ratio for disease in DISEASES]),
        deprivation=np.log([hazard.deprivation for hazard in HAZARDS]),
        weights=_weights(),
        marker_shift=_marker_shift(),
        record_rate=record_rate,
        at_onset=delays == 0,
        missed=np.array([disease.missed for disease in DISEASES]),
        false_rate=np.array([disease.false_records for disease in DISEASES]) / 1000,
        starts=np.array([[name in drug.diseases for drug in TREATMENTS] for name in DISEASE_NAMES]),
        share=np.array([treatment.share for treatment in TREATMENTS]),
        stopping=np.array([treatment.stopping for treatment in TREATMENTS]),
    )


def _middles(step_years: float) -> Float[np.ndarray, " steps"]:
    """Ages in the middle of each step."""
    return ADULT_AGE + step_years * (np.arange(int(np.ceil((OLDEST - ADULT_AGE) / step_years))) + 0.5)


def table_rates(step_years: float) -> Float[np.ndarray, "2 steps hazards"]:
    """Log of the table's rates per year in the middle of each step; minus infinity where they are 0."""
    middle = _middles(step_years)
    rows = [(disease.incidence, INCIDENCE_AGES) for disease in DISEASES]
    rows.append((MORTALITY.incidence, MORTALITY.ages))
    rates = [[log_rate_at(of_sex, ages, middle) for of_sex in incidence] for incidence, ages in rows]
    return np.array(rates).transpose(1, 2, 0)


def log_rate_at(
    rates: tuple[float | None, ...] | None, ages: tuple[float, ...], at: np.ndarray
) -> np.ndarray:
    """Log hazard per year at ages ``at`` from rates per 1,000: linear between ``ages``, constant outside."""
    if rates is None:
        return np.full(len(at), -np.inf)
    known = np.array([-np.inf if rate is None else np.log(rate / 1000) for rate in rates])
    return np.interp(at, ages, known)


def read_calibration(path: Path = CALIBRATION) -> Float[np.ndarray, "2 years hazards"]:
    """Log mean ratios by sex and year of age from 18.

    Raises:
        DataError: They were made with another table of traits.
    """
    frame = _calibrated(path, table_hash()).drop("sex", "age")
    return frame.to_numpy().reshape(2, -1, NUM_DISEASES + 1)


def read_effects(path: Path = EFFECTS) -> GeneticEffects:
    """Calibrated effects of the genetic values.

    Raises:
        DataError: They were made with another table of traits.
    """
    frame = _calibrated(path, table_hash())
    return GeneticEffects(frame["at_60"].to_numpy(), frame["slope"].to_numpy())


@cache
def _calibrated(path: Path, expected: str) -> pl.DataFrame:
    first = path.read_text().partition("\n")[0]
    if first != f"# table {expected}":
        raise DataError(
            "the calibration belongs to another table of traits",
            where=path.name,
            found=first,
            expected=f"# table {expected}",
            remedy="run python -m proband.synth.lives.calibrate",
        )
    return pl.read_csv(path, comment_prefix="#")


def _weights() -> np.ndarray:
    ratios = np.ones((NUM_COVARIATES, NUM_DISEASES + 1))
    for column, hazard in enumerate(HAZARDS):
        for name, ratio in hazard.biomarkers.items():
            ratios[BIOMARKER_NAMES.index(name), column] = ratio
        ratios[SMOKING:HAS, column] = hazard.smoking
    for column, disease in enumerate(DISEASES):
        for name, ratio in disease.comorbidity.items():
            ratios[HAS + DISEASE_NAMES.index(name), column] = ratio
        ratios[HAS + column, NUM_DISEASES] = disease.death
    for row, treatment in enumerate(TREATMENTS):
        for name, ratio in treatment.ratios.items():
            ratios[TREATED + row, DISEASE_NAMES.index(name)] = ratio
        ratios[TREATED + row, NUM_DISEASES] = treatment.death_ratio
    return np.log(ratios)


def _marker_shift() -> np.ndarray:
    shift = np.zeros((NUM_DISEASES + NUM_TREATMENTS, NUM_MARKERS))
    shifts = [cause.shifts for cause in DISEASES] + [cause.shifts for cause in TREATMENTS]
    for row, by_marker in enumerate(shifts):
        for name, amount in by_marker.items():
            column = BIOMARKER_NAMES.index(name)
            shift[row, column] = amount / BIOMARKERS[column].sd
    return shift


def access(deprivation: np.ndarray) -> np.ndarray:
    """Ratio of a person's hazard of being recorded, at age 50."""
    return ENVIRONMENT.access_deprivation**deprivation


def access_at(age: np.ndarray) -> np.ndarray:
    """Ratio of the hazard of being recorded at an age."""
    return ENVIRONMENT.access_age ** (age - 50)
