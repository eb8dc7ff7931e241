"""Experiments on biobanks of other laws, and on refits."""

from __future__ import annotations

from pathlib import Path

import another_law
import polars as pl
import pytest
import stability
from biobank import EHR_PCS, SIZES, Biobank
from replicates import Areas

from paired_people import drawn_people
from proband.evaluate.stability import STABILITY


def test_biobanks_of_other_laws_lie_beside_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Biobank, "made", lambda out, size, seed: (out, size.synth.get("law")))
    tiny = SIZES["tiny"]
    assert another_law.lived_by("additive", Path("out"), tiny, 1) == (Path("out"), None)
    found = another_law.lived_by("calendar", Path("out"), tiny, 1)
    assert found == (Path("out/tiny/law_calendar"), "calendar")
    assert "law" not in tiny.synth


def test_differences_and_areas_of_a_law() -> None:
    noise = {name: float(at) for at, name in enumerate(reversed(another_law.SHOWN))}  # the oracle's is 0
    areas = {seed: Areas(drawn_people({"x": 0.3, "y": 0.2}, noise, seed=seed)) for seed in (0, 1)}
    outcomes = {0: ["x", "y"], 1: []}
    rows = another_law.differences_of("thresholds", areas, outcomes)
    assert [row["seed"] for row in rows] == ["0"] * len(another_law.PAIRS)
    assert all(row["value"] > 0 for row in rows)  # type: ignore[operator]
    shown = another_law.aurocs_of("thresholds", areas, outcomes)
    values = [row["value"] for row in shown]
    assert (min(values), max(values)) == (values[0], values[-1])  # type: ignore[type-var]


def test_calibration_is_the_median_over_outcomes_with_cases_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        (EHR_PCS.name, 10.0, "observed_expected", value, cases)
        for value, cases in ((0.8, 40), (1.0, 40), (1.1, 40), (9.0, 5), (None, 40))
    ]
    rows += [("other", 10.0, "observed_expected", 5.0, 40), (EHR_PCS.name, 5.0, "observed_expected", 5.0, 40)]
    metrics = pl.DataFrame(
        rows, schema=["model", "horizon_years", "metric", "value", "num_cases"], orient="row"
    )
    monkeypatch.setattr(another_law, "read_table", lambda results, name: metrics)
    found = another_law.calibration_of("calendar", 0, Path("results"))
    assert found.rows() == [("calendar", "0", EHR_PCS.name, 1.0, None)]


def test_stability_is_summarised_over_outcomes() -> None:
    rows = []
    for outcome, mean in (("x", 0.1), ("y", 0.3)):
        measures = [("mean_absolute_difference", None, 0.02), ("interval_width", None, 0.06)]
        measures += [("classification_changed", mean * times, 0.01 * times) for times in (0.5, 2.0)]
        measures += [("group_original", 1.0, mean / 2), ("group_original", 2.0, mean * 1.5)]
        rows += [(outcome, 10.0, "m", *measure, 3, 100) for measure in measures]
    found = stability.summary(pl.DataFrame(rows, schema=dict(STABILITY.columns), orient="row"))
    assert found["measure"].to_list() == [
        "classification_changed", "interval_width", "mean_absolute_difference",
    ]  # fmt: skip
    assert found["mean"].to_list() == pytest.approx([0.02, 0.06, 0.02])
    assert found["over_mean_risk"].to_list()[1:] == pytest.approx([(0.6 + 0.2) / 2, (0.2 + 0.02 / 0.3) / 2])
    assert found["over_mean_risk"][0] is None
    assert found["num_outcomes"].to_list() == [2, 2, 2]
