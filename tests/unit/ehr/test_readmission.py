"""Readmission within 30 days of discharge, from the visits of an OMOP source to labels, by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

from proband.ehr import ehr
from proband.ehr.labels import labels
from proband.ehr.outcomes import load_task

INPATIENT, OUTPATIENT = 9201, 9202
TASK = """outcomes:
  readmission: {steps: [{codes: DISCHARGE//Visit//IP}, {codes: Visit//IP, within_days: 30}]}
prediction: {date: 2005-03-09}
horizons_years: 0.0822
"""
STAYS = {
    1: [(1, 9), (29, 30)],  # home for 20 days
    2: [(1, 9), (39, 41)],  # 30 days, the last that count
    3: [(1, 9), (40, 41)],  # 31 days
    4: [(1, 9)],  # never again
    5: [(1, 1)],  # in and out within a day, eight days before
    6: [(1, 20)],  # still in on the day of prediction
    7: [(-20, -15), (-2, 9), (20, 21)],  # a readmission before: no new onset
}
"""Subject -> first and last day of stays, counted from 28 February 2005, on which day 0 falls."""


def day(number: int) -> date:
    return date.fromordinal(date(2005, 2, 28).toordinal() + number)


@pytest.fixture
def tables() -> dict[str, list[dict]]:
    people = [
        {"person_id": one, "gender_concept_id": 8507, "year_of_birth": 1950, "month_of_birth": 1}
        for one in STAYS
    ]
    visits = [
        {
            "person_id": one,
            "visit_concept_id": concept,
            "visit_start_date": day(first),
            "visit_end_date": day(last),
        }
        for one, stays in STAYS.items()
        for concept, first, last in [(INPATIENT, *stay) for stay in stays] + [(OUTPATIENT, 12, 12)]
    ]
    periods = [
        {
            "person_id": one,
            "observation_period_start_date": date(2004, 1, 1),
            "observation_period_end_date": date(2005, 12, 31),
        }
        for one in STAYS
    ]
    concepts = [
        {"concept_id": concept, "concept_name": name, "vocabulary_id": "Visit", "concept_code": name}
        for concept, name in ((INPATIENT, "IP"), (OUTPATIENT, "OP"))
    ]
    return {
        "person": people, "visit_occurrence": visits, "observation_period": periods, "concept": concepts
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_readmission_from_omop_visits(tables: dict, omop: Callable, tmp_path: Path, kind: str) -> None:
    (tmp_path / "task.yaml").write_text(TASK)
    ehr(omop(tables, kind), tmp_path / "meds", workers=1)
    found = labels(tmp_path / "meds", load_task(tmp_path / "task.yaml"))
    assert set(found["prediction_time"]) == {datetime(2005, 3, 9)}
    to_the_end = (datetime(2005, 12, 31, 23, 59, 59) - datetime(2005, 3, 9)).total_seconds() / 86400
    expected = {1: (1, 20), 2: (1, 30), **dict.fromkeys((3, 4, 5, 6), (0, to_the_end))}
    days = {one: (event, 365.25 * years) for one, event, years in found[
        "subject_id", "event", "time_years"].rows()}  # fmt: skip
    assert days == {one: (event, pytest.approx(time, abs=1e-4)) for one, (event, time) in expected.items()}
