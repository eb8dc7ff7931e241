import numpy as np
import polars as pl
import pytest

from proband.core.errors import ConfigError, DataError
from proband.core.schema import RISK
from proband.ehr.outcomes import Task
from proband.evaluate import evaluate
from proband.evaluate.baselines.registry import Baseline, chosen, model_names, references
from proband.evaluate.baselines.table import risk_table
from proband.evaluate.choices import BASELINES
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.tables import read_table


def test_a_baseline_from_outside_is_one_entry(world, tmp_path, monkeypatch):
    def everybody_alike(given):
        return pl.concat(
            [
                risk_table(given.wanted, "toy", h, np.full(given.wanted.height, 0.1))
                for h in given.horizons_years
            ]
        )

    monkeypatch.setitem(BASELINES, "toy", Baseline("one risk for all", everybody_alike, is_reference=True))
    out, toy = tmp_path / "out", EvaluateConfig(baselines=("toy",), bootstrap=0)
    evaluate([world.risk_folder("beside_toy")], world.meds, out, config=toy)
    metrics = read_table(out, "metrics").filter(outcome="type_2_diabetes", metric="auroc", horizon_years=5.0)
    assert dict(metrics.select("model", "value").iter_rows())["toy"] == 0.5
    assert "toy" in read_table(out, "utility")["reference"].unique()
    with pytest.raises(ValueError, match="the baseline toy is registered twice"):
        BASELINES["toy"] = Baseline("again", everybody_alike)
    with monkeypatch.context() as here:
        here.setitem(BASELINES, "age", Baseline("a model of age_sex", everybody_alike))
        with pytest.raises(ConfigError, match="two baselines have models of one name; found age"):
            chosen(["age_sex"])
    with pytest.raises(ConfigError, match="model name toy is used twice"):
        evaluate([world.risk_folder("toy")], world.meds, tmp_path / "again", config=toy)


def test_names_are_chosen_in_the_registrys_order():
    assert list(chosen(["all"])) == list(BASELINES)
    assert chosen(["none"]) == {}
    assert list(chosen(["lightgbm", "age_sex"])) == ["age_sex", "lightgbm"]
    assert set(model_names()) == {*BASELINES, "age"}


def test_net_benefit_is_compared_with_age_and_sex_and_with_gradient_boosting():
    assert references() == ["age_sex", "age", "lightgbm"]


@pytest.mark.parametrize("names", [["lightgmb"], ["all", "age_sex"], ["none", "all"]])
def test_unknown_names_list_the_registry(names):
    with pytest.raises(
        ConfigError, match=r"unusable --baselines.*expected all, none, or names among age_sex"
    ):
        chosen(names)


def test_a_baseline_asked_for_by_name_needs_what_it_needs(world, tmp_path):
    with pytest.raises(ConfigError, match="the baseline lightgbm_pgs needs --tokens and --genome"):
        evaluate(
            [world.risk_folder("needy")],
            world.meds,
            tmp_path / "out",
            config=EvaluateConfig(baselines=("lightgbm_pgs",)),
        )
    assert not (tmp_path / "out").exists()


def test_late_fusion_joins_a_model_and_the_scores(world, tmp_path):
    risk = world.risk_folder("half", noise=0.8)
    RISK.write(world.risk_table("half", noise=0.8, splits=("tuning",)), tmp_path / "tuning.parquet")
    out = tmp_path / "out"
    names = ("pgs_cox", "late_fusion")
    evaluate(
        [risk], world.meds, out, genome=world.genome, fusion_risks=tmp_path / "tuning.parquet",
        task=risk / "task.yaml", config=EvaluateConfig(baselines=names, bootstrap=0),
    )  # fmt: skip
    metrics = read_table(out, "metrics").filter(outcome="type_2_diabetes", metric="auroc", horizon_years=5.0)
    auroc = dict(metrics.select("model", "value").iter_rows())
    assert list(auroc) == ["half", *names]
    assert auroc["late_fusion"] > auroc["half"]


def test_risks_of_another_split_are_no_fusion_risks(world):
    """The forecast judged, which is of the held-out split: nothing could be fitted on it."""
    risk = world.risk_folder("judged")
    with pytest.raises(
        DataError, match=r"--fusion-risks.*no prediction of the tuning split.*judged.*--split tuning"
    ):
        evaluate([risk], world.meds, world.folder / "no", genome=world.genome, fusion_risks=risk)


def test_a_baseline_without_risks_is_said(world, tmp_path, capsys):
    rare = Task.model_validate(world.task.model_dump() | {"outcomes": {"stroke": {"codes": ["SNOMED//2"]}}})
    risk = world.risk_folder("rare", task=rare, outcomes=("stroke",))
    names = ("age_sex", "pgs_logistic")
    config = EvaluateConfig(baselines=names, bootstrap=0)
    evaluate([risk], world.meds, tmp_path / "out", genome=world.genome, config=config)
    assert "the baseline pgs_logistic has no risks: too few cases" in capsys.readouterr().err


def test_risks_of_another_model_are_no_fusion_risks(world, tmp_path):
    RISK.write(world.risk_table("other", splits=("tuning",)), tmp_path / "tuning.parquet")
    risk = world.risk_folder("judged")
    with pytest.raises(DataError, match=r"--fusion-risks.*found other; expected judged.*--split tuning"):
        evaluate(
            [risk],
            world.meds,
            tmp_path / "out",
            genome=world.genome,
            fusion_risks=tmp_path / "tuning.parquet",
        )
