from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.ehr.cohort import follow_up, never_predicted, person_time, prediction_times, read_follow_up
from proband.ehr.meds.dataset import BIRTH, DEATH, ENTRY, EXIT
from proband.ehr.outcomes import Task, load_task

BORN = datetime(1950, 1, 1)


def day(year: int, month: int = 1, of_month: int = 1) -> datetime:
    return datetime(year, month, of_month)


def task(prediction: dict, **more: object) -> Task:
    return Task(outcomes={"x": {"codes": ["X"]}}, prediction=prediction, horizons_years=[1], **more)


def only(frame: pl.DataFrame) -> dict:
    assert frame.height == 1
    return frame.row(0, named=True)


def test_follow_up_is_the_observation_periods(events: Callable) -> None:
    row = only(
        follow_up(
            events(
                (1, None, "Gender//F"),
                (1, BORN, BIRTH),
                (1, day(1990), "A"),
                (1, day(2000), ENTRY),
                (1, day(2003), EXIT),
                (1, day(2005), ENTRY),
                (1, day(2008), EXIT),
                (1, day(2012), "A"),
            )
        )
    )
    assert row == {
        "subject_id": 1,
        "birth_time": BORN,
        "entry_time": day(2000),
        "exit_time": day(2008),
        "death_time": None,
    }


def test_without_periods_it_is_the_first_and_last_dated_event(events: Callable) -> None:
    row = only(follow_up(events((1, None, "G"), (1, BORN, BIRTH), (1, day(1990), "A"), (1, day(2012), "B"))))
    assert (row["entry_time"], row["exit_time"]) == (day(1990), day(2012))


def test_death_ends_follow_up(events: Callable) -> None:
    row = only(
        follow_up(
            events((1, BORN, BIRTH), (1, day(2000), ENTRY), (1, day(2006), DEATH), (1, day(2008), EXIT))
        )
    )
    assert row["exit_time"] == row["death_time"] == day(2006)


def test_a_birth_alone_is_no_follow_up_and_no_birth_no_subject(events: Callable) -> None:
    frame = follow_up(events((1, BORN, BIRTH), (2, day(2000), "A")))
    row = only(frame)
    assert row["subject_id"] == 1
    assert row["entry_time"] == row["exit_time"] == BORN
    assert prediction_times(frame, task({"age_years": 0})).is_empty()


def spans(entry: datetime, exit_time: datetime) -> pl.DataFrame:
    return pl.DataFrame(
        {"subject_id": [1], "birth_time": [BORN], "entry_time": [entry], "exit_time": [exit_time]},
    ).cast({pl.Datetime: pl.Datetime("us")})


def test_years_after_entry(events: Callable) -> None:
    times = prediction_times(spans(day(2000), day(2010)), task({"years_after_entry": [0, 2]}))
    assert times["prediction_time"].to_list() == [day(2000), day(2000) + timedelta(days=730.5)]


def test_ages_and_dates() -> None:
    frame = spans(day(1990), day(2010))
    assert prediction_times(frame, task({"age_years": [30, 50, 70]}))["prediction_time"].to_list() == [
        BORN + timedelta(days=50 * 365.25)
    ]
    dates = [date(1989, 12, 31), date(1990, 1, 1), date(2009, 12, 31), date(2010, 1, 1)]
    assert prediction_times(frame, task({"date": dates}))["prediction_time"].to_list() == [
        day(1990),
        day(2009, 12, 31),
    ]


def test_dates_of_each_subject_count_within_follow_up(tmp_path: Path) -> None:
    rows = ["1,1999-06-01", "1,2000-06-01", "1,2000-03-01", "1,2010-01-01", "2,2005-01-01", "77,2005-01-01"]
    (tmp_path / "dates.csv").write_text("\n".join(["subject_id,prediction_time", *rows]))
    (tmp_path / "task.yaml").write_text(
        "outcomes: {x: {codes: X}}\nprediction: {file: dates.csv}\nhorizons_years: 1\nwashout_years: 0.25"
    )
    asked = load_task(tmp_path / "task.yaml")
    followed = [(day(2000), 1), (day(2006), 2), (day(2000), 3)]
    frame = pl.concat(
        spans(entry, day(2010)).with_columns(subject_id=pl.lit(subject, pl.Int64))
        for entry, subject in followed
    )
    assert prediction_times(frame, asked).rows() == [(1, day(2000, 6, 1))]
    assert never_predicted(frame, asked) == {"before_entry": 1, "in_washout": 0, "after_exit": 0}


def test_washout_needs_that_much_record() -> None:
    frame = spans(day(2000), day(2010))
    wanted = {"date": [date(2000, 12, 31), date(2001, 1, 1)]}
    times = prediction_times(frame, task(wanted, washout_years=1))
    # 2000 was a leap year: 365.25 days after its first midnight is the 31st of December, 6 o'clock.
    assert times["prediction_time"].to_list() == [day(2001)]


def test_times_before_1970_and_after_2262() -> None:
    frame = spans(day(1700), day(2300))
    dates = [date(1705, 1, 1), date(2290, 1, 1)]
    assert prediction_times(frame, task({"date": dates})).height == 2


def test_follow_up_of_a_folder_has_the_split(events: Callable, meds: Callable) -> None:
    folder = meds(
        {
            "train/0": events((2, BORN, BIRTH), (2, day(2000), "A")),
            "held_out/0": events((1, BORN, BIRTH), (1, day(2000), "A")),
        }
    )
    assert read_follow_up(folder).select("subject_id", "split").rows() == [(1, "held_out"), (2, "train")]
    assert read_follow_up(folder, ["train"])["subject_id"].to_list() == [2]
    with pytest.raises(DataError, match=r"no subject in split; .*found tuning"):
        read_follow_up(folder, ["train", "tuning"])


def test_splits_from_the_table_where_folders_do_not_say(events: Callable, meds: Callable) -> None:
    folder = meds({"0": events((1, BORN, BIRTH), (2, BORN, BIRTH))})
    with pytest.raises(DataError, match=r"unknown split.*found 2 subjects"):
        read_follow_up(folder)
    (folder / "metadata").mkdir()
    table = pl.DataFrame({"subject_id": [1, 2], "split": ["train", "tuning"]})
    table.write_parquet(folder / "metadata" / "subject_splits.parquet")
    assert read_follow_up(folder)["split"].to_list() == ["train", "tuning"]
    assert read_follow_up(folder, ["tuning"])["subject_id"].to_list() == [2]


def test_no_shards(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no MEDS shards"):
        read_follow_up(tmp_path)


def test_every_half_year_from_washout_to_exit() -> None:
    half = timedelta(days=365.25 / 2)
    frame = spans(day(2000), day(2000) + 5 * half)
    wanted = task({"every_years": 0.5}, washout_years=1)
    times = prediction_times(frame, wanted)["prediction_time"].to_list()
    assert times == [day(2000) + number * half for number in (2, 3, 4)]  # the exit itself is none
    later = frame.with_columns(pl.col("exit_time") + timedelta(microseconds=1))
    assert prediction_times(later, wanted)["prediction_time"].to_list()[3:] == [day(2000) + 5 * half]
    short = spans(day(2000), day(2000) + half)
    assert prediction_times(short, wanted).is_empty()
    assert never_predicted(short, wanted) == {"before_entry": 0, "in_washout": 0, "after_exit": 1}


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [
        ({"date": date(1999, 12, 31)}, "before_entry"),
        ({"date": date(2000, 6, 1)}, "in_washout"),
        ({"date": date(2010, 1, 1)}, "after_exit"),
        ({"date": [date(1999, 1, 1), date(2012, 1, 1)]}, "before_entry"),
        ({"date": [date(1999, 1, 1), date(2000, 6, 1)]}, "in_washout"),
        ({"date": [date(2000, 6, 1), date(2005, 1, 1)]}, None),
        ({"years_after_entry": 0.5}, "in_washout"),
        ({"years_after_entry": 20}, "after_exit"),
        ({"age_years": 30}, "before_entry"),
    ],
)
def test_why_a_subject_has_no_prediction_time(prediction: dict, reason: str | None) -> None:
    found = never_predicted(spans(day(2000), day(2010)), task(prediction, washout_years=1))
    assert found == {name: int(name == reason) for name in ("before_entry", "in_washout", "after_exit")}


def test_observed_share_of_the_person_time_within_a_horizon() -> None:
    year = timedelta(days=365.25)
    frame = pl.DataFrame(
        {
            "subject_id": [1, 2, 3, 4],
            "birth_time": [BORN] * 4,
            "entry_time": [day(2000)] * 4,
            "exit_time": [day(2000) + years * year for years in (3.0, 12.0, 3.0, 0.5)],
            "death_time": [None, None, day(2000) + 3 * year, None],
        }
    ).cast({"death_time": pl.Datetime("us")})
    wanted = task({"years_after_entry": 1})
    # of 10 years after the first year: 2 of the one who left, all of the others; the last is not asked.
    assert person_time(frame, wanted, 10) == pytest.approx(((2 + 10 + 10) / 30, 11))
    assert person_time(frame, wanted, 2) == pytest.approx((1, 11))
    nobody = person_time(frame, task({"years_after_entry": 20}), 10)
    assert all(value != value for value in nobody)


@pytest.mark.parametrize(("died", "counts"), [(day(2008, 1, 31), True), (day(2008, 2, 1), False)])
def test_a_death_long_after_the_last_end_of_observation_is_no_event(
    events: Callable, died: datetime, counts: bool
) -> None:
    row = only(
        follow_up(events((1, BORN, BIRTH), (1, day(2000), ENTRY), (1, day(2008), EXIT), (1, died, DEATH)))
    )
    assert (row["exit_time"], row["death_time"]) == ((died, died) if counts else (day(2008), None))


def test_who_comes_after_the_end_of_follow_up_has_none(events: Callable) -> None:
    row = only(follow_up(events((1, BORN, BIRTH), (1, day(2009), "A"), (1, day(2008), EXIT))))
    assert row["entry_time"] == row["exit_time"] == day(2008)
