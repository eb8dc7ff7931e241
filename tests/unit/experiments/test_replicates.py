"""Intervals over seeds, and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from replicates import Areas, by_seed, labelled, markdown, write

from paired_people import drawn_people


def test_gain_is_the_mean_over_outcomes_of_the_paired_difference() -> None:
    people = drawn_people({"x": 0.2, "y": 0.3}, {"good": 0.0, "poor": 3.0})
    areas = Areas(people)
    gain = areas.gain(["x", "y"], "good", "poor")
    expected = people.gain(["x", "y"], "good", "poor")
    assert gain[0] == pytest.approx(expected.value)
    assert by_seed({0: gain})[0]["low"] == pytest.approx(expected.low)


def test_share_of_distance_lies_between_the_model_compared_with_and_the_ceiling() -> None:
    areas = Areas(drawn_people({"x": 0.3}, {"ceiling": 0.0, "middle": 1.0, "low": 4.0}))
    outcomes = ["x"]
    assert areas.share_of_distance(outcomes, "ceiling", "low", "ceiling") == pytest.approx(1)
    assert areas.share_of_distance(outcomes, "low", "low", "ceiling") == pytest.approx(0)
    assert 0.3 < areas.share_of_distance(outcomes, "middle", "low", "ceiling")[0] < 1


def test_mean_of_seeds_has_the_narrower_interval() -> None:
    random = np.random.default_rng(0)
    seeds = {seed: np.append(0.1, 0.1 + random.standard_normal(4000)) for seed in range(4)}
    rows = by_seed(seeds)
    assert [row["seed"] for row in rows] == ["0", "1", "2", "3", "mean"]
    width = [float(row["high"]) - float(row["low"]) for row in rows]  # type: ignore[arg-type]
    assert width[-1] == pytest.approx(width[0] / 2, rel=0.1)
    assert rows[-1]["value"] == pytest.approx(0.1)


def test_one_resample_has_no_interval() -> None:
    assert np.isnan(labelled({0: np.array([0.5])}, model="a")[0]["low"])  # type: ignore[arg-type]


def test_tables_are_written_with_where_they_come_from(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = pl.DataFrame(labelled({0: np.array([0.5, 0.4, 0.6])}, model="EHR_x"))
    write(tmp_path, "panel", {"Main": table, "By age": table}, "tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["panel.csv", "panel.md", "panel_by_age.csv"]
    text = (tmp_path / "panel.md").read_text()
    assert "Commit " in text
    assert " cores" in text
    assert "| EHR x | 0 | 0.500 (0.405 to 0.595) |" in text
    assert capsys.readouterr().out.strip() == text.strip()
    assert pl.read_csv(tmp_path / "panel.csv").rows() == [("EHR_x", 0, 0.5, 0.405, 0.595)]


def test_cells_that_are_not_estimable_are_empty() -> None:
    table = pl.DataFrame({"value": [None, 0.5, 0.5], "low": [None, None, 0.4], "high": [None, None, 0.6]})
    assert markdown(table)[2:] == ["|  |", "| 0.500 |", "| 0.500 (0.400 to 0.600) |"]
