"""Lives in small time steps: competing onsets and death, drifting biomarkers, treatment.

Within a step the hazards are constant, given the state at its start and the age at its middle:

    log hazard_d(t) = log rate_d(sex) + slope_d (min(age, plateau_d) - 60) + static_d + x(t) W_d - centre_d

``static`` holds liability and deprivation, ``x`` holds biomarkers (in standard deviations from the mean of
age and sex), smoking, diseases and treatments. ``centre`` makes the mean ratio of everything but disease and
treatment 1, so that the table's rates are those of people without any other disease.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from proband.synth.genomes.liability import liability_correlation
from proband.synth.traits import (
    ADULT_AGE,
    BIOMARKER_NAMES,
    BIOMARKERS,
    DISEASE_NAMES,
    DISEASES,
    MORTALITY,
    TREATMENTS,
)

NUM_DISEASES, NUM_MARKERS, NUM_TREATMENTS = len(DISEASES), len(BIOMARKERS), len(TREATMENTS)
REFERENCE_AGE = 60.0
EVER_SMOKERS = (0.35, 0.45)
"""Share of women and men who ever smoked. Rounded choice of ours, as are the next three."""
QUIT_PER_YEAR = 0.035
DRIFT_YEARS = 3.0
"""Relaxation time of a biomarker's drift about the person's stable level."""
_CURRENT, _FORMER = 0.2, 0.2
"""Shares of current and former smokers that centre the hazards."""
_SMOKING = NUM_MARKERS
_HAS = _SMOKING + 2
_TREATED = _HAS + NUM_DISEASES


@dataclass(frozen=True)
class Law:
    """The tables of ``traits`` as arrays; hazards are the diseases', then death's.

    Attributes:
        log_rate: Log hazard per year at 60, (2 sexes, hazards).
        slope: Per year of age.
        plateau: Years of age.
        liability: Log ratio per standard deviation of a disease's liability.
        deprivation: Log ratio per standard deviation.
        weights: Log ratios of (biomarkers, smoking current and former, diseases, treatments), by hazard.
        centre: Log of the mean ratio in the population.
        marker_shift: What (diseases, treatments) add to biomarkers, in their standard deviations.
        starts: Which diseases start a treatment, (diseases, treatments).
    """

    log_rate: Float[np.ndarray, "2 hazards"]
    slope: Float[np.ndarray, " hazards"]
    plateau: Float[np.ndarray, " hazards"]
    liability: Float[np.ndarray, " hazards"]
    deprivation: Float[np.ndarray, " hazards"]
    weights: Float[np.ndarray, "covariates hazards"]
    centre: Float[np.ndarray, " hazards"]
    marker_shift: Float[np.ndarray, "causes markers"]
    starts: Bool[np.ndarray, "diseases treatments"]

    def neutral(self) -> Law:
        """The same rates with every modifier of them removed."""
        zeros = {
            name: np.zeros_like(getattr(self, name))
            for name in ("liability", "deprivation", "weights", "centre")
        }
        return replace(self, **zeros)


def table_law() -> Law:
    """The :class:`Law` of the table of traits."""
    hazards = (*DISEASES, MORTALITY)
    starts = np.array(
        [[disease in treatment.diseases for treatment in TREATMENTS] for disease in DISEASE_NAMES]
    )
    liability = np.array([disease.log_ratio for disease in DISEASES] + [0.0])
    deprivation = np.log([hazard.deprivation for hazard in hazards])
    weights = _weights()
    return Law(
        log_rate=np.log([[hazard.rate[sex] / 1000 for hazard in hazards] for sex in (0, 1)]),
        slope=np.array([hazard.slope for hazard in hazards]),
        plateau=np.array([disease.plateau for disease in DISEASES] + [np.inf]),
        liability=liability,
        deprivation=deprivation,
        weights=weights,
        centre=_centre(liability, deprivation, weights),
        marker_shift=_marker_shift(),
        starts=starts,
    )


def _weights() -> np.ndarray:
    ratios = np.ones((_TREATED + NUM_TREATMENTS, NUM_DISEASES + 1))
    for column, disease in enumerate(DISEASES):
        for name, ratio in disease.biomarkers.items():
            ratios[BIOMARKER_NAMES.index(name), column] = ratio
        ratios[_SMOKING : _SMOKING + 2, column] = disease.smoking
        for name, ratio in disease.comorbidity.items():
            ratios[_HAS + DISEASE_NAMES.index(name), column] = ratio
        ratios[_HAS + column, NUM_DISEASES] = disease.death
    ratios[_SMOKING : _SMOKING + 2, NUM_DISEASES] = MORTALITY.smoking
    for row, treatment in enumerate(TREATMENTS):
        for name, ratio in treatment.ratios.items():
            ratios[_TREATED + row, DISEASE_NAMES.index(name)] = ratio
    return np.log(ratios)


def _centre(liability: np.ndarray, deprivation: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Log mean ratio: of correlated normals exp(variance / 2), of smoking the mean at its usual shares."""
    correlation = liability_correlation()
    centre = deprivation**2 / 2
    for hazard in range(NUM_DISEASES + 1):
        log_ratio = np.concatenate([weights[:NUM_MARKERS, hazard], np.zeros(NUM_DISEASES)])
        if hazard < NUM_DISEASES:
            log_ratio[NUM_MARKERS + hazard] = liability[hazard]
        centre[hazard] += log_ratio @ correlation @ log_ratio / 2
    current, former = np.exp(weights[_SMOKING : _SMOKING + 2])
    return centre + np.log(1 + _CURRENT * (current - 1) + _FORMER * (former - 1))


def _marker_shift() -> np.ndarray:
    shift = np.zeros((NUM_DISEASES + NUM_TREATMENTS, NUM_MARKERS))
    shifts = [cause.shifts for cause in DISEASES] + [cause.shifts for cause in TREATMENTS]
    for row, by_marker in enumerate(shifts):
        for name, amount in by_marker.items():
            column = BIOMARKER_NAMES.index(name)
            shift[row, column] = amount / BIOMARKERS[column].sd
    return shift


@dataclass
class People:
    """What stays with a person.

    Attributes:
        male: Sex.
        liability: Of the diseases, standard deviations.
        stable: Stable part of the biomarkers, standard deviations.
        deprivation: Standard deviations.
        quit_age: Age at which smoking ended; infinite for lasting, -infinite for never smokers.
        reluctance: Uniform draws; a treatment is taken by those below its share, (subjects, treatments).
    """

    male: Bool[np.ndarray, " subjects"]
    liability: Float[np.ndarray, "subjects diseases"]
    stable: Float[np.ndarray, "subjects markers"]
    deprivation: Float[np.ndarray, " subjects"]
    quit_age: Float[np.ndarray, " subjects"]
    reluctance: Float[np.ndarray, "subjects treatments"]

    def take(self, rows: np.ndarray) -> People:
        """These rows, in this order, with repeats."""
        return People(**{name: values[rows] for name, values in vars(self).items()})


@dataclass
class State:
    """What changes: age (years), ages at onset and death (infinite until then), drift of the biomarkers."""

    age: Float[np.ndarray, " subjects"]
    onset: Float[np.ndarray, "subjects diseases"]
    death: Float[np.ndarray, " subjects"]
    drift: Float[np.ndarray, "subjects markers"]

    def take(self, rows: np.ndarray) -> State:
        """A copy of these rows, in this order, with repeats."""
        return State(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Step:
    """One step as it was: ages at its start, its length, biomarkers, and the hazards that held in it."""

    age: Float[np.ndarray, " subjects"]
    years: Float[np.ndarray, " subjects"]
    markers: Float[np.ndarray, "subjects markers"]
    hazards: Float[np.ndarray, "subjects hazards"]


_DRIFT_SD = np.sqrt([1 - marker.stable for marker in BIOMARKERS])


def draw_people(
    male: Bool[np.ndarray, " subjects"],
    traits: Float[np.ndarray, "subjects traits"],
    deprivation: Float[np.ndarray, " subjects"],
    random: np.random.Generator,
) -> People:
    """Draw smoking and willingness to be treated; ``traits`` holds biomarkers, then diseases."""
    count = len(male)
    ever = random.random(count) < np.where(male, EVER_SMOKERS[1], EVER_SMOKERS[0])
    quit_age = np.where(ever, 20 + random.exponential(1 / QUIT_PER_YEAR, count), -np.inf)
    reluctance = random.random((count, NUM_TREATMENTS))
    return People(male, traits[:, NUM_MARKERS:], traits[:, :NUM_MARKERS], deprivation, quit_age, reluctance)


def newborn_adults(count: int, random: np.random.Generator) -> State:
    """``count`` people at age 18 with nothing yet."""
    return State(
        np.full(count, ADULT_AGE),
        np.full((count, NUM_DISEASES), np.inf),
        np.full(count, np.inf),
        random.standard_normal((count, NUM_MARKERS)) * _DRIFT_SD,
    )


def treated(
    law: Law, people: People, has: Bool[np.ndarray, "subjects diseases"]
) -> Bool[np.ndarray, "subjects treatments"]:
    """Who takes what: the willing among those with a disease that starts it."""
    shares = np.array([treatment.share for treatment in TREATMENTS])
    return (has.astype(np.float32) @ law.starts.astype(np.float32) > 0) & (people.reluctance < shares)


def covariates(law: Law, people: People, state: State) -> Float[np.ndarray, "subjects covariates"]:
    """The time-dependent covariates x; the first columns are the biomarkers."""
    x = np.empty((len(state.age), law.weights.shape[0]))
    has = np.isfinite(state.onset)
    x[:, _SMOKING] = people.quit_age > state.age
    x[:, _SMOKING + 1] = np.isfinite(people.quit_age) & (people.quit_age <= state.age)
    x[:, _HAS:_TREATED] = has
    x[:, _TREATED:] = treated(law, people, has)
    x[:, :NUM_MARKERS] = people.stable + state.drift + x[:, _HAS:] @ law.marker_shift
    return x


def static_part(law: Law, people: People) -> Float[np.ndarray, "subjects hazards"]:
    """The part of the log hazards at 60 that never changes."""
    part = law.log_rate[people.male.astype(int)] - law.centre + np.outer(people.deprivation, law.deprivation)
    part[:, :NUM_DISEASES] += people.liability * law.liability[:NUM_DISEASES]
    return part


def advance(
    law: Law,
    people: People,
    state: State,
    until: Float[np.ndarray, " subjects"],
    step_years: float,
    random: np.random.Generator,
    num_steps: int | None = None,
) -> list[Step]:
    """Live on until each subject's age ``until``, changing ``state`` in place.

    Args:
        law: Hazards.
        people: Who.
        state: Where they are; the dead stay as they are.
        until: Age to reach, years.
        step_years: Longest step.
        random: Stream.
        num_steps: Steps to take, when more than needed are wanted for a common shape.

    Returns:
        The steps taken; a subject's hazards are 0 after death and for diseases it already has.
    """
    needed = int(np.ceil(max(float(np.max(until - state.age, initial=0)), 0) / step_years - 1e-9))
    static = static_part(law, people)
    return [_step(law, people, static, state, until, step_years, random) for _ in range(num_steps or needed)]


def _step(
    law: Law,
    people: People,
    static: np.ndarray,
    state: State,
    until: np.ndarray,
    step_years: float,
    random: np.random.Generator,
) -> Step:
    years = np.clip(until - state.age, 0, step_years)
    x = covariates(law, people, state)
    age = (state.age + years / 2)[:, None]
    hazards = np.exp(static + x @ law.weights + law.slope * (np.minimum(age, law.plateau) - REFERENCE_AGE))
    hazards[:, :NUM_DISEASES] *= np.isinf(state.onset)
    hazards *= np.isinf(state.death)[:, None]
    taken = Step(state.age.copy(), years, x[:, :NUM_MARKERS].astype(np.float32), hazards)
    with np.errstate(divide="ignore"):
        wait = random.standard_exponential(hazards.shape) / hazards
    dies = wait[:, -1] < years
    limit = np.where(dies, wait[:, -1], years)[:, None]
    falls_ill = wait[:, :NUM_DISEASES] < limit
    state.onset[falls_ill] = (state.age[:, None] + wait[:, :NUM_DISEASES])[falls_ill]
    state.death[dies] = (state.age + wait[:, -1])[dies]
    kept = np.exp(-years / DRIFT_YEARS)[:, None]
    shock = random.standard_normal(state.drift.shape) * _DRIFT_SD
    state.drift[:] = state.drift * kept + np.sqrt(1 - kept**2) * shock
    state.age[:] = state.age + years
    return taken


def live_to_entry(
    law: Law,
    people: People,
    entry_age: Float[np.ndarray, " subjects"],
    step_years: float,
    random: np.random.Generator,
) -> tuple[State, Float[np.ndarray, "steps subjects"], Float[np.ndarray, "steps subjects markers"]]:
    """Lives from 18 to enrolment, given survival to it.

    Who dies before enrolment is lived again, with the same genome, environment and entry age, until alive at
    it: exactly the law of a life given survival to entry, so no one is enrolled who could not be.

    Returns:
        The state at entry, and age and biomarkers at the start of each step.
    """
    num_steps = max(1, int(np.ceil((float(entry_age.max()) - ADULT_AGE) / step_years)))
    count = len(entry_age)
    state = newborn_adults(count, random)
    ages = np.empty((num_steps, count))
    markers = np.empty((num_steps, count, NUM_MARKERS), dtype=np.float32)
    pending = np.arange(count)
    while len(pending):
        trial = newborn_adults(len(pending), random)
        steps = advance(law, people.take(pending), trial, entry_age[pending], step_years, random, num_steps)
        ages[:, pending] = [step.age for step in steps]
        markers[:, pending] = [step.markers for step in steps]
        for name, values in vars(state).items():
            values[pending] = getattr(trial, name)
        pending = pending[np.isfinite(trial.death)]
    return state, ages, markers
