"""Everyday conditions and procedures: by age, sex and season alone, so that nothing genetic explains them.

Rates are rounded choices of ours: they give the records their texture and carry no claim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.care.rows import Rows, poisson_times, rows, stack
from proband.synth.lives.lives import Lives
from proband.synth.traits import Number

SEASON_AMPLITUDE = 0.7
"""Seasonal rates swing between 1 - amplitude and 1 + amplitude of their mean."""
REFERENCE_AGE, OLDEST = 50.0, 100.0
"""Age of the rates, and the age after which they no longer change, years."""


@dataclass(frozen=True)
class Everyday:
    """A condition or procedure unrelated to the genome.

    Attributes:
        concept_id: What is recorded.
        rate: Per person-year, of the sex that has more of it, at age 50 (mean over the year if seasonal).
        age: Change of the log rate per year of age.
        women: Rate of women relative to men where it is below 1.
        men: Rate of men relative to women where it is below 1.
        peak_month: Month of the most, for the seasonal; 0 for none.
        drug_concept_id: A drug given for it, or 0.
        drug_share: Share of its records with the drug.
        ages: Ages between which it occurs.
    """

    concept_id: int
    rate: Number
    age: Number = 0.0
    women: Number = 1.0
    men: Number = 1.0
    peak_month: int = 0
    drug_concept_id: int = 0
    drug_share: Number = 0.0
    ages: tuple[Number, Number] = (18, 120)


AMOXICILLIN, ACETAMINOPHEN, CETIRIZINE, NITROFURANTOIN = 19073188, 1127433, 40228214, 920334
IBUPROFEN, NAPROXEN, FERROUS_SULFATE = 19078461, 19019273, 19077344

CONDITIONS = (
    Everyday(260139, 0.06, peak_month=1, drug_concept_id=AMOXICILLIN, drug_share=0.4),  # acute bronchitis
    Everyday(40481087, 0.06, -0.01, peak_month=1, drug_concept_id=AMOXICILLIN, drug_share=0.3),  # sinusitis
    Everyday(
        4112343, 0.05, -0.02, peak_month=2, drug_concept_id=ACETAMINOPHEN, drug_share=0.2
    ),  # pharyngitis
    Everyday(255848, 0.008, 0.05, peak_month=1, drug_concept_id=AMOXICILLIN, drug_share=0.7),  # pneumonia
    Everyday(254761, 0.05, peak_month=1),  # cough
    Everyday(4280726, 0.04, -0.02, peak_month=5, drug_concept_id=CETIRIZINE, drug_share=0.6),  # hay fever
    Everyday(
        81902, 0.06, 0.01, men=0.25, drug_concept_id=NITROFURANTOIN, drug_share=0.7
    ),  # urinary infection
    Everyday(195588, 0.02, men=0.2, drug_concept_id=NITROFURANTOIN, drug_share=0.6),  # cystitis
    Everyday(77074, 0.06, 0.02, drug_concept_id=IBUPROFEN, drug_share=0.4),  # joint pain
    Everyday(4132891, 0.05, 0.01, drug_concept_id=NAPROXEN, drug_share=0.4),  # low back pain
    Everyday(4079750, 0.02, 0.05, men=0.7, drug_concept_id=NAPROXEN, drug_share=0.3),  # arthrosis of knee
    Everyday(378253, 0.04, -0.02, men=0.5, drug_concept_id=ACETAMINOPHEN, drug_share=0.4),  # headache
    Everyday(4223659, 0.03),  # fatigue
    Everyday(318800, 0.02, 0.01),  # reflux
    Everyday(75860, 0.02, 0.03),  # constipation
    Everyday(196456, 0.005, 0.02, men=0.6),  # gallstone
    Everyday(439777, 0.012, 0.02, men=0.6, drug_concept_id=FERROUS_SULFATE, drug_share=0.5),  # anaemia
    Everyday(372328, 0.012, -0.03),  # otitis media
    Everyday(134438, 0.02),  # contact dermatitis
    Everyday(81151, 0.015, -0.03, peak_month=7),  # sprain of ankle
)
"""Everyday conditions; none is a disease of the law, nor a descendant of one."""

PROCEDURES = (
    Everyday(4324693, 0.35, men=0.0, ages=(50, 75)),  # mammography
    Everyday(4249893, 0.07, ages=(50, 76)),  # colonoscopy
    Everyday(4195803, 0.08, men=0.1, ages=(65, 90)),  # bone density scan
    Everyday(4163951, 0.08, 0.03),  # electrocardiogram
    Everyday(4163872, 0.04, 0.02, peak_month=1),  # chest X-ray
)
"""Screening and everyday procedures."""


def everyday(lives: Lives, kinds: tuple[Everyday, ...], random: np.random.Generator) -> tuple[Rows, Rows]:
    """Everyday conditions or procedures of all records, and the drugs given for them."""
    found, drugs = [], []
    for kind in kinds:
        at = _one(lives, kind, random)
        found.append(at)
        given = random.random(len(at["subject"])) < kind.drug_share
        drugs.append(rows(at["subject"][given], at["time"][given], kind.drug_concept_id))
    return stack(found), stack(drugs)


def _one(lives: Lives, kind: Everyday, random: np.random.Generator) -> Rows:
    by_sex = kind.rate * np.where(lives.people.male, kind.men, kind.women)
    oldest = min(kind.ages[1], OLDEST)
    extreme = max(kind.age * (age - REFERENCE_AGE) for age in (kind.ages[0], oldest))
    most = by_sex * np.exp(extreme) * (1 + SEASON_AMPLITUDE * bool(kind.peak_month))
    subject, time, mark = poisson_times(lives, most, random)
    age = lives.age(subject, time)
    by_age = np.exp(kind.age * (np.minimum(age, oldest) - REFERENCE_AGE))
    rate = by_sex[subject] * by_age * _season(time, kind.peak_month)
    kept = (mark * most[subject] < rate) & (age >= kind.ages[0]) & (age < kind.ages[1])
    return rows(subject[kept], time[kept], kind.concept_id)


def _season(time: np.ndarray, peak_month: int) -> np.ndarray:
    if not peak_month:
        return np.ones(len(time))
    year = time / MICROSECONDS_PER_YEAR - (peak_month - 0.5) / 12
    return 1 + SEASON_AMPLITUDE * np.cos(2 * np.pi * year)
