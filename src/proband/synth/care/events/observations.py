"""Observations: smoking status and an index of deprivation, of part of the people."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from proband.synth.care.concepts import EX_SMOKER, NEVER_SMOKED, NO_CONCEPT, SMOKER
from proband.synth.care.events.visits import enrolment_time
from proband.synth.care.rows import Rows, rows, stack, take
from proband.synth.lives.lives import Lives, to_minutes

# Rounded choices of ours.
ANSWERS_SMOKING, ASKED_SMOKING = 0.75, 0.06
"""Share of people who ever say whether they smoke, and the chance that a visit after enrolment asks."""
HAS_INDEX = 0.6
"""Share of people with an index of deprivation."""
INDEX_ERROR = 0.5
"""Standard deviation of the index about the person's deprivation: it is that of a neighbourhood."""
DEPRIVATION_INDEX = "deprivation_index"
"""Source value of the index, a percentile; no standard concept is certain to mean it."""


def observations(lives: Lives, visits: Rows, random: np.random.Generator) -> Rows:
    """Both, with the column ``value`` (NaN for smoking)."""
    smoking = _smoking(lives, visits, random)
    smoking["value"] = np.full(len(smoking["subject"]), np.nan)
    return stack([smoking, _deprivation(lives, random)])


def _smoking(lives: Lives, visits: Rows, random: np.random.Generator) -> Rows:
    """At enrolment and some visits, of those who answer."""
    subject, time = visits["subject"], visits["time"]
    answers = random.random(len(lives.birth)) < ANSWERS_SMOKING
    enrolment = time == to_minutes(enrolment_time(lives))[subject]
    asked = answers[subject] & (enrolment | (random.random(len(subject)) < ASKED_SMOKING))
    at = take(visits, asked)
    quit_age = lives.people.quit_age[at["subject"]]
    former = np.where(quit_age > lives.age(at["subject"], at["time"]), SMOKER, EX_SMOKER)
    return rows(at["subject"], at["time"], np.where(quit_age == -np.inf, NEVER_SMOKED, former))


def _deprivation(lives: Lives, random: np.random.Generator) -> Rows:
    """At enrolment."""
    subject = np.flatnonzero(random.random(len(lives.birth)) < HAS_INDEX)
    index = lives.people.deprivation[subject] + INDEX_ERROR * random.standard_normal(len(subject))
    table = rows(subject, enrolment_time(lives)[subject], NO_CONCEPT)
    percentile = 100 * norm.cdf(index / np.sqrt(1 + INDEX_ERROR**2))
    return table | {"value": percentile.round(1)}
