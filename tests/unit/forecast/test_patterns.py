"""Patterns over tokens; the matching itself is tested in ehr."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.ehr.labels import onset_times
from proband.ehr.outcomes import Task
from proband.forecast.patterns import TokenPattern, token_patterns

DAY = 1440


def two_steps(least: float | None = None, most: float | None = None) -> TokenPattern:
    steps = [{"codes": "A"}, {"codes": "B", "after_days": least, "within_days": most}]
    task = Task(
        outcomes={"set": {"codes": "A"}, "both": {"steps": steps}},
        prediction={"age_years": 50},
        horizons_years=[1],
    )
    members = np.array([[False, True, True, False, False], [False, False, True, True, False]])
    found = token_patterns(task, {"set": members[:1], "both": members})
    assert list(found) == ["both"]
    return found["both"]


def onset(pattern: TokenPattern, *events: tuple[int, int]) -> int | None:
    tokens, minutes = np.array(events, dtype=np.int64).reshape(-1, 2).T
    return pattern.onset(tokens.astype(np.int32), minutes)


def test_distances_are_counted_in_minutes() -> None:
    one_to_two = two_steps(1, 2)
    assert onset(one_to_two, (1, 0), (3, DAY - 1)) is None
    assert onset(one_to_two, (1, 0), (3, DAY)) == DAY
    assert onset(one_to_two, (1, 0), (3, 2 * DAY), (3, 3 * DAY)) == 2 * DAY
    assert onset(one_to_two, (1, 0), (3, 2 * DAY + 1)) is None


def test_one_token_may_be_of_both_steps_but_one_event_is_not_both() -> None:
    assert onset(two_steps(), (2, 5)) is None
    assert onset(two_steps(), (2, 5), (2, 5)) is None
    assert onset(two_steps(), (2, 5), (2, 6)) == 6


def test_nothing_happens_without_events_or_with_others_alone() -> None:
    assert onset(two_steps()) is None
    assert onset(two_steps(), (4, 1), (4, 2)) is None


EVENTS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5 * DAY)), max_size=10)


@settings(deadline=None)
@given(EVENTS, st.none() | st.sampled_from([0.5, 1.0]), st.none() | st.sampled_from([1.0, 2.5]))
def test_against_every_pair_of_events(events: list, least: float | None, most: float | None) -> None:
    events.sort(key=lambda event: event[1])
    ends = [
        later
        for (one, before), (two, later) in itertools.product(events, repeat=2)
        if one in (1, 2) and two in (2, 3) and max(1, (least or 0) * DAY) <= later - before
        if most is None or later - before <= most * DAY
    ]
    assert onset(two_steps(least, most), *events) == (min(ends) if ends else None)


@settings(deadline=None, max_examples=50)
@given(EVENTS, st.none() | st.sampled_from([0.5, 1.0]), st.none() | st.sampled_from([1.0, 2.5]))
def test_labels_and_forecasts_find_the_same_onset(
    events: list, least: float | None, most: float | None
) -> None:
    events.sort(key=lambda event: event[1])
    pattern, born = two_steps(least, most), datetime(1950, 1, 1)
    columns = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}
    rows = [(1, born + timedelta(minutes=minute), str(token)) for token, minute in events]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        numeric_value=pl.lit(None, pl.Float32)
    )
    codes = [[str(token) for token in np.flatnonzero(members)] for members in pattern.members]
    found = onset_times(frame, pattern.pattern, codes)["onset"].to_list()
    expected = onset(pattern, *events)
    assert found == ([] if expected is None else [born + timedelta(minutes=expected)])
