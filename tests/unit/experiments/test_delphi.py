"""The measures of experiments/delphi.py, by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from delphi_scores import Positions, auc, disease_aucs
from delphi_table import BAND_DAYS, NUM_BANDS, AgeSexTable, tally

YEAR = 365.25


def test_auc_by_hand() -> None:
    assert auc(np.array([2.0]), np.array([1.0, 2.0, 3.0])) == 0.5
    assert auc(np.array([2.0, 4.0]), np.array([1.0, 3.0])) == 0.75


def positions(*rows: tuple[int, int, float, int, float, float]) -> Positions:
    """From rows of subject, sex, age in years, code that follows, age then, and the rate of code 0."""
    subject, sex, age, following, after, rate = (np.array(column) for column in zip(*rows, strict=True))
    rates = np.stack([rate, np.zeros(len(rate))], axis=1)
    return Positions(
        subject,
        sex,
        (age * YEAR).astype(int),
        following,
        (after * YEAR).astype(int),
        rates,
        np.zeros(len(rows)),
    )


def test_a_case_is_judged_before_its_day_against_controls_of_its_age_and_sex() -> None:
    found = positions(
        (0, 1, 52.0, 1, 53.0, 0.6),  # the case's position: the one at 53 is of the day of diagnosis
        (0, 1, 53.0, 0, 53.0, 9.0),
        (0, 1, 53.0, -1, -1.0, 9.0),
        (1, 1, 51.0, -1, -1.0, 0.5),  # a control that it beats
        (2, 1, 54.0, -1, -1.0, 0.7),  # and one that it does not
        (3, 2, 52.0, -1, -1.0, 9.9),  # of another sex
        (4, 1, 57.0, -1, -1.0, 9.9),  # of another age
        (5, 1, 52.0, 1, 52.5, 0.1),  # of two positions in the band, one counts
        (5, 1, 52.5, -1, -1.0, 0.2),
    )
    assert disease_aucs(found, [0]) == {0: pytest.approx(2 / 3)}


def events(*rows: tuple[int, int, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["subject_id", "days", "code"], orient="row")


def test_the_table_reads_every_position() -> None:
    records = events((1, 0, "SEX//Male"), (1, 8000, "X"), (1, 9000, "Y"), (2, 8500, "X"))
    index = {"X": 0, "Y": 1}
    table = AgeSexTable(*tally(records, index), index, 1.0)
    found = table.positions(records)
    assert found.following.tolist() == [0, 1, -1, 0, -1]
    assert found.following_day.tolist() == [8000, 9000, -1, 8500, -1]
    assert np.isnan(found.nats[[2, 4]]).all()
    assert found.nats[1] == pytest.approx(0.0, abs=1e-12)  # X was had: only Y can follow
    both = [AgeSexTable.next_code(table.rates[2], 0.0)[code] for code in (0, 1)]
    assert sum(both) == pytest.approx(1.0)
    assert found.nats[0] == pytest.approx(-np.log(both[0]))


def test_the_next_code_by_hand() -> None:
    rates = np.full((NUM_BANDS, 2), [1e-3, 3e-3])
    assert AgeSexTable.next_code(rates, 1234.0) == pytest.approx([0.25, 0.75])
    rates[0] = [3e-3, 1e-3]  # the first five years are the other way round
    first = 1 - np.exp(-4e-3 * (BAND_DAYS - 1000))
    assert AgeSexTable.next_code(rates, 1000.0)[0] == pytest.approx(0.75 * first + 0.25 * (1 - first))
