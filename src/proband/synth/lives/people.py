"""What stays with a person for life."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.special import ndtri

from proband.core.seeds import uniforms
from proband.synth.genomes.polygenic.liability import liabilities
from proband.synth.lives.law import NUM_MARKERS, Law
from proband.synth.traits import ADULT_AGE, ENVIRONMENT


@dataclass(frozen=True)
class People:
    """What does not change, or is settled at 18.

    Attributes:
        male: Sex.
        genetic: Genetic values of the diseases, standard deviations of Europeans.
        unobserved: What neither genes nor covariates explain of each disease, standard deviations.
        stable: Stable part of the biomarkers' levels, standard deviations from the mean of age and sex.
        deprivation: Standard deviations of the population.
        quit_age: Age at which smoking ends: minus infinity for never smokers.
        willing: Who takes a treatment when it is due, (subjects, treatments).
        missed: Whose disease is never diagnosed, (subjects, diseases).
        birth_year: Birth as a calendar year with its fraction; not a number for people outside the calendar.
    """

    male: Bool[np.ndarray, " subjects"]
    genetic: Float[np.ndarray, "subjects diseases"]
    unobserved: Float[np.ndarray, "subjects diseases"]
    stable: Float[np.ndarray, "subjects markers"]
    deprivation: Float[np.ndarray, " subjects"]
    quit_age: Float[np.ndarray, " subjects"]
    willing: Bool[np.ndarray, "subjects treatments"]
    missed: Bool[np.ndarray, "subjects diseases"]
    birth_year: Float[np.ndarray, " subjects"] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if len(self.birth_year) != len(self.male):
            object.__setattr__(self, "birth_year", np.full(len(self.male), np.nan))

    def take(self, rows: np.ndarray) -> People:
        """These rows, in this order, with repeats."""
        return People(**{name: values[rows] for name, values in vars(self).items()})


def draw_deprivation(
    family: Int64[np.ndarray, " subjects"],
    european: Bool[np.ndarray, " subjects"],
    european_share: float,
    seed: int,
    random: np.random.Generator,
) -> Float[np.ndarray, " subjects"]:
    """Deprivation of mean 0 and variance 1 over the biobank, alike in families, higher in non-Europeans.

    A family's part is a function of its number alone, so that its members agree whatever shard they are in.
    """
    gap = ENVIRONMENT.group_deprivation
    between = gap * (np.where(european, 0.0, 1.0) - (1 - european_share))
    rest = np.sqrt(1 - gap**2 * european_share * (1 - european_share))
    of_family = ndtri(uniforms(seed, "synth/deprivation", family))
    share = ENVIRONMENT.family_deprivation
    own = random.standard_normal(len(family))
    return between + rest * (np.sqrt(share) * of_family + np.sqrt(1 - share) * own)


def draw_people(
    law: Law,
    male: Bool[np.ndarray, " subjects"],
    genetic: Float[np.ndarray, "subjects traits"],
    unobserved: Float[np.ndarray, "subjects traits"],
    deprivation: Float[np.ndarray, " subjects"],
    random: np.random.Generator,
) -> People:
    """Draw smoking, willingness to be treated and missed diseases.

    Args:
        law: Shares.
        male: Sex.
        genetic: Genetic values, biomarkers first, then diseases.
        unobserved: The other part of each, standard deviations.
        deprivation: Standard deviations; the deprived smoke more.
        random: Stream.
    """
    count = len(male)
    share = np.where(male, ENVIRONMENT.ever_smokers[1], ENVIRONMENT.ever_smokers[0])
    odds = share / (1 - share) * ENVIRONMENT.smoking_deprivation**deprivation
    ever = random.random(count) < odds / (1 + odds)
    quit_age = ADULT_AGE + random.exponential(1 / ENVIRONMENT.quit_per_year, count)
    return People(
        male=male,
        genetic=genetic[:, NUM_MARKERS:],
        unobserved=unobserved[:, NUM_MARKERS:],
        stable=liabilities(genetic, unobserved)[:, :NUM_MARKERS],
        deprivation=deprivation,
        quit_age=np.where(ever, quit_age, -np.inf),
        willing=random.random((count, len(law.share))) < law.share,
        missed=random.random((count, len(law.missed))) < law.missed,
    )
