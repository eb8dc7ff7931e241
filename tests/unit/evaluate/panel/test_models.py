"""Which models read a genome, and the mean of what those gain."""

import json

import numpy as np
import polars as pl
import pytest

from proband.core.schema import RISK
from proband.ehr.outcomes import save_task
from proband.evaluate import evaluate
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.panel.models import described_models, pairs, unpaired
from proband.evaluate.tables import MODELS, read_table


def folder_with(world, path, model, modalities, stage="forecast"):
    path.mkdir()
    RISK.write(world.risk_table(model), path / "risk.parquet")
    manifest = {"stage": stage, "config": {} if modalities is None else {"modalities": modalities}}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return str(path)


def test_manifests_beside_the_risks_tell_what_models_are(world, tmp_path):
    risks = [
        folder_with(world, tmp_path / "a", "record", []),
        folder_with(world, tmp_path / "b", "both", ["genome", "pcs"]),
        folder_with(world, tmp_path / "c", "truth", None, stage="oracle"),
        folder_with(world, tmp_path / "d", "elsewhere", None),
    ]
    names = ["record", "both", "truth", "elsewhere", "age_sex", "lightgbm_pgs"]
    assert described_models(risks, names, None).rows() == [
        ("record", "given", False, ""),
        ("both", "given", True, "pcs"),
        ("truth", "oracle", None, None),
        ("elsewhere", "given", None, None),
        ("age_sex", "baseline", False, None),
        ("lightgbm_pgs", "baseline", True, None),
    ]


def test_a_genome_that_was_given_and_not_read_does_not_count(world, tmp_path):
    folder = folder_with(world, tmp_path / "a", "record", ["genome"])
    content = json.loads((tmp_path / "a" / "manifest.json").read_text()) | {"notes": {"modalities_read": []}}
    (tmp_path / "a" / "manifest.json").write_text(json.dumps(content))
    assert described_models([folder], ["record"], None).rows() == [("record", "given", False, "")]


def test_the_risks_beside_the_truth_are_the_oracles(world, tmp_path):
    RISK.write(world.risk_table("known"), tmp_path / "risk.parquet")
    begun = tmp_path / "already_begun.parquet"
    [row] = described_models([str(tmp_path / "risk.parquet")], ["known"], begun).rows()
    assert row == ("known", "oracle", None, None)


def test_models_of_which_nothing_is_known_are_no_pair():
    rows = [("a", "given", None), ("b", "given", True), ("c", "oracle", None)]
    assert pairs(pl.DataFrame(rows, schema=dict(MODELS.columns), orient="row")) == []


def test_a_genome_is_set_beside_the_model_that_reads_the_same_else():
    """EHR, EHR+PCs, EHR+PCs+PGS: what components add is not the genome's, in whichever order they come."""
    rows = [
        ("EHR", "given", False, ""),
        ("EHR+PCs", "given", False, "pcs"),
        ("EHR+PCs+PGS", "given", True, "pcs"),
        ("EHR+PGS", "given", True, ""),
        ("EHR+image+PGS", "given", True, "image"),
    ]
    expected = {("EHR+PCs+PGS", "EHR+PCs"), ("EHR+PGS", "EHR")}
    for order in (rows, rows[::-1]):
        models = pl.DataFrame(order, schema=dict(MODELS.columns) | dict(MODELS.optional), orient="row")
        assert set(pairs(models)) == expected
        assert unpaired(models) == {"EHR+image+PGS": "image"}


@pytest.fixture(scope="module")
def results(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gain")
    risks = []
    for name, model, noise, modalities in (("a", "record", 1.5, []), ("b", "both", 0.0, ["genome"])):
        (folder / name).mkdir()
        RISK.write(world.risk_table(model, noise=noise), folder / name / "risk.parquet")
        manifest = {"stage": "forecast", "config": {"modalities": modalities}}
        (folder / name / "manifest.json").write_text(json.dumps(manifest))
        save_task(world.task, folder / name / "task.yaml")
        risks.append(folder / name)
    evaluate(risks, world.meds, folder / "out", config=EvaluateConfig(bootstrap=50, baselines=("none",)))
    return folder / "out"


def test_the_mean_gain_over_one_outcome_is_its_difference(results):
    gains = read_table(results, "gains").filter(metric="auroc")
    assert gains["num_outcomes"].to_list() == [1] * gains.height  # strokes are too few
    row = gains.filter(horizon_years=5.0).row(0, named=True)
    assert (row["model"], row["reference"]) == ("both", "record")
    pair = {"model_a": "record", "model_b": "both", "metric": "auroc", "horizon_years": 5.0}
    difference = read_table(results, "differences").filter(outcome="type_2_diabetes", **pair)
    assert row["difference"] == pytest.approx(-difference["difference"][0])
    assert row["low"] < row["difference"] < row["high"]
    assert json.loads((results / "manifest.json").read_text())["notes"]["synthetic"] is False


@pytest.mark.parametrize("case", ["one row less", "another horizon", "other splits", "other order"])
def test_the_mean_gain_is_of_the_people_that_are_judged(world, results, tmp_path, case):
    """That of the same people as in the differences, however RiskTables differ in rows and order."""
    tables = {"a": world.risk_table("record", noise=1.5), "b": world.risk_table("both", seed=2)}
    if case == "one row less":
        tables["b"] = tables["b"].filter(pl.col("subject_id") != tables["b"]["subject_id"][0])
    if case == "another horizon":
        tables["b"] = tables["b"].filter(horizon_years=1.0)
    if case == "other splits":  # in train a is useless and b knows everything
        record = world.risk_table("record", noise=9.0, splits=("train", "tuning"))
        tables["a"] = pl.concat([tables["a"], record])
        tables["b"] = pl.concat([tables["b"], world.risk_table("both", splits=("train", "tuning"))])
    order = ["b", "a"] if case == "other order" else ["a", "b"]
    for name, modalities in (("a", []), ("b", ["genome"])):
        (tmp_path / name).mkdir()
        RISK.write(tables[name], tmp_path / name / "risk.parquet")
        manifest = {"stage": "forecast", "config": {"modalities": modalities}}
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
        save_task(world.task, tmp_path / name / "task.yaml")
    config = EvaluateConfig(bootstrap=20, baselines=("none",))
    evaluate([tmp_path / name for name in order], world.meds, tmp_path / "out", config=config)
    row = read_table(tmp_path / "out", "gains").row(by_predicate=pl.col("metric") == "auroc", named=True)
    found = read_table(tmp_path / "out", "differences").filter(
        outcome="type_2_diabetes", metric="auroc", horizon_years=row["horizon_years"]
    )
    assert row["horizon_years"] == (1.0 if case == "another horizon" else 5.0)
    assert found.height == 1
    assert row["difference"] == pytest.approx(abs(found["difference"][0]))
    assert row["difference"] > 0.02
    if case == "other splits":
        of_all = read_table(results, "gains").row(by_predicate=pl.col("metric") == "auroc", named=True)
        assert row["difference"] == pytest.approx(of_all["difference"], abs=0.03)


def test_a_single_family_has_no_interval(world, tmp_path):
    """Everybody is related to somebody: drawn as one, replicates are all alike."""
    subjects = np.flatnonzero(world.split == "held_out") + 1
    pairs = pl.DataFrame({"id1": subjects[:-1], "id2": subjects[1:], "kinship": 0.25})
    pairs.write_csv(tmp_path / "kinship.tsv", separator="\t")
    risks = [world.risk_folder("first"), world.risk_folder("second", noise=1.0)]
    config = EvaluateConfig(bootstrap=20, baselines=("none",))
    evaluate(risks, world.meds, tmp_path / "out", kinship=tmp_path / "kinship.tsv", config=config)
    metrics = read_table(tmp_path / "out", "metrics").filter(metric="auroc", outcome="type_2_diabetes")
    assert metrics["value"].null_count() == 0
    assert metrics["low"].null_count() == metrics.height
    assert metrics["note"].str.contains("no interval: cases of 1 families").all()
    differences = read_table(tmp_path / "out", "differences").filter(metric="auroc")
    assert differences["p_value"].null_count() == differences.height


def test_mean_predicted_risk_rises_with_the_decile_of_the_score(world, tmp_path):
    out = tmp_path / "out"
    risks = [world.risk_folder("sharp")]
    evaluate(
        risks, world.meds, out, genome=world.genome, config=EvaluateConfig(bootstrap=2, baselines=("none",))
    )
    found = read_table(out, "decile_risks").filter(outcome="type_2_diabetes", horizon_years=5.0)
    assert found["decile"].to_list() == list(range(1, 11))
    assert found["predicted"].is_sorted()
    frame = world.risk_table("sharp", outcomes=["type_2_diabetes"]).filter(horizon_years=5.0)
    scored = frame.filter(pl.col("subject_id") % 10 != 0)
    labels = pl.read_parquet(out / "labels.parquet").filter(outcome="type_2_diabetes", split="held_out")
    at_risk = scored.join(labels, on=["subject_id", "outcome"], how="semi")
    assert found["predicted"].mean() == pytest.approx(at_risk["risk"].mean(), rel=0.01)
