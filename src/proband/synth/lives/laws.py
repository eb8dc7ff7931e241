"""Laws by name: what is added to the log hazards of the table, which are a sum of effects.

    additive      nothing: the table's law
    thresholds    a biomarker beyond one standard deviation on its harmful side doubles the hazard
    interactions  a disease's genetic value counts more in current smokers
    calendar      hazards drift with the calendar year about those of 2015

For a model whose log hazards are sums of effects, the others are laws that its form does not contain.
Incidence by age and sex stays the table's (of calendar: in 2015): each is centred anew by
:mod:`proband.synth.lives.calibrate`. The sizes are round choices of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from proband.synth.config import ADDITIVE
from proband.synth.traits import BIOMARKERS, DISEASES, HAZARDS

THRESHOLD_SD, THRESHOLD_RATIO, LEAST_LOG_RATIO = 1.0, 2.0, 0.15
"""Where the step lies, its hazard ratio, and the least log ratio per SD of a biomarker that has one."""
INTERACTION, LEAST_SMOKING_RATIO = 0.35, 1.2
"""Log ratio per standard deviation of the genetic value in current smokers, beside its own, of diseases whose
hazard smoking raises at least so much."""
REFERENCE_YEAR, FIRST_YEAR, LAST_YEAR = 2015.0, 1995.0, 2035.0
"""The year whose hazards are the table's, and those between which they drift."""
RISING, FALLING, DYING = 1.5, 0.7, 0.85
"""Hazard ratios per decade: of what rises and of what falls, and of death."""
_RISES = (
    "type_2_diabetes",
    "obesity",
    "hypertension",
    "depression",
    "gout",
    "prostate_cancer",
    "breast_cancer",
)
_FALLS = (
    "coronary_artery_disease",
    "ischaemic_stroke",
    "copd",
    "lung_cancer",
    "alzheimers_disease",
    "heart_failure",
)


@dataclass(frozen=True)
class Covariates:
    """What a term may be made of: people at the start of a step, a row each.

    Attributes:
        levels: Biomarkers, standard deviations from the mean of age and sex.
        smokes: 1 for who smokes now.
        genetic: Genetic values of the diseases, standard deviations.
        year: Calendar year, with its fraction; not a number for people without a birth date.
    """

    levels: Float32[np.ndarray, "rows markers"]
    smokes: Float32[np.ndarray, " rows"]
    genetic: Float[np.ndarray, "rows diseases"]
    year: Float[np.ndarray, " rows"]


Term = Callable[[Covariates], Float32[np.ndarray, "rows hazards"]]
"""Added to the log hazards of the diseases, then death's."""


def thresholds(now: Covariates) -> Float32[np.ndarray, "rows hazards"]:
    """log 2 where the disease's strongest biomarker is beyond one standard deviation on its harmful side."""
    added = np.zeros((len(now.smokes), len(HAZARDS)), dtype=np.float32)
    names = [marker.name for marker in BIOMARKERS]
    for column, hazard in enumerate(HAZARDS):
        effects = {name: float(np.log(ratio)) for name, ratio in hazard.biomarkers.items()}
        name = max(effects, key=lambda one: abs(effects[one]), default=None)
        if name is not None and abs(effects[name]) >= LEAST_LOG_RATIO:
            harmful = np.sign(effects[name]) * now.levels[:, names.index(name)]
            added[:, column] = np.log(THRESHOLD_RATIO) * (harmful > THRESHOLD_SD)
    return added


def interactions(now: Covariates) -> Float32[np.ndarray, "rows hazards"]:
    """The product of a disease's genetic value and current smoking."""
    smoking = np.array([disease.smoking[0] >= LEAST_SMOKING_RATIO for disease in DISEASES])
    added = np.zeros((len(now.smokes), len(HAZARDS)), dtype=np.float32)
    added[:, : len(DISEASES)] = INTERACTION * now.smokes[:, None] * now.genetic * smoking
    return added


def calendar(now: Covariates) -> Float32[np.ndarray, "rows hazards"]:
    """A drift by decades since 2015."""
    ratios = [RISING if one.name in _RISES else FALLING if one.name in _FALLS else 1.0 for one in DISEASES]
    decades = (np.clip(now.year, FIRST_YEAR, LAST_YEAR) - REFERENCE_YEAR) / 10
    per_decade = np.log([*ratios, DYING])
    return (np.nan_to_num(decades)[:, None] * per_decade).astype(np.float32)


LAWS: dict[str, Term | None] = {
    ADDITIVE: None,
    "thresholds": thresholds,
    "interactions": interactions,
    "calendar": calendar,
}
"""Name -> what it adds."""
RECENTRED = ("thresholds", "interactions")
"""Laws whose baselines are calibrated anew; those of calendar are the table's in its reference year."""
