from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import ConfigError
from proband.core.schema import LABELS
from proband.ehr.cohort import DEATH_GRACE_DAYS, follow_up
from proband.ehr.labels import label_events, labels
from proband.ehr.meds.dataset import BIRTH, DEATH, ENTRY, EXIT
from proband.ehr.outcomes import Task

BORN = datetime(1950, 1, 1)
AT = datetime(2005, 1, 1)
ENDS = datetime(2010, 1, 1)
YEAR = timedelta(days=365.25)


def task(**more: object) -> Task:
    return Task(
        outcomes={"x": {"codes": ["X"]}}, prediction={"date": AT.date()}, horizons_years=[1, 5], **more
    )


def label(events: Callable, *rows: tuple, gap_days: float = 0) -> tuple[int, float] | None:
    """Event and years of one subject observed 2000 to 2010, predicted at the start of 2005."""
    frame = events(
        (1, BORN, BIRTH), (1, datetime(2000, 1, 1), ENTRY), (1, ENDS, EXIT), *((1, *row) for row in rows)
    )
    spans = follow_up(frame).with_columns(pl.lit("train").alias("split"))
    found = LABELS.check(label_events(frame, spans, task(gap_days=gap_days), {"x": [["X", "Y"]]}), "test")
    return None if found.is_empty() else (found["event"][0], found["time_years"][0])


def years(until: datetime) -> float:
    return (until - AT) / YEAR


def test_onset_in_follow_up_is_an_event(events: Callable) -> None:
    assert label(events, (AT + 2 * YEAR, "X"), (AT + 3 * YEAR, "X")) == (1, pytest.approx(2.0))


def test_any_code_of_the_outcome_counts(events: Callable) -> None:
    assert label(events, (AT + YEAR, "Y"), (AT + 3 * YEAR, "X")) == (1, pytest.approx(1.0))


def test_other_codes_do_not(events: Callable) -> None:
    assert label(events, (AT + YEAR, "XX"), (AT + YEAR, "A")) == (0, pytest.approx(years(ENDS)))


def test_prevalent_cases_leave_even_at_the_prediction_time_and_before_entry(events: Callable) -> None:
    assert label(events, (AT, "X")) is None
    assert label(events, (datetime(1990, 1, 1), "X")) is None
    assert label(events, (AT - YEAR, "X"), (AT + YEAR, "X")) is None


def test_one_microsecond_later_is_new(events: Callable) -> None:
    event, time_years = label(events, (AT + timedelta(microseconds=1), "X"))
    assert event == 1
    assert 0 < time_years < 1e-9


def test_the_gap_blanks(events: Callable) -> None:
    assert label(events, (AT + timedelta(days=30), "X"), gap_days=30) is None
    assert label(events, (AT + timedelta(days=31), "X"), gap_days=30) == (1, pytest.approx(31 / 365.25))


def test_the_gap_blanks_by_what_is_seen_alone(events: Callable) -> None:
    """An onset within the gap and after the end of follow-up is not known."""
    late = ENDS + timedelta(days=9)
    gap = (late - AT).days + 1
    assert label(events, (late, "X"), gap_days=gap) == (0, pytest.approx(years(ENDS)))
    assert label(events, (ENDS, "X"), gap_days=gap) is None


def test_an_outcome_at_the_exit_counts_and_after_it_does_not(events: Callable) -> None:
    assert label(events, (ENDS, "X")) == (1, pytest.approx(years(ENDS)))
    assert label(events, (ENDS + timedelta(seconds=1), "X")) == (0, pytest.approx(years(ENDS)))


def test_death_competes(events: Callable) -> None:
    dies = datetime(2007, 5, 5)
    assert label(events, (dies, DEATH)) == (2, pytest.approx(years(dies)))
    assert label(events, (dies - YEAR, "X"), (dies, DEATH)) == (1, pytest.approx(years(dies - YEAR)))


def test_the_day_of_death_counts_as_the_outcome_and_the_next_does_not(events: Callable) -> None:
    dies = datetime(2007, 5, 5)
    assert label(events, (dies, "X"), (dies, DEATH)) == (1, pytest.approx(years(dies)))
    later = dies + timedelta(hours=14)
    assert label(events, (dies, DEATH), (later, "X")) == (1, pytest.approx(years(later)))
    assert label(events, (dies, DEATH), (dies + timedelta(days=1), "X")) == (2, pytest.approx(years(dies)))


def test_nobody_is_labelled_after_exit_or_before_entry(events: Callable) -> None:
    assert label(events, (datetime(2004, 1, 1), DEATH)) is None
    frame = events((1, BORN, BIRTH), (1, datetime(2006, 1, 1), ENTRY), (1, ENDS, EXIT))
    spans = follow_up(frame).with_columns(pl.lit("train").alias("split"))
    assert label_events(frame, spans, task(), {"x": [["X"]]}).is_empty()


def test_undated_codes_are_no_onset(events: Callable) -> None:
    frame = events((1, None, "X"), (1, BORN, BIRTH), (1, datetime(2000, 1, 1), ENTRY), (1, ENDS, EXIT))
    spans = follow_up(frame).with_columns(pl.lit("train").alias("split"))
    assert label_events(frame, spans, task(), {"x": [["X"]]})["event"].to_list() == [0]


def test_labels_of_a_folder(events: Callable, meds: Callable) -> None:
    def subject(number: int, *rows: tuple) -> list[tuple]:
        return [(number, BORN, BIRTH), (number, datetime(2000, 1, 1), ENTRY), *rows, (number, ENDS, EXIT)]

    folder = meds(
        {
            "train/0": events(*subject(1, (1, AT + YEAR, "X")), *subject(2)),
            "tuning/0": events(*subject(3, (3, AT - YEAR, "X"))),
            "held_out/0": events(*subject(4, (4, AT + YEAR, "Z"))),
        }
    )
    both = Task(
        outcomes={"x": {"codes": ["X"]}, "z": {"prefixes": ["Z"]}},
        prediction={"date": AT.date()},
        horizons_years=[1],
    )
    found = labels(folder, both).select("subject_id", "outcome", "split", "event")
    assert found.rows() == [
        (1, "x", "train", 1),
        (1, "z", "train", 0),
        (2, "x", "train", 0),
        (2, "z", "train", 0),
        (3, "z", "tuning", 0),
        (4, "x", "held_out", 0),
        (4, "z", "held_out", 1),
    ]
    assert labels(folder, both, ["held_out"])["subject_id"].to_list() == [4, 4]
    with pytest.raises(ConfigError, match=r"unknown codes of outcome x; .*first Q"):
        labels(folder, Task(outcomes={"x": {"codes": ["Q"]}}, prediction=both.prediction, horizons_years=[1]))


MINUTES = st.integers(-3_000_000, 4_000_000)


@given(onset=MINUTES | st.none(), death=MINUTES | st.none(), gap_days=st.integers(0, 900))
def test_against_a_plain_reading_of_the_rules(onset: int | None, death: int | None, gap_days: int) -> None:
    """One subject, decided in plain Python from the rules of the docs."""
    end = 2_000_000
    rows: list[tuple] = [(1, BORN, BIRTH), (1, AT - 9 * YEAR, ENTRY), (1, AT + timedelta(minutes=end), EXIT)]
    rows += [(1, AT + timedelta(minutes=onset), "X")] if onset is not None else []
    rows += [(1, AT + timedelta(minutes=death), DEATH)] if death is not None else []
    frame = pl.DataFrame(
        rows, schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}, orient="row"
    )
    spans = follow_up(frame).with_columns(pl.lit("train").alias("split"))
    found = label_events(frame, spans, task(gap_days=gap_days), {"x": [["X"]]})

    if death is not None and death > end + DEATH_GRACE_DAYS * 1440:
        death = None  # beyond the record nobody is followed
    exit_at = end if death is None else death
    # AT is a midnight, so whole days since it are calendar days.
    happened = onset is not None and (
        onset <= exit_at or (death is not None and onset // 1440 == death // 1440)
    )
    is_out = onset is not None and (onset <= 0 or (happened and onset <= gap_days * 1440))
    at_risk = exit_at > 0 and not is_out
    assert found.height == at_risk
    if not at_risk:
        return
    expected = 1 if happened else 2 if death is not None else 0
    assert found["event"][0] == expected
    until = onset if happened else exit_at
    assert found["time_years"][0] == pytest.approx(until / (1440 * 365.25))


def pattern_label(events: Callable, outcome: dict, *rows: tuple) -> tuple[int, float] | None:
    """As ``label``, for an outcome of its own."""
    frame = events(
        (1, BORN, BIRTH), (1, datetime(2000, 1, 1), ENTRY), (1, ENDS, EXIT), *((1, *row) for row in rows)
    )
    spans = follow_up(frame).with_columns(pl.lit("train").alias("split"))
    one = Task(outcomes={"x": outcome}, prediction={"date": AT.date()}, horizons_years=[1])
    codes = [step.select(["A", "B", "HB"]) for step in one.outcomes["x"].steps]
    found = LABELS.check(label_events(frame, spans, one, {"x": codes}), "test")
    return None if found.is_empty() else (found["event"][0], found["time_years"][0])


READMISSION = {"steps": [{"codes": "A"}, {"codes": "B", "within_days": 30}]}
DAYS = timedelta(days=1)


def test_a_pattern_happens_at_the_event_that_completes_it(events: Callable) -> None:
    rows = [(AT + YEAR, "A"), (AT + YEAR + 31 * DAYS, "B"), (AT + 2 * YEAR, "A"), (AT + 2 * YEAR + DAYS, "B")]
    assert pattern_label(events, READMISSION, *rows) == (1, pytest.approx(years(AT + 2 * YEAR + DAYS)))
    assert pattern_label(events, READMISSION, *rows[:3]) == (0, pytest.approx(years(ENDS)))
    assert pattern_label(events, READMISSION, (AT + YEAR, "B"), (AT + YEAR + DAYS, "A"))[0] == 0


def test_a_pattern_begun_before_the_prediction_time_is_completed_after_it(events: Callable) -> None:
    begun = (AT - 10 * DAYS, "A")
    assert pattern_label(events, READMISSION, begun, (AT + 20 * DAYS, "B")) == (1, pytest.approx(20 / 365.25))
    assert pattern_label(events, READMISSION, begun, (AT + 21 * DAYS, "B"))[0] == 0
    assert pattern_label(events, READMISSION, begun, (AT, "B")) is None  # prevalent


def test_bounds_are_compared_in_the_unit_of_the_values_of_the_whole_folder(
    events: Callable, meds: Callable
) -> None:
    def subject(number: int, value: float, unit: str | None) -> pl.DataFrame:
        begun = (number, BORN, BIRTH), (number, datetime(2000, 1, 1), ENTRY)
        rows = (*begun, (number, AT + YEAR, "HB", value), (number, ENDS, EXIT))
        return events(*rows).with_columns(unit=pl.lit(unit, pl.String))

    def asked(**bound: object) -> Task:
        outcome = {"codes": "HB", "above": 100} | bound
        return Task(outcomes={"x": outcome}, prediction={"date": AT.date()}, horizons_years=[1])

    same = meds({"train/0": subject(1, 99.0, "g/L"), "held_out/0": subject(2, 101.0, "g/L")}, "same")
    assert labels(same, asked()).select("subject_id", "event").rows() == [(1, 0), (2, 1)]
    other = meds({"train/0": subject(1, 9.9, "g/dL"), "held_out/0": subject(2, 101.0, "g/L")}, "other")
    with pytest.raises(ConfigError, match=r"a bound without a unit, where values come in several; .*HB in"):
        labels(other, asked())
    found = labels(other, asked(unit="g/L", above=98.0)).select("subject_id", "event")
    assert found.rows() == [(1, 1), (2, 1)]


def test_values_beyond_the_bounds_alone_count(events: Callable) -> None:
    low = {"codes": "HB", "below": 100}
    twice = {"steps": [low, low]}
    one, two, three = ((AT + number * YEAR, "HB") for number in (1, 2, 3))
    assert pattern_label(events, twice, (*one, 95.0), (*two, 99.0), (*three, 90.0)) == (1, pytest.approx(2))
    assert pattern_label(events, twice, (*one, 95.0), (*two, 100.0), (*three, 90.0)) == (1, pytest.approx(3))
    assert pattern_label(events, twice, (*one, 95.0), (*two, None), (*three, float("nan")))[0] == 0
    assert pattern_label(events, low, (*one, 100.0), (*two, 99.9)) == (1, pytest.approx(2))
    assert pattern_label(events, {"codes": "HB", "above": 6.5}, (*one, 6.5), (*two, None))[0] == 0


def test_a_value_equal_to_a_bound_is_not_beyond_it_whatever_its_rounding(events: Callable) -> None:
    """7.3 as stored, in single precision, is a little more than 7.3."""
    assert pattern_label(events, {"codes": "HB", "above": 7.3}, (AT + YEAR, "HB", 7.3))[0] == 0
    assert pattern_label(events, {"codes": "HB", "above": 7.3}, (AT + YEAR, "HB", 7.31))[0] == 1
    assert pattern_label(events, {"codes": "HB", "below": 7.1}, (AT + YEAR, "HB", 7.1))[0] == 0


STEP_EVENTS = st.lists(st.tuples(st.integers(-900, 900), st.sampled_from("AB")), max_size=8)


@given(rows=STEP_EVENTS, least=st.integers(0, 60), most=st.integers(60, 200))
def test_pattern_labels_against_every_choice_of_events(rows: list, least: int, most: int) -> None:
    """Two subjects with the same events a day apart are labelled each by its own events."""
    steps = [{"codes": "A"}, {"codes": "B", "after_days": least, "within_days": most}]
    one = Task(outcomes={"x": {"steps": steps}}, prediction={"date": AT.date()}, horizons_years=[1])
    ends = {1: 1000, 2: 1001}
    content: list[tuple] = []
    for subject in (1, 2):
        content += [(subject, BORN, BIRTH, None), (subject, AT - 9 * YEAR, ENTRY, None)]
        content += [(subject, AT + (day + subject - 1) * DAYS, code, None) for day, code in rows]
        content += [(subject, AT + ends[subject] * DAYS, EXIT, None)]
    columns = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}
    frame = pl.DataFrame(content, schema=columns | {"numeric_value": pl.Float32}, orient="row")
    spans = follow_up(frame).with_columns(pl.lit("train").alias("split"))
    found = label_events(frame, spans, one, {"x": [["A"], ["B"]]})

    pairs = [b for a, one in rows for b, two in rows if one + two == "AB" and max(least, 1) <= b - a <= most]
    for subject in (1, 2):
        onset = min(pairs) + subject - 1 if pairs else None
        row = found.filter(subject_id=subject)
        assert row.height == (onset is None or onset > 0)
        if row.height:
            assert row["event"][0] == (onset is not None)
            until = ends[subject] if onset is None else onset
            assert row["time_years"][0] == pytest.approx(until / 365.25)


def test_labels_again_and_again_along_a_history(events: Callable) -> None:
    rows = [
        (1, BORN, BIRTH),
        (1, datetime(2000, 1, 1), ENTRY),
        (1, datetime(2003, 1, 1), "X"),
        (1, ENDS, EXIT),
    ]
    frame = events(*rows)
    spans = follow_up(frame).with_columns(pl.lit("train").alias("split"))
    often = Task(outcomes={"x": {"codes": "X"}}, prediction={"every_years": 1}, horizons_years=[1])
    found = label_events(frame, spans, often, {"x": [["X"]]})
    starts = [datetime(2000, 1, 1) + number * YEAR for number in range(4)]
    assert found["prediction_time"].to_list() == starts  # the last six hours before, then it is prevalent
    assert found["event"].to_list() == [1] * 4
