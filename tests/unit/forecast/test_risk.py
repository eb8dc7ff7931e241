from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pytest
import torch

from proband.core.errors import ConfigError, DataError
from proband.core.schema import RISK
from proband.ehr.outcomes import Task
from proband.forecast.estimators import Risks
from proband.forecast.risk import outcome_tokens, prediction_points, risk_table
from proband.tokens.vocabulary import Vocabulary
from small_world import DAY, HandStore, Record

DEATH = "MEDS_DEATH"
VOCABULARY = Vocabulary(
    codes=(
        "PADDING",
        "MEDS_BIRTH",
        "ICD10//E11",
        "LAB//1",
        "LAB//1//Q1",
        "LAB//1//Q2",
        "UNKNOWN",
        "MEDS_DEATH",
    ),
    edges={"LAB//1": (4.5,)},
    rolled={"ICD10//E11.6": "ICD10//E11", "SNOMED//5": "UNKNOWN"},
    once=(False,) * 8,
    statics=(),
    resolution_minutes=DAY,
)


def task(codes: dict | str = "X//3", **changes: object) -> Task:
    chosen = codes if isinstance(codes, dict) else {"d": {"codes": codes}}
    content = {"outcomes": chosen, "prediction": {"years_after_entry": 2}, "horizons_years": [5, 1]}
    return Task.model_validate(content | changes)


def test_an_outcome_on_a_code_takes_all_its_value_bins() -> None:
    wanted = {"lab": {"codes": "LAB//1"}, "t2d": {"prefixes": "ICD10//E1"}, "end": {"codes": DEATH}}
    found = outcome_tokens(VOCABULARY, task(wanted))
    assert {name: np.flatnonzero(members).tolist() for name, members in found.items()} == {
        "lab": [3, 4, 5],
        "t2d": [2],
        "end": [7],
    }


def test_unknown_outcome_codes_name_a_near_match_or_the_roll_up() -> None:
    with pytest.raises(ConfigError, match=r"outcome d; found ICD10//E12.*did you mean ICD10//E11\?"):
        outcome_tokens(VOCABULARY, task("ICD10//E12"))
    with pytest.raises(
        ConfigError, match=r"1 of its codes were too rare and rolled up, first SNOMED//5.*--min-subjects"
    ):
        outcome_tokens(VOCABULARY, task("SNOMED//5"))
    with pytest.raises(ConfigError, match=r"compare with codes in vocabulary\.json"):
        outcome_tokens(VOCABULARY, task("zzzzzzzzzzzzz"))


def test_an_outcome_that_may_be_absent_has_no_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    found = outcome_tokens(VOCABULARY, task({"d": {"codes": "X//3", "may_be_absent": True}}))
    assert not found["d"].any()
    assert "knows no code of d; its risks are 0" in capsys.readouterr().err


YEARS = round(365.25 * DAY)
PEOPLE = [
    Record([3, 2], [YEARS, 3 * YEARS], entry=0, exit=9 * YEARS),  # prevalent at 2 years
    Record([2, 3], [YEARS, 3 * YEARS], entry=0, exit=9 * YEARS),
    Record([2], [YEARS], entry=0, exit=YEARS),  # gone by then
    Record([2], [YEARS], entry=0, exit=9 * YEARS, split="held_out"),
]


def test_points_are_who_is_followed_up_with_prevalent_cases_marked() -> None:
    store = HandStore(PEOPLE)
    outcomes = {"d": np.arange(8) == 3, "e": np.arange(8) == 2}
    points = prediction_points(store, task(), "train", outcomes)
    assert points.rows.tolist() == [0, 1]
    assert points.start.tolist() == [2 * YEARS, 2 * YEARS]
    assert points.prevalent.tolist() == [[True, False], [False, True]]
    assert points.frame["prediction_time"].to_list() == [datetime(1902, 1, 1, 12)] * 2


def test_nobody_under_follow_up_is_an_error() -> None:
    late = task(prediction={"age_years": 50})
    with pytest.raises(DataError, match=r"nobody is under follow-up.*split train"):
        prediction_points(HandStore(PEOPLE), late, "train", {"d": np.arange(8) == 3})


def test_rows_of_the_risk_table() -> None:
    store = HandStore(PEOPLE)
    outcomes = {"d": np.arange(8) == 3, "e": np.arange(8) == 2}
    points = prediction_points(store, task(), "train", outcomes)
    values = torch.arange(8, dtype=torch.float64).reshape(2, 2, 2) / 10
    risks = Risks(values, values / 2, values * 0)
    table = risk_table(points.take(np.array([1, 0])), risks, ["d", "e"], [1.0, 5.0], "m")
    RISK.check(table, "x")
    rows = table.select("subject_id", "outcome", "horizon_years", "risk").rows()
    assert rows == [(101, "d", 1.0, 0.0), (101, "d", 5.0, 0.1), (100, "e", 1.0, 0.6), (100, "e", 5.0, 0.7)]
    assert table["standard_error"].to_list() == (table["risk"] / 2).to_list()
    assert table.schema["prediction_time"] == pl.Datetime("us")
