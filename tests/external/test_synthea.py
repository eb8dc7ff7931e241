"""The whole way on OMOP tables that nobody here made: 28 Synthea persons, from zip to risk."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from proband.core.files.manifest import read_manifest
from proband.core.schema import RISK
from proband.ehr import ehr
from proband.ehr.config import EhrConfig
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.train import train
from proband.train.config import TrainConfig

pytestmark = pytest.mark.external

TASK = """
outcomes:
  sinusitis_or_bronchitis: {regex: "^SNOMED//(75498004|10509002)$"}
  viral_sinusitis: {codes: [SNOMED//444814009]}
prediction: {age_years: [30]}
horizons_years: [5]
"""


def test_from_zip_to_five_year_risk(tmp_path: Path) -> None:
    source = Path(os.environ["PROBAND_DATA"]) / "omop-synthea27nj" / "Synthea27NjParquet_5.4.zip"
    (tmp_path / "task.yaml").write_text(TASK)
    ehr(source, tmp_path / "meds", config=EhrConfig(splits=(0.6, 0.2, 0.2)), workers=1)
    config = TokensConfig(min_subjects=2)  # 17 train subjects: the default 5 would roll most codes up
    tokens(tmp_path / "meds", tmp_path / "tokens", config=config, workers=1)
    small = TrainConfig(epochs=2, depth=1, dim=32, num_heads=2, context=128)
    train(tmp_path / "tokens", tmp_path / "model", config=small)
    sampling = ForecastConfig(estimator="scope", paths=2, split="train", max_events=50)
    forecast(
        tmp_path / "model",
        tmp_path / "tokens",
        tmp_path / "risk",
        task=tmp_path / "task.yaml",
        config=sampling,
    )
    counts = read_manifest(tmp_path / "meds")["counts"]
    stated = {"condition_occurrence": 470, "drug_exposure": 883, "measurement": 10_040, "person": 28}
    stated |= {"procedure_occurrence": 1_649, "observation": 8_099, "visit_occurrence": 1_791, "death": 3}
    assert {name: counts[f"num_{name}"] for name in stated} == stated
    risk = RISK.read(tmp_path / "risk" / "risk.parquet")
    assert risk.height > 0
    assert risk["risk"].is_between(0, 1).all()
    assert risk.select(pl.col("risk").n_unique()).item() > 1
    made = read_manifest(tmp_path / "tokens")["counts"]
    assert (
        made["num_tokens"]
        == made["num_rows"]
        - (made["num_rows_static_or_marker"] + made["num_rows_outside_life_or_follow_up"])
        + made["num_subjects"]
    )
