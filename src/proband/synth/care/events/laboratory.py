"""Measurements: what is measured at a visit, why, and with what errors."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from proband.synth.care.events.diagnoses import diagnosed, undiagnosed
from proband.synth.care.events.visits import enrolment_time
from proband.synth.care.practice import PANEL_COLUMNS, PANELS, SYMPTOMATIC, panels_of
from proband.synth.care.rows import Rows, stack, take
from proband.synth.lives.lives import Lives, to_minutes
from proband.synth.traits import BIOMARKERS, Biomarker

# Rounded choices of ours.
ON_SUSPICION, AT_DIAGNOSIS, FOLLOW_UP = 0.3, 0.85, 0.4
"""Chances of a panel at a visit: for a disease felt but not found, at its record, and when it is known."""
NOT_REPORTED = 0.01
"""Share of results without a value."""
SLIPPED = 0.002
"""Share of values in another unit than the one recorded, or off by a decimal place."""
SLIPS = {
    "hba1c": 10.93,
    "ldl": 1 / 38.67,
    "hdl": 1 / 38.67,
    "triglycerides": 1 / 88.57,
    "urate": 59.48,
    "haemoglobin": 10.0,
    "crp": 0.1,
}
"""Factor of a slip of units, by biomarker: mmol/mol for percent (slope of the IFCC equation), mmol/L for
mg/dL, micromol/L for mg/dL, g/L for g/dL, mg/dL for mg/L; 10 (a decimal place) for the others."""
DECIMAL_PLACE = 10.0
UNCODED_MARKER = "bone_mineral_density"
"""The one biomarker without a concept here: LOINC has a code for each site and machine."""


def measurements(lives: Lives, visits: Rows, random: np.random.Generator) -> Rows:
    """Biomarkers at visits, with columns ``value`` (NaN where not reported) and ``unit_concept_id``."""
    subject, time = visits["subject"], visits["time"]
    taken = random.random((len(subject), len(PANELS)), dtype=np.float32) < panel_chances(lives, subject, time)
    age = lives.age(subject, time)
    level = lives.level(subject, age)
    parts = []
    for panel, columns in enumerate(PANEL_COLUMNS):
        at = np.flatnonzero(taken[:, panel])
        male = lives.people.male[subject[at]]
        for column in columns:
            marker = BIOMARKERS[column]
            part = take(visits, at) | {"value": _reported(marker, level[at, column], male, age[at], random)}
            part["concept_id"] = np.full(len(at), marker.concept_id)
            part["unit_concept_id"] = np.full(len(at), marker.unit_concept_id)
            parts.append(part)
    return stack(parts)


def panel_chances(lives: Lives, subject: np.ndarray, time: np.ndarray) -> Float[np.ndarray, "visits panels"]:
    """The chance of each panel at each visit, given what is known and what is felt at that time alone."""
    routine = np.array([panel.routine for panel in PANELS.values()], dtype=np.float32)
    workup, follow_up = panels_of("workup"), panels_of("follow_up")
    recorded_now = to_minutes(lives.recorded[subject]) == time[:, None]
    reasons = (
        (undiagnosed(lives, subject, time) & SYMPTOMATIC, workup, ON_SUSPICION),
        (recorded_now, workup, AT_DIAGNOSIS),
        (diagnosed(lives, subject, time), follow_up, FOLLOW_UP),
    )
    left = np.broadcast_to(1 - routine, (len(subject), len(PANELS))).copy()
    for diseases, called_for, chance in reasons:
        left *= np.where(_any(diseases, called_for), np.float32(1 - chance), np.float32(1))
    everyone = np.array([panel.enrolment for panel in PANELS.values()])
    enrolled = time == to_minutes(enrolment_time(lives))[subject]
    left[np.ix_(enrolled, everyone)] = 0
    return 1 - left


def _any(diseases: np.ndarray, called_for: np.ndarray) -> Bool[np.ndarray, "visits panels"]:
    return diseases.astype(np.float32) @ called_for.astype(np.float32) > 0


def _reported(
    marker: Biomarker, level: np.ndarray, male: np.ndarray, age: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Values of these levels (standard deviations) with error, slips and results without a value."""
    error = marker.noise_sd / marker.sd * random.standard_normal(len(level))
    value = np.clip(marker.values(level + error, male, age), *marker.bounds).round(marker.decimals)
    draw = random.random(len(level))
    slip = (value * SLIPS.get(marker.name, DECIMAL_PLACE)).round(max(marker.decimals, 1))
    value = np.where(draw < SLIPPED, slip, value)
    return np.where(draw > 1 - NOT_REPORTED, np.nan, value)
