"""A MEDS folder by hand: predictions two years after entry, codes planted around them."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from proband.ehr.labels import labels
from proband.ehr.outcomes import Task
from proband.evaluate.leaks.held import LAST_DAY, RECORD, codes_held
from proband.evaluate.leaks.rule import AUROC, CASE_LABEL, HAVING, LACKING, LEAST_VALUE, PREDICTIVE_VALUE
from proband.evaluate.leaks.scan import leaks, say_leaks

ENTRY = datetime(2000, 1, 1)
PREDICTED = ENTRY + timedelta(days=2 * 365.25)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OUTCOME = "SNOMED//1"
TASK = {
    "outcomes": {"stroke": {"codes": [OUTCOME]}},
    "prediction": {"years_after_entry": 2},
    "horizons_years": [1, 5],
}
NUM_SUBJECTS = 1500


class Record:
    """Subjects followed for ten years, a tenth of whom have the outcome within three years of prediction."""

    def __init__(self, num_subjects=NUM_SUBJECTS, share=0.1, seed=0):
        self.rng = np.random.default_rng(seed)
        self.is_case = self.rng.random(num_subjects) < share
        at = self.rng.uniform(0.01, 3, num_subjects)
        self.rows = []
        for number in range(num_subjects):
            self.rows += [
                (number, ENTRY - 18_000 * DAY, "MEDS_BIRTH"),
                (number, ENTRY, "OBSERVATION_PERIOD//START"),
                (number, ENTRY + 3650 * DAY, "OBSERVATION_PERIOD//END"),
            ]
            if self.is_case[number]:
                self.rows.append((number, PREDICTED + at[number] * 365.25 * DAY, OUTCOME))

    def plant(self, code, before, who, alike=1.0):
        """A code ``before`` the prediction, undated for None; ``alike`` of ``who`` have it, and no other."""
        for number in np.flatnonzero(who & (self.rng.random(len(who)) < alike)):
            self.rows.append((int(number), None if before is None else PREDICTED - before, code))
        return self

    def write(self, folder):
        frame = pl.DataFrame(
            self.rows,
            schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String},
            orient="row",
        ).sort("subject_id", "time", nulls_last=False)
        for split, part in (("train", 0), ("tuning", 1), ("held_out", 2)):
            path = folder / "meds" / "data" / split / "0.parquet"
            path.parent.mkdir(parents=True)
            frame.filter(pl.col("subject_id") % 3 == part).write_parquet(path)
        return folder / "meds"


def scan(meds, task=TASK):
    task = Task.model_validate(task)
    return leaks(labels(meds, task, report=False), meds, task.horizons_years)


def test_codes_that_determine_the_label_are_named_and_no_others(tmp_path):
    record = Record()
    case, other = record.is_case, ~record.is_case
    record.plant("ORDER", 2 * HOUR, case, 0.9).plant("ORDER", 2 * HOUR, other, 0.001)
    record.plant("EARLIER", 3 * DAY, case, 0.8)
    record.plant("UNDATED", None, case, 0.8)
    record.plant("CLEARED", HOUR, other)
    record.plant("AFTER", -HOUR, case)
    record.plant("RARE", HOUR, case & (np.cumsum(case) <= 5))
    record.plant("HONEST", HOUR, case, 0.8).plant("HONEST", HOUR, other, 0.1)
    record.plant("ANYBODY", HOUR, case | other, 0.5)
    found = scan(record.write(tmp_path)).filter(horizon_years=5.0)
    named = {(row["code"], row["window"]): row for row in found.iter_rows(named=True)}
    assert set(named) == {
        ("ORDER", RECORD), ("ORDER", LAST_DAY), ("EARLIER", RECORD), ("UNDATED", RECORD),
        ("CLEARED", RECORD), ("CLEARED", LAST_DAY),
    }  # fmt: skip
    order, cleared = named["ORDER", LAST_DAY], named["CLEARED", LAST_DAY]
    assert (order["who"], order["label"], order["rule"]) == (HAVING, CASE_LABEL, PREDICTIVE_VALUE)
    assert (cleared["who"], cleared["label"]) == (LACKING, CASE_LABEL)
    assert cleared["num_subjects"] == cleared["num_cases"] == case.sum()
    assert order["low"] >= LEAST_VALUE
    assert order["share_of_cases"] == pytest.approx(0.9, abs=0.06)


def test_nothing_is_named_where_labels_are_permuted(tmp_path):
    """Of n people by chance alone with the rarer label, all or nearly all: at most 2^-36 for each code."""
    record = Record(share=0.4)
    record.plant("ORDER", HOUR, record.is_case)
    for number in range(150):
        record.plant(f"CODE{number}", HOUR, record.is_case | ~record.is_case, 0.001 + number / 150)
    meds = record.write(tmp_path)
    task = Task.model_validate(TASK)
    true = labels(meds, task, report=False)
    assert set(leaks(true, meds, [5.0])["code"]) == {"ORDER"}
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(true.height)
        shuffled = true.with_columns(true["time_years"][order], true["event"][order])
        assert leaks(shuffled, meds, [1.0, 5.0]).is_empty()


def test_only_labels_known_by_the_horizon_are_counted(tmp_path):
    """Of those who have the code half leave early: of them nothing is known, so it determines nothing."""
    record = Record(share=0.2)
    meds = record.plant("CODE", HOUR, record.is_case).write(tmp_path)
    known = labels(meds, Task.model_validate(TASK), report=False)
    left = (pl.col("event") == 1) & (pl.col("subject_id") % 2 == 0)
    censored = known.with_columns(
        pl.when(left).then(0).otherwise("event").cast(pl.Int8).alias("event"),
        pl.when(left).then(0.01).otherwise("time_years").alias("time_years"),
    )
    found = leaks(censored, meds, [5.0]).filter(window=LAST_DAY)
    assert found["horizon_years"].to_list() == [5.0]
    (row,) = found.iter_rows(named=True)
    remaining = int((record.is_case & (np.arange(NUM_SUBJECTS) % 2 == 1)).sum())
    assert row["num_subjects"] == row["num_cases"] == remaining
    died = known.with_columns(pl.when(left).then(2).otherwise("event").cast(pl.Int8).alias("event"))
    assert leaks(died, meds, [5.0]).is_empty()  # who died without it is no case, so half of them are not


def test_a_code_given_in_retrospect_is_found_though_it_says_nothing_of_when(tmp_path):
    """Everybody who ever has the outcome has the code, a third of them beyond the longest horizon."""
    record = Record(share=0.3)
    meds = record.plant("REGISTER", None, record.is_case).write(tmp_path)
    found = scan(meds, TASK | {"horizons_years": [1, 2]})
    assert found.select("horizon_years", "code", "num_cases").rows() == [
        (None, "REGISTER", int(record.is_case.sum()))
    ]


def test_a_code_at_the_visit_just_before_is_found_among_repeated_predictions(tmp_path):
    """The code comes at the last prediction before the outcome alone."""
    record = Record(num_subjects=900, share=0.3)
    task = TASK | {"prediction": {"every_years": 1}, "washout_years": 2, "horizons_years": [1]}
    onset = {row[0]: row[1] for row in record.rows if row[2] == OUTCOME}
    for number, time in onset.items():
        years = (time - PREDICTED) // (365.25 * DAY)
        record.plant("VISIT", -years * 365.25 * DAY, np.arange(900) == number)
    meds = record.write(tmp_path)
    (row,) = scan(meds, task).filter(window=LAST_DAY, horizon_years=1.0).iter_rows(named=True)
    assert (row["code"], row["who"], row["label"]) == ("VISIT", HAVING, CASE_LABEL)
    assert row["num_subjects"] == row["num_cases"] == len(onset)


def test_an_outcome_that_few_have_is_not_scanned(tmp_path):
    record = Record(num_subjects=300, share=0.0)
    record.rows += [(number, PREDICTED + DAY, OUTCOME) for number in range(4)]
    meds = record.plant("CODE", HOUR, np.arange(300) >= 4).write(tmp_path)
    assert scan(meds).is_empty()


def test_windows_end_with_the_minute_of_the_prediction(tmp_path):
    record = Record(num_subjects=3, share=0)
    offsets = {"YEARS": 900 * DAY, "AGO": DAY + HOUR, "YESTERDAY": DAY, "NOW": 0 * DAY}
    offsets |= {"SECONDS": -timedelta(seconds=30), "NEXT": -timedelta(minutes=1), "UNDATED": None}
    for code, before in offsets.items():
        record.plant(code, before, np.array([True, False, False]))
    record.plant("AGO", HOUR, np.array([False, True, False]))
    meds = record.write(tmp_path)
    moments = pl.DataFrame({"subject_id": [1, 0, 7], "prediction_time": [PREDICTED] * 3}).with_columns(
        pl.col("prediction_time").cast(pl.Datetime("us"))
    )
    held = codes_held(moments, meds)

    def at(window, moment):
        return {code for number, code in enumerate(held.codes) if held.of(window, number)[moment]}

    assert at(RECORD, 1) == {"MEDS_BIRTH", "YEARS", "AGO", "YESTERDAY", "NOW", "SECONDS", "UNDATED"}
    assert at(LAST_DAY, 1) == {"YESTERDAY", "NOW", "SECONDS"}
    assert (at(RECORD, 0), at(LAST_DAY, 0)) == ({"MEDS_BIRTH", "AGO"}, {"AGO"})
    assert at(RECORD, 2) == set()
    weights = np.array([[1.0], [10.0], [100.0]])
    sums = dict(zip(held.codes, held.sums(LAST_DAY, weights)[:, 0], strict=True))
    assert (sums["AGO"], sums["NOW"], sums["YEARS"]) == (1, 10, 0)


def test_one_line_for_each_outcome_names_its_codes(tmp_path, capsys):
    record = Record()
    record.plant("ORDER", HOUR, record.is_case, 0.8)
    for number in range(4):
        record.plant(f"TEST{number}", 2 * DAY, record.is_case)
    found = scan(record.write(tmp_path))
    capsys.readouterr()
    say_leaks(found)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("evaluate: outcome stroke: ")
    assert "TEST0, TEST1, TEST2 and 2 more codes at the prediction time nearly determine it " in line
    assert "(share case by 5 years of those having TEST0 by then: 1.000, at least 0.9" in line
    say_leaks(found.filter(code="ORDER"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "outcome stroke: ORDER at the prediction time nearly determines it" in line


def test_the_line_says_auroc_where_that_is_the_rule(tmp_path, capsys):
    record = Record(num_subjects=3000)
    record.plant("BIOPSY", HOUR, record.is_case).plant("BIOPSY", HOUR, ~record.is_case, 0.03)
    found = scan(record.write(tmp_path)).filter(horizon_years=5.0, window=LAST_DAY)
    assert found["rule"].to_list() == [AUROC]
    say_leaks(found)
    assert "AUROC of having BIOPSY on the last day, by 5 years: 0.9" in capsys.readouterr().err
