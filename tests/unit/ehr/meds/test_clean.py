from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.ehr.meds.clean import repeated, tidy
from proband.ehr.meds.dataset import BIRTH, DEATH, ENTRY, EVENTS, EXIT

BORN = datetime(1950, 6, 15, 10, 30)


def rows(frame: pl.DataFrame) -> list[tuple]:
    return frame.select("subject_id", "time", "code").rows()


def test_rows_are_sorted_with_statics_first(events: Callable) -> None:
    frame, counts, early, _ = tidy(
        events(
            (2, BORN, BIRTH),
            (1, datetime(2000, 1, 1), "B"),
            (1, datetime(2000, 1, 1), "A", 2.0),
            (1, datetime(2000, 1, 1), "A", 1.0),
            (1, BORN, BIRTH),
            (1, None, "Gender//F"),
        ),
        False,
    )
    assert rows(frame) == [
        (1, None, "Gender//F"),
        (1, BORN, BIRTH),
        (1, datetime(2000, 1, 1), "A"),
        (1, datetime(2000, 1, 1), "A"),
        (1, datetime(2000, 1, 1), "B"),
        (2, BORN, BIRTH),
    ]
    assert frame["numeric_value"].to_list()[2:4] == [1.0, 2.0]
    assert frame.schema == EVENTS
    assert early is None
    assert {name for name, count in counts.items() if count} == {"num_subjects_with_sex"}


def test_non_finite_values_become_null_and_are_counted(events: Callable) -> None:
    values = [math.nan, math.inf, -math.inf, 1.5, None]
    frame, counts, _, _ = tidy(
        events((1, BORN, BIRTH), *((1, datetime(2000, 1, 1 + i), "A", v) for i, v in enumerate(values))),
        False,
    )
    assert frame["numeric_value"].to_list() == [None, None, None, None, 1.5, None]
    assert counts["num_non_finite"] == 3


def test_subjects_without_birth_leave_or_get_one(events: Callable) -> None:
    source = events((1, BORN, BIRTH), (2, None, "G"), (2, datetime(2001, 1, 1), "A"), (3, None, "G"))
    frame, counts, _, _ = tidy(source, False)
    assert frame["subject_id"].to_list() == [1]
    assert (counts["num_no_birth"], counts["num_events_no_birth"]) == (2, 3)
    frame, counts, _, _ = tidy(source, True)
    assert (2, datetime(2001, 1, 1), BIRTH) in rows(frame)
    assert (counts["num_assumed_birth"], counts["num_no_birth"], counts["num_repeated_birth"]) == (1, 1, 0)


def test_one_birth_is_kept(events: Callable) -> None:
    frame, counts, _, _ = tidy(
        events((1, BORN, BIRTH), (1, BORN, BIRTH), (1, datetime(1951, 1, 1), BIRTH)), False
    )
    assert rows(frame) == [(1, BORN, BIRTH)]
    assert counts["num_repeated_birth"] == 2


def test_events_of_the_day_of_birth_move_to_its_hour_and_earlier_ones_leave(events: Callable) -> None:
    frame, counts, early, _ = tidy(
        events(
            (1, BORN, BIRTH),
            (1, datetime(1950, 6, 15), "SAME_DAY"),
            (1, datetime(1950, 6, 14, 23, 59), "DAY_BEFORE"),
            (1, datetime(1949, 1, 1), ENTRY),
        ),
        False,
    )
    assert rows(frame) == [(1, BORN, BIRTH), (1, BORN, ENTRY), (1, BORN, "SAME_DAY")]
    assert (counts["num_before_birth"], counts["num_moved_to_birth"]) == (1, 2)
    assert early is not None
    assert (early.subject_id, early.code) == (1, "DAY_BEFORE")


def test_after_death_is_counted_and_kept(events: Callable) -> None:
    dies = datetime(2000, 5, 5)
    frame, counts, _, _ = tidy(
        events(
            (1, BORN, BIRTH), (1, dies, DEATH), (1, dies.replace(hour=9), "A"), (1, dies.replace(day=6), "B")
        ),
        False,
    )
    assert frame.height == 4
    assert counts["num_after_death"] == 1


TIMES = (
    st.datetimes(datetime(1949, 1, 1), datetime(1952, 1, 1))
    | st.sampled_from([datetime(1700, 1, 1), datetime(9999, 12, 31)])
    | st.none()
)
CODES = st.sampled_from([BIRTH, DEATH, ENTRY, EXIT, "Gender//F", "A", "B"])
LEFT_OUT = (
    "num_before_birth",
    "num_events_no_birth",
    "num_repeated_birth",
    "num_repeated_death",
    "num_impossible_date",
)
ROWS = st.lists(st.tuples(st.integers(1, 3), TIMES, CODES), min_size=1, max_size=30)


@settings(max_examples=60)
@given(ROWS, st.booleans())
def test_every_row_in_is_a_row_out_or_counted(source: list[tuple], assume_birth: bool) -> None:
    frame = pl.DataFrame([(*row, None, None) for row in source], schema=EVENTS, orient="row")
    out, counts, early, examples = tidy(frame, assume_birth)
    reasons = [reason for reason in LEFT_OUT if counts[reason]]
    lost = sum(counts[reason] for reason in reasons)
    assert {"num_repeated_birth", *examples} == {"num_repeated_birth", *reasons}
    assert out.height == len(source) - lost + counts["num_assumed_birth"]
    assert (early is not None) == (counts["num_before_birth"] > 0)
    births = out.filter(pl.col("code") == BIRTH)
    assert births["subject_id"].to_list() == out["subject_id"].unique().sort().to_list()
    joined = out.join(births.select("subject_id", birth="time"), on="subject_id")
    assert joined.filter(pl.col("time") < pl.col("birth")).is_empty()
    again, counts, _, _ = tidy(out, assume_birth)
    assert again.equals(out)
    assert counts["num_moved_to_birth"] == 0


def test_repeated_finds_the_smallest() -> None:
    assert repeated([np.array([1, 5, 9]), np.array([9, 2, 5])]) == 5
    assert repeated([np.array([1]), np.array([2])]) is None
    assert repeated([]) is None


def test_dates_of_another_age_leave_but_ends_of_periods_come_to_its_end(events: Callable) -> None:
    source = events(
        (1, None, "A"),
        (1, BORN, BIRTH),
        (1, datetime(1969, 1, 1), "A"),
        (1, datetime(2201, 1, 1), DEATH),
        (1, datetime(9999, 12, 31), EXIT),
    )
    moments = pl.when(pl.col("time").is_null()).then(-(2**62)).otherwise(pl.col("time").to_physical())
    source = source.with_columns(moments.cast(pl.Datetime("us")).alias("time"))
    frame, counts, _, examples = tidy(source, False)
    assert rows(frame) == [
        (1, BORN, BIRTH),
        (1, datetime(1969, 1, 1), "A"),
        (1, datetime(2200, 12, 31, 23, 59, 59), EXIT),
    ]
    assert counts["num_impossible_date"] == 2
    assert examples == {"num_impossible_date": "subject_id 1, code A"}
    assert tidy(source, False, 2210).events.filter(code=DEATH).height == 1


def test_several_deaths_are_the_first_dated(events: Callable) -> None:
    deaths = [(1, None, DEATH), (1, datetime(2001, 1, 1), DEATH), (1, datetime(2000, 1, 1), DEATH)]
    frame, counts, _, _ = tidy(events((1, BORN, BIRTH), *deaths, (2, BORN, BIRTH), (2, None, DEATH)), False)
    assert frame.filter(code=DEATH).select("subject_id", "time").rows() == [
        (1, datetime(2000, 1, 1)),
        (2, None),
    ]
    assert counts["num_repeated_death"] == 2


def test_a_dated_sex_loses_its_date(events: Callable) -> None:
    frame, counts, _, _ = tidy(
        events((1, BORN, BIRTH), (1, BORN, "Gender/F"), (1, BORN, "Gender/old")), False
    )
    assert rows(frame) == [(1, None, "Gender/F"), (1, BORN, "Gender/old"), (1, BORN, BIRTH)]
    assert (counts["num_undated_sex"], counts["num_subjects_with_sex"]) == (1, 1)
