from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from proband.core.errors import DataError
from proband.core.schema import RISK
from proband.ehr.outcomes import Task, load_task
from proband.forecast.estimators.risks import Risks
from proband.forecast.risk import never_asked, observed_shares, prediction_points, risk_table
from small_world import DAY, HandStore, Record


def task(codes: dict | str = "X//3", **changes: object) -> Task:
    chosen = codes if isinstance(codes, dict) else {"d": {"codes": codes}}
    content = {"outcomes": chosen, "prediction": {"years_after_entry": 2}, "horizons_years": [5, 1]}
    return Task.model_validate(content | changes)


YEARS = round(365.25 * DAY)
PEOPLE = [
    Record([3, 2], [YEARS, 3 * YEARS], entry=0, exit=9 * YEARS),  # prevalent at 2 years
    Record([2, 3], [YEARS, 3 * YEARS], entry=0, exit=9 * YEARS),
    Record([2], [YEARS], entry=0, exit=YEARS),  # gone by then
    Record([2], [YEARS], entry=0, exit=9 * YEARS, split="held_out"),
]


def tokens(*steps: int) -> np.ndarray:
    return np.stack([np.arange(8) == step for step in steps])


def test_points_are_who_is_followed_up_with_prevalent_cases_marked() -> None:
    store = HandStore(PEOPLE)
    outcomes = {"d": tokens(3), "e": tokens(2)}
    points = prediction_points(store, task(), "train", outcomes)
    assert points.rows.tolist() == [0, 1]
    assert points.start.tolist() == [2 * YEARS, 2 * YEARS]
    assert points.prevalent.tolist() == [[True, False], [False, True]]
    assert points.frame["prediction_time"].to_list() == [datetime(1902, 1, 1, 12)] * 2


def test_nobody_under_follow_up_is_an_error() -> None:
    late = task(prediction={"age_years": 50})
    with pytest.raises(
        DataError, match=r"nobody is under follow-up.*split train; found 0 not yet .* 3 left before"
    ):
        prediction_points(HandStore(PEOPLE), late, "train", {"d": tokens(3)})


def test_dates_of_other_subjects_are_told_from_dates_outside_follow_up(tmp_path: Path) -> None:
    """Subject 103 is held out; 7 is nobody."""
    for asked, message in (
        (
            103,
            "none of these subjects has a date; in split train; found dates of other subjects alone; remedy",
        ),
        (7, r"no dated subject is in the records; in .*; found dated \[7\], recorded \[100, 101, 102\]"),
        (100, "nobody is under follow-up"),
    ):
        (tmp_path / "dates.csv").write_text(f"subject_id,prediction_time\n{asked},1950-01-01\n")
        (tmp_path / "task.yaml").write_text(
            "outcomes: {d: {codes: X//3}}\nprediction: {file: dates.csv}\nhorizons_years: 1\n"
        )
        with pytest.raises(DataError, match=message):
            prediction_points(HandStore(PEOPLE), load_task(tmp_path / "task.yaml"), "train", {"d": tokens(3)})


def test_rows_of_the_risk_table() -> None:
    store = HandStore(PEOPLE)
    outcomes = {"d": tokens(3), "e": tokens(2)}
    points = prediction_points(store, task(), "train", outcomes)
    values = torch.arange(8, dtype=torch.float64).reshape(2, 2, 2) / 10
    error = torch.where(values < 0.6, values / 3, torch.nan)
    risks = Risks(values, values / 2, values * 0, values * 0.9, values * 1.1, error)
    paths = np.array([7, 8])
    table = risk_table(points.take(np.array([1, 0])), risks, paths, ["d", "e"], [1.0, 5.0], "m")
    RISK.check(table, "x")
    rows = table.select("subject_id", "outcome", "horizon_years", "risk").rows()
    assert rows == [(101, "d", 1.0, 0.0), (101, "d", 5.0, 0.1), (100, "e", 1.0, 0.6), (100, "e", 5.0, 0.7)]
    assert table["standard_error"].to_list() == (table["risk"] / 2).to_list()
    assert table["risk_low"].to_list() == pytest.approx((table["risk"] * 0.9).to_list())
    assert table["risk_high"].to_list() == pytest.approx((table["risk"] * 1.1).to_list())
    assert table["fit_error"].to_list() == [0.0, pytest.approx(0.1 / 3), None, None]
    assert table["num_paths"].to_list() == [7, 7, 8, 8]
    assert table.schema["prediction_time"] == pl.Datetime("us")


def test_a_pattern_is_prevalent_once_completed() -> None:
    """Day numbers of token 2, then token 3 within 10 days, at prediction days 20 and 40."""
    days = [([2, 3], [10, 18]), ([2, 3], [10, 22]), ([2, 3], [10, 35]), ([3, 2, 3], [5, 10, 20])]
    people = [Record(codes, [DAY * at for at in ages], 0, 90 * DAY) for codes, ages in days]
    steps = [{"codes": "X//2"}, {"codes": "X//3", "within_days": 10}]
    both = task({"d": {"steps": steps}}, prediction={"age_years": [20 / 365.25, 40 / 365.25]})
    points = prediction_points(HandStore(people), both, "train", {"d": tokens(2, 3)})
    assert points.prevalent[:, 0].reshape(4, 2).tolist() == [
        [True, True],
        [False, False],  # 12 days later
        [False, False],
        [True, True],  # at the prediction time itself
    ]


def test_who_is_never_asked_is_said_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    people = [*PEOPLE, Record([2], [YEARS], entry=3 * YEARS, exit=9 * YEARS)]
    at_age_two = task(prediction={"age_years": 2.5}, washout_years=1)
    assert never_asked(HandStore(people), at_age_two, "train") == {
        "num_subjects_before_entry": 1,
        "num_subjects_in_washout": 0,
        "num_subjects_after_exit": 1,
    }
    said = capsys.readouterr().err
    assert (
        "2 of 4 subjects of train have no prediction time: 1 not yet entered, 0 within the washout, " in said
    )
    assert "1 left before" in said
    never_asked(HandStore(people), at_age_two, "held_out")
    assert not capsys.readouterr().err


def test_a_horizon_that_follow_up_hardly_reaches_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    # 7, 7 and no years after the second birthday: 7 of 5, and of 30 years a share of 7 / 30
    shares = observed_shares(HandStore(PEOPLE), task(horizons_years=[5, 30]))
    assert shares == {"5": 1.0, "30": round(7 / 30, 4)}
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "only 23.3% of train subjects' time within 30 years was observed (longest follow-up 7.0" in said[0]


def test_the_dead_are_observed_to_the_horizon() -> None:
    dead = [Record([2, 7], [YEARS, 3 * YEARS], entry=0, exit=3 * YEARS, died=True)]
    assert observed_shares(HandStore(dead), task(horizons_years=30)) == {"30": 1.0}


def test_without_train_subjects_nothing_is_known_of_follow_up() -> None:
    assert observed_shares(HandStore(PEOPLE[3:]), task()) == {}
    assert observed_shares(HandStore(PEOPLE), task(prediction={"age_years": 50})) == {}
