"""Drugs: from the start of a treatment to its stop, renewed with gaps."""

from __future__ import annotations

import numpy as np

from proband.synth.care.concepts import descendants
from proband.synth.care.rows import Rows, rows, stack
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, Lives
from proband.synth.traits import TREATMENTS

# Rounded choices of ours.
SUPPLY_DAYS = 90
"""Days of a prescription."""
GAP_DAYS = 12.0
"""Mean days between the end of a supply and its renewal."""
FILLED = 0.85
"""Share of renewals that are recorded; the first prescription always is."""


def prescriptions(lives: Lives, random: np.random.Generator) -> Rows:
    """Every treatment's prescriptions within the record; what began before it is entered at the first visit.

    A person keeps to one of the drug's forms in the concept table; a drug without any is recorded as its
    ingredient.
    """
    parts = []
    for column, treatment in enumerate(TREATMENTS):
        begin = np.maximum(lives.started[:, column], lives.record_start)
        end = np.minimum(lives.stopped[:, column], lives.exit)
        subject = np.flatnonzero((lives.started[:, column] <= lives.exit) & (begin < end))
        forms = np.array(descendants(treatment.drug_concept_id) or [treatment.drug_concept_id])
        form = random.choice(forms, len(subject))
        parts.append(_course(subject, begin[subject], end[subject], form, random))
    return stack(parts)


def _course(
    subject: np.ndarray, begin: np.ndarray, end: np.ndarray, form: np.ndarray, random: np.random.Generator
) -> Rows:
    supply = SUPPLY_DAYS * MICROSECONDS_PER_DAY
    most = (end - begin) // supply + 1
    row = np.repeat(np.arange(len(subject)), most)
    first = np.cumsum(most) - most
    gap = (random.exponential(GAP_DAYS, len(row)) * MICROSECONDS_PER_DAY).astype(np.int64)
    # Days until each renewal of one person: what all have run up, less what had when its course began.
    run = np.cumsum(gap + supply)
    elapsed = run - gap - supply
    elapsed -= elapsed[first[row]] if len(row) else 0
    time = begin[row] + elapsed
    started = np.arange(len(row)) == first[row]
    kept = (time < end[row]) & (started | (random.random(len(row)) < FILLED))
    return rows(subject[row[kept]], time[kept], form[row[kept]])
