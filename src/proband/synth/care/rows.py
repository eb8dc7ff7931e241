"""Rows of a record while it is made: arrays of subject, time and concept, of one length."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.lives.lives import Lives, to_minutes

Rows = dict[str, np.ndarray]
"""``subject`` (row of the lives), ``time`` (microseconds, whole minutes), ``concept_id``, more by kind."""


def rows(
    subject: Int64[np.ndarray, " rows"], time: Int64[np.ndarray, " rows"], concept_id: np.ndarray | int
) -> Rows:
    """Rows of these subjects and times, cut to the minute; ``concept_id`` is one for all or one for each."""
    concept = np.broadcast_to(np.asarray(concept_id, dtype=np.int64), subject.shape)
    return {"subject": subject, "time": to_minutes(time), "concept_id": concept}


def take(table: Rows, kept: np.ndarray) -> Rows:
    """The rows chosen by a mask or by index."""
    return {name: values[kept] for name, values in table.items()}


def stack(parts: list[Rows]) -> Rows:
    """All rows of tables with the same columns."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def within_record(lives: Lives, table: Rows) -> Rows:
    """Rows from the first visit of their subject to its exit."""
    subject, time = table["subject"], table["time"]
    return take(table, (time >= lives.record_start[subject]) & (time <= lives.exit[subject]))


def poisson_times(
    lives: Lives, most_per_year: Float[np.ndarray, " subjects"], random: np.random.Generator
) -> tuple[Int64[np.ndarray, " events"], Int64[np.ndarray, " events"], Float[np.ndarray, " events"]]:
    """Events at each subject's greatest rate over its record, to be thinned to the rate at their time.

    An event stays where ``mark * most_per_year[subject]`` is less than the rate then (Lewis and Shedler 1979,
    doi:10.1002/nav.3800260304).

    Returns:
        Subject, time in microseconds, and a uniform mark of each event.
    """
    span = np.maximum(lives.exit - lives.record_start, 0)
    subject = np.repeat(np.arange(len(span)), random.poisson(span / MICROSECONDS_PER_YEAR * most_per_year))
    time = lives.record_start[subject] + (random.random(len(subject)) * span[subject]).astype(np.int64)
    return subject, time, random.random(len(subject))
