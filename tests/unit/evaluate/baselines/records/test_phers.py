from datetime import datetime, timedelta

import polars as pl

from proband.evaluate import evaluate
from proband.evaluate.baselines.records.phers import NAME, EverRecorded
from proband.evaluate.baselines.records.record import RecordFeatures
from proband.evaluate.config import EvaluateConfig


def test_features_are_codes_had_and_not_how_often(world, tokens_folder):
    record = RecordFeatures(tokens_folder)
    times = [datetime(2000, 1, 1) + timedelta(days=365.25 * years) for years in (0, 12)]
    moments = pl.DataFrame(
        {"subject_id": [1, 1], "prediction_time": times, "age_years": [50.0, 62.0], "female": [1.0, 1.0]},
        schema_overrides={"prediction_time": pl.Datetime("us")},
    )
    found = EverRecorded(record)(moments).joined().toarray()
    number = len(record.layout.codes) - 1
    assert found.shape == (2, number + 2)
    assert set(found[:, :number].ravel()) <= {0.0, 1.0}
    assert (found[1, :number] >= found[0, :number]).all()
    assert found[:, number].tolist() == [50.0, 62.0]


def test_it_learns_the_score_that_matters(world, tokens_folder, tmp_path):
    config = EvaluateConfig(bootstrap=0, baselines=("age_sex", NAME))
    evaluate(
        [world.risk_folder("sharp")], world.meds, tmp_path / "out", tokens=tokens_folder, genome=world.genome,
        config=config,
    )  # fmt: skip
    metrics = pl.read_parquet(tmp_path / "out" / "metrics.parquet")
    auroc = metrics.filter(outcome="type_2_diabetes", horizon_years=5.0, metric="auroc")
    value = dict(auroc.select("model", "value").iter_rows())
    assert value["sharp"] > value[NAME] - 0.01
    assert value[NAME] > value["age_sex"] + 0.05
