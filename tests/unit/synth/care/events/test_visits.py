from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from proband.synth.care.concepts import EMERGENCY_INPATIENT, INPATIENT, OUTPATIENT
from proband.synth.care.events.visits import routine_visits, visit_rate, visit_table
from proband.synth.care.rows import poisson_times, rows
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, NEVER


def test_the_rate_by_hand() -> None:
    rate = visit_rate(
        np.array([50.0, 60.0]),
        np.array([False, True]),
        np.array([0.0, 1.0]),
        np.array([0, 2]),
        np.array([0, 1]),
    )
    man = np.exp(-0.1) * 0.8 * (1.1 * np.exp(0.12) + 2 * 0.3 + 0.5)
    assert rate == pytest.approx([1.1, man])


def test_a_stay_wins_over_other_visits_at_its_time_and_ends_at_the_exit(make_lives: Callable) -> None:
    lives = make_lives(2, 0)
    start = lives.exit - 2 * MICROSECONDS_PER_DAY
    who = np.array([0, 1])
    stays = rows(who[:1], start[:1], EMERGENCY_INPATIENT) | {"nights": np.array([9])}
    planned = rows(who, start, np.array([INPATIENT, OUTPATIENT]))
    later = rows(who, start + MICROSECONDS_PER_DAY, OUTPATIENT)
    table = visit_table(lives, stays, [planned, later, planned], np.random.default_rng(0))
    assert table["subject"].to_list() == [0, 0, 1, 1]
    assert table["concept_id"].to_list() == [EMERGENCY_INPATIENT, OUTPATIENT, OUTPATIENT, OUTPATIENT]
    nights = (table["end"] - table["time"]) / MICROSECONDS_PER_DAY
    assert nights.to_list() == [2, 0, 0, 0]


def test_a_life_without_follow_up_has_no_routine_visits(make_lives: Callable) -> None:
    lives = make_lives(50, 1)
    ended = replace(lives, exit=lives.record_start, death=np.full(50, NEVER))
    assert len(routine_visits(ended, np.random.default_rng(0))["time"]) == 0


def test_poisson_times_come_at_their_rate_within_the_record(make_lives: Callable) -> None:
    lives = make_lives(500, 2)
    subject, time, mark = poisson_times(lives, np.full(500, 3.0), np.random.default_rng(1))
    due = 3 * ((lives.exit - lives.record_start) / (365.25 * MICROSECONDS_PER_DAY)).sum()
    assert len(time) == pytest.approx(due, abs=4 * np.sqrt(due))
    assert ((time >= lives.record_start[subject]) & (time <= lives.exit[subject])).all()
    assert 0.45 < mark.mean() < 0.55


def test_visit_kinds_are_concepts(records: dict[str, pl.DataFrame]) -> None:
    assert records["visit"]["concept_id"].null_count() == 0
    assert (records["visit"]["end"] >= records["visit"]["time"]).all()
