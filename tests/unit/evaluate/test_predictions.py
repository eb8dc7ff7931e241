"""Predictions in the schema of meds-evaluation."""

import polars as pl
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from proband.core.errors import ConfigError
from proband.core.schema import LABELS, RISK
from proband.ehr.labels import labels
from proband.ehr.outcomes import save_task
from proband.evaluate import evaluate
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.tables import read_table

TYPES = {
    "subject_id": "int64",
    "prediction_time": "timestamp[us]",
    "boolean_value": "bool",
    "predicted_boolean_value": "bool",
    "predicted_boolean_probability": "double",
}
"""Of PredictionSchema of meds-evaluation 0.0.6, which casts a double to its float."""


def settings(*baselines):
    return EvaluateConfig(bootstrap=0, baselines=baselines, meds_evaluation=True)


@pytest.fixture(scope="module")
def judged(world, tmp_path_factory):
    """Results and the RiskTable of a model whose name is no name of a folder."""
    folder = tmp_path_factory.mktemp("predictions")
    table = world.risk_table("a+b/c", noise=0.5)
    RISK.write(table, folder / "risk.parquet")
    save_task(world.task, folder / "task.yaml")
    risks, task = [folder / "risk.parquet"], folder / "task.yaml"
    evaluate(risks, world.meds, folder / "out", task=task, config=settings("age_sex"))
    return folder / "out", table


def test_each_model_outcome_and_horizon_has_a_file_of_the_schema(judged):
    out, _ = judged
    files = {str(path.relative_to(out / "meds_evaluation")) for path in out.rglob("*_years.parquet")}
    names = [f"{outcome}_by_{years}_years" for outcome in ("stroke", "type_2_diabetes") for years in (1, 5)]
    assert files == {f"{model}/{name}.parquet" for model in ("a+b_c", "age_sex") for name in names}
    for file in files:
        schema = pq.read_schema(out / "meds_evaluation" / file)
        assert dict(zip(schema.names, map(str, schema.types), strict=True)) == TYPES


def test_rows_are_the_risks_of_whose_outcome_is_known(judged):
    out, table = judged
    found = pl.read_parquet(out / "meds_evaluation" / "a+b_c" / "type_2_diabetes_by_5_years.parquet")
    assert found.null_count().sum_horizontal()[0] == 0
    event, time = pl.col("event"), pl.col("time_years")
    followed = LABELS.read(out / "labels.parquet").filter(outcome="type_2_diabetes", split="held_out")
    case = (event == 1) & (time <= 5)
    known = followed.filter(case | (time > 5) | (event == 2)).select(
        "subject_id", "prediction_time", boolean_value=case
    )
    assert 0 < known.height < followed.height
    both = found.join(known, on=["subject_id", "prediction_time", "boolean_value"])
    assert both.height == known.height == found.height
    risks = table.filter(outcome="type_2_diabetes", horizon_years=5.0)
    both = found.join(risks, on=["subject_id", "prediction_time"])
    assert (both["predicted_boolean_probability"] == both["risk"]).all()
    assert (both["predicted_boolean_value"] == (both["risk"] > 0.5)).all()
    assert 0 < both["predicted_boolean_value"].sum() < both.height


def test_areas_of_another_program_are_those_without_the_censored(judged):
    out, _ = judged
    metrics = read_table(out, "metrics").filter(outcome="type_2_diabetes", horizon_years=5.0)
    for model, folder in (("a+b/c", "a+b_c"), ("age_sex", "age_sex")):
        found = pl.read_parquet(out / "meds_evaluation" / folder / "type_2_diabetes_by_5_years.parquet")
        told = found["boolean_value"].to_numpy(), found["predicted_boolean_probability"].to_numpy()
        ours = dict(metrics.filter(model=model).select("metric", "value").iter_rows())
        assert roc_auc_score(*told) == pytest.approx(ours["auroc_complete_case"])
        assert average_precision_score(*told) == pytest.approx(ours["auprc_complete_case"])


def test_labels_given_come_back(world, tmp_path):
    found = labels(world.meds, world.task, ["held_out"], report=False).filter(outcome="type_2_diabetes")
    given = found.select(
        "subject_id", "prediction_time", boolean_value=(pl.col("event") == 1) & (pl.col("time_years") <= 5)
    )
    given.write_parquet(tmp_path / "labels.parquet")
    (tmp_path / "task.yaml").write_text("outcomes: {x: {labels: labels.parquet}}\nhorizons_years: [5]\n")
    table = world.risk_table("m", outcomes=["x"]).filter(horizon_years=5.0)
    RISK.write(table, tmp_path / "risk.parquet")
    risks, task = [tmp_path / "risk.parquet"], tmp_path / "task.yaml"
    evaluate(risks, world.meds, tmp_path / "out", task=task, config=settings("none"))
    found = pl.read_parquet(tmp_path / "out" / "meds_evaluation" / "m" / "x_by_5_years.parquet")
    key = ["subject_id", "prediction_time"]
    assert found.select(given.columns).sort(key).equals(given.sort(key))


def test_two_models_of_one_file_name_are_refused(world, tmp_path):
    for number, name in enumerate(("a b", "a/b")):
        RISK.write(world.risk_table(name), tmp_path / f"{number}.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    risks, task = [tmp_path / "0.parquet", tmp_path / "1.parquet"], tmp_path / "task.yaml"
    with pytest.raises(
        ConfigError, match=r"names give one file; in meds_evaluation/a_b/.*remedy: rename one"
    ):
        evaluate(risks, world.meds, tmp_path / "out", task=task, config=settings("none"))
    assert not (tmp_path / "out").exists()


def test_without_the_option_nothing_is_written(results):
    assert not (results / "meds_evaluation").exists()
