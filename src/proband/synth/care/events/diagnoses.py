"""Diagnoses: the first record when the law says, its repeats at later visits, and the procedures of its day.

Which code is entered is the clinic's habit: the disease itself or, part of the time, the person's more
specific form of it, so that an outcome needs the hierarchy to be found in full.
"""

from __future__ import annotations

import numpy as np

from proband.synth.care.concepts import descendants
from proband.synth.care.practice import OF_DISEASE
from proband.synth.care.rows import Rows, rows, stack
from proband.synth.lives.lives import Lives, to_minutes
from proband.synth.traits import DISEASES

# Rounded choices of ours.
SPECIFIC = 0.4
"""Share of a disease's records that name the person's more specific form of it."""
REPEATED, REPEATED_IF_FALSE = 0.12, 0.01
"""Chance that a visit records a standing diagnosis again, and one that was never true."""


class Codes:
    """The codes under which each disease is recorded for each subject, drawn once."""

    def __init__(self, num_subjects: int, random: np.random.Generator) -> None:
        self.parent = np.array([disease.concept_id for disease in DISEASES])
        form = random.random((num_subjects, len(DISEASES)))
        self.form = np.empty(form.shape, dtype=np.int64)
        for column, parent in enumerate(self.parent):
            forms = np.array(descendants(int(parent)) or [parent])
            self.form[:, column] = forms[(form[:, column] * len(forms)).astype(int)]

    def draw(self, subject: np.ndarray, disease: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The concept entered in each of these records."""
        specific = random.random(len(subject)) < SPECIFIC
        return np.where(specific, self.form[subject, disease], self.parent[disease])


def first_records(lives: Lives, codes: Codes, random: np.random.Generator) -> Rows:
    """Each disease's first record: at ``lives.recorded``, or at the first visit if that was before it.

    The column ``disease`` says which; ``new`` is false for what the first visit enters as history.
    """
    begin = lives.record_start[:, None]
    recorded = to_minutes(lives.recorded)
    subject, disease = np.nonzero(recorded <= lives.exit[:, None])
    at = np.maximum(recorded, begin)[subject, disease]
    table = rows(subject, at, codes.draw(subject, disease, random))
    return table | {"disease": disease, "new": (recorded >= begin)[subject, disease]}


def repeats(lives: Lives, visits: Rows, codes: Codes, random: np.random.Generator) -> Rows:
    """Diagnoses that a visit after the first record enters again."""
    subject, time = visits["subject"], visits["time"]
    row, disease = np.nonzero(lives.recorded[subject] < time[:, None])
    true = lives.onset[subject[row], disease] <= time[row]
    again = random.random(len(row)) < np.where(true, REPEATED, REPEATED_IF_FALSE)
    row, disease = row[again], disease[again]
    # The first visit holds the history already: entering it there is the first record.
    later = time[row] > lives.record_start[subject[row]]
    row, disease = row[later], disease[later]
    return rows(subject[row], time[row], codes.draw(subject[row], disease, random))


def procedures_at_diagnosis(first: Rows, random: np.random.Generator) -> Rows:
    """Procedures on the day of a new diagnosis."""
    parts = [rows(first["subject"][:0], first["time"][:0], 0)]
    for column, practice in enumerate(OF_DISEASE):
        new = np.flatnonzero((first["disease"] == column) & first["new"])
        for concept_id, share in practice.procedures:
            done = new[random.random(len(new)) < share]
            parts.append(rows(first["subject"][done], first["time"][done], concept_id))
    return stack(parts)


def undiagnosed(lives: Lives, subject: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Diseases that a subject has and no record says so, (rows, diseases)."""
    at = time[:, None]
    return (lives.onset[subject] <= at) & (lives.recorded[subject] > at)


def diagnosed(lives: Lives, subject: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Diseases that a subject has and a record says so, (rows, diseases); a false record is none."""
    at = time[:, None]
    return (lives.recorded[subject] <= at) & (lives.onset[subject] <= at)
