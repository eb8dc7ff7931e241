"""The matcher against every choice of events, and by hand where the greedy choice is wrong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.ehr.task.codesets import Pattern
from proband.ehr.task.patterns import completions

TICKS = 10
"""Ticks in a day; distances are in days."""


def pattern(*distances: tuple[float | None, float | None]) -> Pattern:
    later = [{"codes": "X", "after_days": least, "within_days": most} for least, most in distances]
    return Pattern.model_validate({"steps": [{"codes": "X"}, *later]})


def found(times: list[list[int]], *distances: tuple[float | None, float | None]) -> list[int]:
    arrays = [np.array(sorted(set(one)), dtype=np.int64) for one in times]
    return completions(arrays, pattern(*distances), TICKS).tolist()


def every_choice(times: list[list[int]], *distances: tuple[float | None, float | None]) -> list[int]:
    """All completions, by trying every choice of one event per step."""
    ends = set()
    for choice in itertools.product(*times):
        fits = True
        for (least, most), (one, two) in zip(distances, itertools.pairwise(choice), strict=True):
            days = (two - one) / TICKS
            fits &= two > one and (least is None or days >= least) and (most is None or days <= most)
        if fits:
            ends.add(choice[-1])
    return sorted(ends)


TIMES = st.lists(st.integers(-40, 60), max_size=7)
DISTANCE = st.tuples(
    st.none() | st.sampled_from([0.0, 0.5, 1.0, 1.5]), st.none() | st.sampled_from([1.5, 2.0, 3.0])
)


@settings(max_examples=400)
@given(data=st.data(), distances=st.lists(DISTANCE, min_size=1, max_size=3))
def test_against_every_choice_of_events(data: st.DataObject, distances: list) -> None:
    times = [data.draw(TIMES) for _ in range(len(distances) + 1)]
    assert found(times, *distances) == every_choice(times, *distances)


@settings(max_examples=200)
@given(times=TIMES, distances=st.lists(DISTANCE, min_size=1, max_size=3))
def test_one_code_for_all_steps(times: list[int], distances: list) -> None:
    same = [times] * (len(distances) + 1)
    assert found(same, *distances) == every_choice(same, *distances)


def test_neither_the_earliest_nor_the_latest_first_event_is_enough() -> None:
    # 1 to 2 days: the event at 0 is too long before 28, that at 25 too short; that at 12 fits.
    assert found([[0, 12, 25], [28]], (1, 2)) == [28]
    assert found([[0, 25], [28]], (1, 2)) == []


def test_a_later_second_event_may_be_the_one_that_goes_on() -> None:
    # 3 follows 0 and 20 follows 10; only 20 is near enough to 35.
    assert found([[0, 10], [3, 20], [35]], (None, 2), (None, 2)) == [35]


def test_both_ends_count() -> None:
    assert found([[0], [9, 10, 20, 21]], (1, 2)) == [10, 20]


def test_events_of_one_time_do_not_follow_each_other() -> None:
    assert found([[5], [5]], (None, None)) == []
    assert found([[5], [5]], (0, 2)) == []
    assert found([[5], [6]], (0, 2)) == [6]


@pytest.mark.parametrize("times", [[[], [1]], [[1], []], [[], []]])
def test_a_step_that_never_happens(times: list) -> None:
    assert found(times, (None, 2)) == []


def test_distances_finer_than_a_tick_are_kept() -> None:
    assert found([[0], [2, 3, 4, 5]], (0.25, 0.45)) == [3, 4]
