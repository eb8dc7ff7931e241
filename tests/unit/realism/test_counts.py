"""Every count by hand, on three points of which the first has two paths."""

from __future__ import annotations

import numpy as np
import pytest

from proband.core.units import MINUTES_PER_YEAR
from proband.realism.counts import Counts, Plan, count, event_gaps, make_plan
from simulated_futures import hand_futures
from vocabularies import vocabulary_named

YEAR = round(MINUTES_PER_YEAR)
CODES = ("PADDING", "MEDS_BIRTH", "A//Q1", "A//Q2", "B", "MEDS_DEATH")
A1, A2, B, DEATH = 2, 3, 4, 5
VOCABULARY = vocabulary_named(CODES, {"A": (1.0,)}, {}, (False,) * 6, (), 1440)
REAL = hand_futures(
    (0, 2 * YEAR, False, [(100, A1), (100, A2), (300, B)]),
    (1, YEAR, True, [(50, A2), (YEAR, DEATH)]),
    (2, 4 * YEAR, False, []),
)
SIMULATED = hand_futures(
    (0, 2 * YEAR, False, [(40, A1), (YEAR, A1)]),
    (0, YEAR, False, [(40, B)]),
    (1, YEAR, True, [(YEAR, DEATH)]),
    (2, 2 * YEAR, False, [(YEAR, A1), (YEAR, B)]),
)
START = np.array([39 * YEAR, 50 * YEAR, 60 * YEAR])


@pytest.fixture
def plan() -> Plan:
    return make_plan(REAL, VOCABULARY)


def table(counts: Counts, plan: Plan) -> dict[tuple[str, str, str], list[float]]:
    """Numerators by item."""
    columns = counts.top.toarray().T
    return {
        (item.statistic, item.item, item.other): column.tolist()
        for item, column in zip(plan.items(), columns, strict=True)
    }


def test_the_plan_follows_what_really_happened(plan: Plan) -> None:
    names = [plan.codes[code] for code in plan.paired]
    assert names == ["A", "B", "MEDS_DEATH"]  # by how many had them, then by name
    assert plan.gaps[3] == pytest.approx(np.median([100, 200, 50, YEAR - 50]))


def test_an_event_is_all_of_one_time_and_the_first_gap_begins_at_the_prediction() -> None:
    event, gaps = event_gaps(REAL)
    assert event.tolist() == [0, 0, 1, 1]
    assert gaps.tolist() == [100, 200, 50, YEAR - 50]
    event, gaps = event_gaps(SIMULATED)
    assert event.tolist() == [0, 0, 1, 2, 3]
    assert gaps.tolist() == [40, YEAR - 40, 40, YEAR, YEAR]


def test_real_counts(plan: Plan) -> None:
    counts = count(REAL, plan, START)
    found = table(counts, plan)
    assert found["rate", "events", ""] == [2, 2, 0]
    assert found["rate", "measurements", ""] == [3, 2, 0]
    assert found["rate", "deaths", ""] == [0, 1, 0]
    assert found["prevalence", "A", ""] == [1, 1, 0]
    assert found["prevalence", "B", ""] == [1, 0, 0]
    assert found["pair", "A", "B"] == [1, 0, 0]
    assert found["pair", "A", "MEDS_DEATH"] == [0, 1, 0]
    assert found["age_rate", "A", "30-40"] == [2, 0, 0]
    assert found["age_rate", "A", "50-60"] == [0, 1, 0]
    assert counts.bottom[:, 0].tolist() == [1, 1, 1]
    assert counts.bottom[:, 1] == pytest.approx([2, 1, 4])
    assert counts.bottom[:, 2].tolist() == [2, 2, 0]
    assert counts.bottom[:, 3:].sum(axis=1) == pytest.approx([2, 1, 4])
    assert counts.bottom[0, 3 + 3] == pytest.approx(1)
    assert counts.bottom[0, 3 + 4] == pytest.approx(1)


def test_paths_of_a_point_count_as_their_mean(plan: Plan) -> None:
    counts = count(SIMULATED, plan, START)
    found = table(counts, plan)
    assert found["rate", "events", ""] == [1.5, 1, 1]
    assert found["rate", "measurements", ""] == [1.5, 1, 2]
    assert found["prevalence", "A", ""] == [0.5, 0, 1]
    assert found["pair", "A", "B"] == [0, 0, 1]
    assert found["age_rate", "A", "30-40"] == [0.5, 0, 0]
    assert found["age_rate", "A", "40-50"] == [0.5, 0, 0]
    assert counts.bottom[:, 1] == pytest.approx([1.5, 1, 2])
    short = next(name for name in found if name[0] == "gap")
    assert found[short] == [1.0, 0, 0]  # two gaps of 40 minutes, on one path each


def test_some_points_are_counted_as_they_are_among_all(plan: Plan) -> None:
    whole = count(SIMULATED, plan, START)
    some = count(SIMULATED.take(np.array([2, 3])), plan, START)
    assert np.array_equal(some.top.toarray(), whole.top.toarray()[1:])
    assert np.array_equal(some.bottom, whole.bottom[1:])


def test_nothing_happened() -> None:
    empty = hand_futures((0, YEAR, False, []), (1, YEAR, False, []))
    plan = make_plan(empty, VOCABULARY)
    counts = count(empty, plan, START)
    assert counts.top.shape == (2, len(plan.items()))
    assert counts.top.nnz == 0
