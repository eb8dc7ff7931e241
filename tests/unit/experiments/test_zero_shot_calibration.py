"""The tables of the calibration experiment, on people whose true risks are known."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from zero_shot_calibration import GROUPS, agreement, groups_of, markdown, pairs

from proband.core.schema import LABELS, RISK

PEOPLE, YEARS = 4000, 5.0
WHEN = datetime(2015, 1, 1)


def risk_table(risk: np.ndarray, model: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "subject_id": np.arange(PEOPLE),
            "prediction_time": pl.Series([WHEN] * PEOPLE, dtype=pl.Datetime("us")),
            "outcome": ["x"] * PEOPLE,
            "horizon_years": [YEARS] * PEOPLE,
            "model": [model] * PEOPLE,
            "risk": risk,
            "standard_error": np.full(PEOPLE, 0.01),
            "unresolved": np.zeros(PEOPLE),
        }
    )


@pytest.fixture(params=[1.0, 2.0])
def people(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[float, pl.DataFrame]:
    """A model whose risks are the true ones, times a factor."""
    rng = np.random.default_rng(0)
    true = rng.uniform(0.02, 0.4, PEOPLE)
    case = rng.random(PEOPLE) < true
    (tmp_path / "risk").mkdir()
    RISK.write(risk_table(true * request.param, "model"), tmp_path / "risk" / "risk.parquet")
    RISK.write(risk_table(true, "oracle"), tmp_path / "oracle.parquet")
    keys = risk_table(true, "").select("subject_id", "prediction_time", "outcome")
    labels = keys.with_columns(
        pl.lit("held_out").alias("split"),
        pl.Series("time_years", np.where(case, 1.0, 6.0)),
        pl.Series("event", case, pl.Int8),
    )
    LABELS.write(labels, tmp_path / "labels.parquet")
    found = pairs(tmp_path / "risk", tmp_path / "oracle.parquet", tmp_path / "labels.parquet", YEARS)
    return request.param, found


def test_groups_show_how_far_off_predictions_are(people: tuple[float, pl.DataFrame]) -> None:
    factor, table = people
    groups = groups_of(table, YEARS)
    assert groups["people"].to_list() == [PEOPLE // GROUPS] * GROUPS
    np.testing.assert_allclose(groups["predicted"], factor * groups["true"])
    np.testing.assert_allclose(groups["observed"], groups["true"], atol=0.05)


def test_agreement_with_the_truth(people: tuple[float, pl.DataFrame]) -> None:
    factor, table = people
    row = agreement(table).row(0, named=True)
    assert row["mean_risk"] == pytest.approx(factor * row["mean_true_risk"])
    assert row["mean_distance_from_truth"] == pytest.approx((factor - 1) * row["mean_true_risk"], abs=1e-9)
    assert row["correlation_of_log_odds"] > 0.98


def test_what_is_not_estimable_is_left_empty() -> None:
    row = {
        "outcome": "rare_disease",
        "num_cases": 0,
        "mean_risk": 0.001,
        "mean_true_risk": 0.002,
        "oracle_auroc": None,
        "correlation_of_log_odds": 0.5,
        **{
            f"{metric}{end}": None
            for metric in ("observed_expected", "calibration_slope", "auroc")
            for end in ("", "_low", "_high")
        },
    }
    last = markdown(pl.from_dicts([row])).splitlines()[-1]
    assert last == "| rare disease | 0 | 0.10% | 0.20% |  |  |  |  | 0.50 |"
