from datetime import datetime, timedelta

import polars as pl
import pytest

from proband.ehr.labels import labels
from proband.ehr.outcomes import Task
from proband.evaluate.baselines import dates
from proband.evaluate.baselines.dates import further_dates

ENTRY = datetime(2000, 1, 1)


def years_of(frame: pl.DataFrame) -> set[int]:
    return {round((time - ENTRY) / timedelta(days=365.25)) for time in frame["prediction_time"].unique()}


def fit_labels(world, task: Task) -> pl.DataFrame:
    return labels(world.meds, task, ["train", "tuning"])


def test_dates_around_the_tasks_own_that_the_longest_horizon_can_follow(world):
    own = fit_labels(world, world.task)
    found = further_dates(world.meds, world.task, own)
    assert years_of(own) == {2}
    assert years_of(found) == {0, 1, 3, 4}  # data end 14 years after entry, the horizon is 5
    assert set(found["split"]) == {"train", "tuning"}
    assert set(found["subject_id"]) <= set(own["subject_id"])
    long = world.task.model_copy(update={"horizons_years": (1.0, 10.5)})
    assert years_of(further_dates(world.meds, long, own)) == {0, 1, 3}
    assert further_dates(
        world.meds, world.task.model_copy(update={"horizons_years": (20.0,)}), own
    ).is_empty()


def test_washout_and_calendar_dates_are_kept(world):
    wash = world.task.model_copy(update={"washout_years": 1.0})
    assert years_of(further_dates(world.meds, wash, fit_labels(world, wash))) == {1, 3, 4}
    days = Task.model_validate(
        world.task.model_dump(exclude_none=True) | {"prediction": {"date": "2003-01-01"}}
    )
    assert years_of(further_dates(world.meds, days, fit_labels(world, days))) == {1, 2, 4, 5}


def test_none_for_repeated_predictions_nor_for_many_subjects(world, monkeypatch):
    own = fit_labels(world, world.task)
    often = world.task.model_dump(exclude_none=True) | {"prediction": {"every_years": 1}}
    assert further_dates(world.meds, Task.model_validate(often), own).is_empty()
    monkeypatch.setattr(dates, "MOST_SUBJECTS", own["subject_id"].n_unique() - 1)
    assert further_dates(world.meds, world.task, own).is_empty()


@pytest.mark.parametrize("age", [50])
def test_ages_move_too(world, age):
    task = Task.model_validate(world.task.model_dump(exclude_none=True) | {"prediction": {"age_years": age}})
    assert dates._shifted(task.prediction).age_years == (48.0, 49.0, 51.0, 52.0)
