import shutil
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import fresh_process
from proband.cli.main import app
from proband.core.errors import ConfigError, DataError
from proband.core.files.manifest import read_manifest
from proband.core.files.provenance import stage_output
from proband.core.schema import LABELS, RISK, scores_file
from proband.ehr.labels import labels
from proband.ehr.outcomes import Task, load_task, save_task
from proband.evaluate import evaluate, stage
from proband.evaluate.baselines import registry
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.inputs import errors_of_fit
from proband.evaluate.metrics.registry import METRICS
from proband.evaluate.panel.multiplicity import INTEGRATED_BRIER
from proband.evaluate.tables import TABLES, read_table
from proband.synth.config import OracleConfig

ENTRY, DAYS_PER_YEAR = datetime(2000, 1, 1), 365.25
FIFTY, POINTS = EvaluateConfig(bootstrap=50), EvaluateConfig(bootstrap=0)
UNCOMPARED = EvaluateConfig(bootstrap=0, baselines=("none",))


def value(results, metric, model, outcome="type_2_diabetes", horizon=5.0):
    found = read_table(results, "metrics").filter(
        outcome=outcome, horizon_years=horizon, model=model, metric=metric
    )
    return found.row(0, named=True)


def test_every_file_is_there_and_valid(results, world):
    for name in TABLES:
        read_table(results, name)
    LABELS.read(results / "labels.parquet")
    assert {path.name for path in (results / "baselines").iterdir()} == {
        "age_sex.parquet",
        "pgs_logistic.parquet",
        "pgs_cox.parquet",
    }
    for path in (results / "baselines").iterdir():
        RISK.read(path)
    assert load_task(results / "task.yaml") == world.task
    assert (results / "manifest.json").is_file()


def test_models_and_metrics_are_complete(results):
    metrics = read_table(results, "metrics").filter(outcome="type_2_diabetes", horizon_years=5.0)
    assert metrics["model"].unique(maintain_order=True).to_list() == [
        "plain",
        "sharp",
        "age_sex",
        "pgs_logistic",
        "pgs_cox",
    ]
    without_truth = {name for name, metric in METRICS.items() if not metric.needs_truth}
    assert set(metrics["metric"]) == {*without_truth, INTEGRATED_BRIER}
    assert metrics["num_subjects"].n_unique() == 1


def test_subgroups_have_the_integrated_brier_score_too(results):
    rows = read_table(results, "subgroups").filter(metric="brier_integrated", dimension="sex", model="sharp")
    assert set(rows["subgroup"]) == {"female", "male"}
    whole = read_table(results, "metrics").filter(metric="brier_integrated", model="sharp")
    assert rows["value"].min() < whole["value"][-1] < rows["value"].max()
    assert rows["gap"].null_count() == 1


def test_better_model_wins_and_the_baselines_see_their_signal(results):
    auroc = {
        model: value(results, "auroc", model)["value"]
        for model in ("plain", "sharp", "age_sex", "pgs_logistic")
    }
    assert auroc["sharp"] > auroc["plain"]
    assert auroc["sharp"] > auroc["age_sex"] > 0.52
    assert auroc["pgs_logistic"] > auroc["age_sex"]
    row = read_table(results, "differences").filter(
        outcome="type_2_diabetes", horizon_years=5.0, metric="auroc", model_a="plain", model_b="sharp"
    )
    assert row["difference"][0] == pytest.approx(auroc["plain"] - auroc["sharp"])
    assert row["high"][0] < 0


def test_true_risks_are_calibrated(results):
    slope = value(results, "calibration_slope", "sharp")
    assert slope["low"] < 1 < slope["high"]
    ratio = value(results, "observed_expected", "sharp")
    assert ratio["low"] < 1 < ratio["high"]


def test_risks_along_a_history_are_judged_together(world, tmp_path):
    """The onset rate is constant from 2 years after entry, so a risk computed again each year is the same."""
    often = Task.model_validate(
        world.task.model_dump()
        | {"prediction": {"every_years": 1}, "washout_years": 2, "outcomes": {"t": {"codes": "SNOMED//1"}}}
    )
    asked = labels(world.meds, often, ["held_out"])
    assert asked.height > 3 * asked["subject_id"].n_unique()
    hazard = world.hazard[asked["subject_id"].to_numpy() - 1]
    table = asked.select("subject_id", "prediction_time", "outcome").with_columns(
        pl.lit(1.0).alias("horizon_years"),
        pl.lit("true").alias("model"),
        pl.Series("risk", (1 - np.exp(-hazard - 0.01)) * hazard / (hazard + 0.01)),
        pl.lit(0.0).alias("standard_error"),
        pl.lit(0.0).alias("unresolved"),
    )
    RISK.write(table, tmp_path / "risk.parquet")
    save_task(often, tmp_path / "task.yaml")
    evaluate(
        [tmp_path / "risk.parquet"], world.meds, tmp_path / "out", task=tmp_path / "task.yaml", config=FIFTY
    )
    found = value(tmp_path / "out", "observed_expected", "true", "t", 1.0)
    assert found["low"] < 1 < found["high"]
    assert found["num_subjects"] == asked["subject_id"].n_unique()
    baseline = value(tmp_path / "out", "observed_expected", "age_sex", "t", 1.0)
    assert baseline["value"] == pytest.approx(1, abs=0.15)
    cohort = read_table(tmp_path / "out", "cohort").filter(split="held_out")
    assert cohort["num_predictions"].to_list() == [asked.height]


def test_rare_outcome_is_null_with_a_reason(results):
    row = value(results, "auroc", "plain", "stroke", 1.0)
    assert row["value"] is None
    assert "at least 5 needed" in row["note"]
    assert row["num_cases"] < 5


def test_deciles_take_the_score_of_the_trait(results):
    deciles = read_table(results, "deciles").filter(outcome="type_2_diabetes", horizon_years=5.0)
    assert deciles["pgs_id"].unique().to_list() == ["PGS000001"]
    assert deciles["chosen_by"][0] == "trait"
    assert deciles.height == 10
    assert deciles["observed"][-1] > 2 * deciles["observed"][0]


def test_a_code_at_the_prediction_time_that_determines_an_outcome_is_named(results, world, tmp_path, capsys):
    assert read_table(results, "leaks").is_empty()
    meds = tmp_path / "meds"
    for shard in sorted(world.meds.rglob("*.parquet")):
        events = pl.read_parquet(shard)
        soon = pl.col("time") <= ENTRY + timedelta(days=7 * DAYS_PER_YEAR)
        visit = events.filter(soon, pl.col("code") == "SNOMED//1").with_columns(
            pl.lit(ENTRY + timedelta(days=2 * DAYS_PER_YEAR)).cast(pl.Datetime("us")).alias("time"),
            pl.lit("VISIT").alias("code"),
        )
        path = meds / shard.relative_to(world.meds)
        path.parent.mkdir(parents=True)
        both = pl.concat([events, visit]).sort("subject_id", "time", nulls_last=False, maintain_order=True)
        both.write_parquet(path)
    evaluate([world.risk_folder("leaking")], meds, tmp_path / "out", config=UNCOMPARED)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "nearly determines" in line]
    assert line.startswith("evaluate: outcome type_2_diabetes: VISIT at the prediction time")
    found = read_table(tmp_path / "out", "leaks").filter(window="last day", horizon_years=5.0)
    assert found.select("outcome", "code", "who", "label").rows() == [
        ("type_2_diabetes", "VISIT", "having", "case")
    ]
    labelled = labels(meds, world.task, report=False).filter(outcome="type_2_diabetes")
    by_then = labelled.filter(pl.col("event") == 1, pl.col("time_years") <= 5)
    assert found["num_cases"].to_list() == [by_then.height]


def test_cohort_counts(results, world):
    cohort = (
        read_table(results, "cohort").filter(split="held_out", outcome="type_2_diabetes").row(0, named=True)
    )
    assert (
        cohort["num_subjects"]
        == cohort["num_female"] + cohort["num_male"]
        == (world.split == "held_out").sum()
    )
    assert cohort["num_genotyped"] < cohort["num_subjects"]
    assert 37 < cohort["mean_age_years"] - 2 < 63


def test_same_seed_same_result_and_second_run_does_nothing(results, world):
    out = world.folder / "again"
    risks = [world.folder / "risk_plain", world.folder / "risk_sharp"]
    evaluate(risks, world.meds, out, genome=world.genome, config=FIFTY)
    assert read_table(out, "metrics").equals(read_table(results, "metrics"))
    before = (out / "metrics.parquet").stat().st_mtime_ns
    evaluate(risks, world.meds, out, genome=world.genome, config=FIFTY)
    assert (out / "metrics.parquet").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="other settings"):
        evaluate(risks, world.meds, out, genome=world.genome, config=EvaluateConfig(bootstrap=60))


def test_another_seed_draws_other_replicates(world, tmp_path):
    found = []
    for seed in (0, 1):
        config = EvaluateConfig(bootstrap=20, baselines=("none",), seed=seed)
        evaluate([world.risk_folder("plain")], world.meds, tmp_path / str(seed), config=config)
        found.append(read_table(tmp_path / str(seed), "metrics").filter(metric="auroc"))
    assert found[0]["value"].equals(found[1]["value"])
    assert (found[0]["low"] != found[1]["low"]).all()


def test_models_meet_on_the_common_subjects(world, tmp_path):
    table = world.risk_table("half").filter(pl.col("subject_id") % 2 == 0)
    RISK.write(table, tmp_path / "half.parquet")
    evaluate(
        [world.risk_folder("whole"), tmp_path / "half.parquet"], world.meds, tmp_path / "out", config=POINTS
    )
    metrics = read_table(tmp_path / "out", "metrics")
    assert metrics["num_subjects"].max() == table["subject_id"].n_unique()
    assert metrics["low"].null_count() == metrics.height


def test_baselines_ignore_what_followed_in_the_judged_split(results, world, tmp_path):
    shutil.copytree(world.meds, tmp_path / "meds")
    shard = tmp_path / "meds" / "data" / "held_out" / "0.parquet"
    frame = pl.read_parquet(shard)
    frame.filter(pl.col("code") != "SNOMED//1").write_parquet(shard)
    evaluate(
        [world.folder / "risk_sharp"], tmp_path / "meds", tmp_path / "out", genome=world.genome, config=POINTS
    )
    for name in ("age_sex", "pgs_logistic"):
        ours = RISK.read(tmp_path / "out" / "baselines" / f"{name}.parquet")
        assert ours.equals(RISK.read(results / "baselines" / f"{name}.parquet"))


def test_gradient_boosting_reads_records_and_scores(world, tokens_folder, tmp_path, capsys, monkeypatch):
    """All baselines but those of a package that is not there, which is said."""
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    risk = world.risk_folder("sharp")
    evaluate([risk], world.meds, tmp_path / "out", genome=world.genome, tokens=tokens_folder, config=POINTS)
    said = capsys.readouterr().err
    assert "without --tokens" not in said
    extra = "the package hazardous (pip install 'proband[hazardous]')"
    left_out = "these baselines are not fitted: survival_boost, survival_boost_pgs"
    assert f"evaluate: without {extra} {left_out}\n" in said
    models = [
        "sharp",
        "age_sex",
        "logistic",
        "logistic_pgs",
        "lightgbm",
        "lightgbm_pgs",
        "phers_pgs",
        "pgs_logistic",
        "pgs_cox",
    ]
    metrics = read_table(tmp_path / "out", "metrics").filter(outcome="type_2_diabetes", horizon_years=5.0)
    assert metrics["model"].unique(maintain_order=True).to_list() == models
    auroc = dict(metrics.filter(metric="auroc").select("model", "value").iter_rows())
    assert auroc["lightgbm_pgs"] > auroc["lightgbm"] + 0.05  # the world's records tell nothing, its scores do
    assert auroc["logistic_pgs"] > auroc["logistic"] + 0.05
    assert auroc["pgs_cox"] > auroc["age_sex"] + 0.05
    assert auroc["lightgbm"] == pytest.approx(auroc["age_sex"], abs=0.03)
    assert auroc["logistic"] == pytest.approx(auroc["age_sex"], abs=0.03)
    costs = read_table(tmp_path / "out", "costs")
    assert costs["model"].to_list() == models[1:]
    assert (costs["peak_memory_mib"] > 50).all()
    seconds = read_manifest(tmp_path / "out")["notes"]["baseline_cpu_seconds"]
    assert list(seconds) == models[1:]
    assert seconds["lightgbm"] > 0


def test_age_and_sex_are_known_however_sex_is_spelt(results, other_world, tmp_path):
    """With every sex unknown the baseline had AUROC 0.50."""
    other = other_world(("SEX//MALE", "SEX//FEMALE"))
    evaluate([other.risk_folder("sharp")], other.meds, tmp_path / "out", config=POINTS)
    ours, theirs = (
        RISK.read(folder / "baselines" / "age_sex.parquet") for folder in (tmp_path / "out", results)
    )
    assert ours.equals(theirs)
    metrics = read_table(results, "metrics").filter(outcome="type_2_diabetes", horizon_years=5.0)
    auroc = dict(metrics.filter(metric="auroc").select("model", "value").iter_rows())
    assert auroc["age_sex"] > 0.55


def test_age_and_sex_heed_the_blanking_gap(results, world, tmp_path):
    """At a rate that hardly changes within a year, a blanked quarter takes a quarter of its risk."""
    gapped = world.task.model_copy(update={"gap_days": 90.0})
    evaluate([world.risk_folder("gap", task=gapped)], world.meds, tmp_path / "out", config=POINTS)
    kind = {"outcome": "type_2_diabetes", "horizon_years": 1.0}
    means = [
        RISK.read(folder / "baselines" / "age_sex.parquet").filter(**kind)["risk"].mean()
        for folder in (tmp_path / "out", results)
    ]
    assert means[0] / means[1] == pytest.approx(1 - 90 / 365.25, abs=0.04)


def test_without_tokens_or_tuning_split_it_is_said(world, tokens_folder, tmp_path, capsys):
    risk = world.risk_folder("sharp")
    evaluate([risk], world.meds, tmp_path / "out", config=POINTS)
    on_records = (
        "logistic, logistic_pgs, lightgbm, lightgbm_pgs, survival_boost, survival_boost_pgs, phers_pgs"
    )
    left_out = f"evaluate: without --tokens these baselines are not fitted: {on_records}\n"
    assert left_out in capsys.readouterr().err
    shutil.copytree(world.meds, tmp_path / "meds")
    shutil.rmtree(tmp_path / "meds" / "data" / "tuning")
    evaluate([risk], tmp_path / "meds", tmp_path / "out_2", tokens=tokens_folder, config=POINTS)
    left_out = "evaluate: without a tuning split these baselines are not fitted: survival_boost,"
    assert left_out in capsys.readouterr().err
    assert (tmp_path / "out_2" / "baselines" / "lightgbm.parquet").exists()


def begun_table(folder, **changes):
    columns = {
        "outcome": ["type_2_diabetes", "stroke", "asthma", "type_2_diabetes"],
        "horizon_years": [5.0, 5.0, 5.0, 7.0],
        "num_at_risk": [900, 900, 900, 900],
        "num_cases": [100, 0, 50, 150],
        "share_already_begun": [0.34, None, 0.1, 0.3],
    }
    folder.mkdir(exist_ok=True)
    pl.DataFrame(columns | changes).write_parquet(folder / "already_begun.parquet")
    return folder


@pytest.mark.parametrize("given", [True, False])
def test_share_already_begun_comes_from_the_truth_folder_or_beside_the_oracle(world, tmp_path, given):
    truth = begun_table(tmp_path / "truth")
    RISK.write(world.risk_table("oracle"), truth / "risk.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    risks = [world.risk_folder("sharp")] if given else [truth / "risk.parquet"]
    options = {"truth": truth} if given else {"task": tmp_path / "task.yaml"}
    evaluate(risks, world.meds, tmp_path / "out", config=UNCOMPARED, **options)
    assert read_table(tmp_path / "out", "already_begun").rows() == [
        ("type_2_diabetes", 5.0, 100, 0.34),
        ("stroke", 5.0, 0, None),
    ]


def test_models_beside_the_oracle_have_their_distance_from_it(world, tmp_path):
    """Hazards times e^x are, at small risks, log odds plus x."""
    truth = begun_table(tmp_path / "truth")
    RISK.write(world.risk_table("known"), truth / "risk.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    risks = [world.risk_folder("noisy", noise=0.5), truth / "risk.parquet"]
    evaluate(risks, world.meds, tmp_path / "out", task=tmp_path / "task.yaml", config=FIFTY)
    found = value(tmp_path / "out", "log_odds_rmse", "noisy", horizon=1.0)
    assert found["low"] < 0.5 < found["high"]
    assert value(tmp_path / "out", "log_odds_correlation", "age_sex")["value"] > 0.3
    rows = read_table(tmp_path / "out", "metrics").filter(metric="log_odds_rmse")
    assert set(rows["model"]) == {"noisy", "age_sex"}


def test_a_folder_of_the_oracle_is_judged_beside_forecasts_for_their_outcomes(world, tmp_path):
    """It has no task of its own, answers for all diseases, and tells which cases had begun."""
    names = (*world.task.outcomes, "gout")
    with stage_output(tmp_path / "oracle", stage="oracle", config=OracleConfig(), inputs=[], seed=0) as run:
        begun_table(run.folder)
        RISK.write(world.risk_table("oracle", outcomes=names), run.folder / "risk.parquet")
    evaluate([world.risk_folder("sharp"), tmp_path / "oracle"], world.meds, tmp_path / "out", config=FIFTY)
    rows = read_table(tmp_path / "out", "metrics")
    assert set(rows["outcome"]) == set(world.task.outcomes)
    assert rows.filter(metric="log_odds_rmse", model="sharp").height > 0
    assert read_table(tmp_path / "out", "already_begun").height == 2
    with pytest.raises(ConfigError, match="no task"):
        evaluate([tmp_path / "oracle"], world.meds, tmp_path / "alone", config=FIFTY)


def test_no_truth_no_share_and_a_wrong_folder_is_refused(results, world, tmp_path):
    assert read_table(results, "already_begun").is_empty()
    risk = world.risk_folder("sharp")
    with pytest.raises(DataError, match=r"no truth.*already_begun.parquet"):
        evaluate([risk], world.meds, tmp_path / "out", truth=tmp_path)
    truth = begun_table(tmp_path / "truth", share_already_begun=[34.0, None, 0.1, 0.3])
    with pytest.raises(DataError, match="share_already_begun out of range"):
        evaluate([risk], world.meds, tmp_path / "out", truth=truth, config=UNCOMPARED)


def test_missing_column(world, tmp_path):
    world.risk_table("x").drop("unresolved").write_parquet(tmp_path / "risk.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    with pytest.raises(DataError, match="missing column unresolved"):
        evaluate([tmp_path], world.meds, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_risk_outside_its_range(world, tmp_path):
    world.risk_table("x").with_columns(pl.col("risk") + 0.9).write_parquet(tmp_path / "risk.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    with pytest.raises(DataError, match="risk out of range"):
        evaluate([tmp_path], world.meds, tmp_path / "out")


def test_no_common_subjects(world, tmp_path):
    table = world.risk_table("x").with_columns(pl.col("subject_id") + 10_000)
    RISK.write(table, tmp_path / "x.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    with pytest.raises(DataError, match="no common subjects"):
        evaluate([tmp_path / "x.parquet"], world.meds, tmp_path / "out", task=tmp_path / "task.yaml")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            pl.col("subject_id") + 10_000,
            r"no subject in common.*scored \[10001, 10002, 10003\], recorded \[1, 2, 3\]",
        ),
        (pl.exclude("subject_id") * np.nan, "no score varies among train subjects.*3 scores"),
    ],
)
def test_scores_that_say_nothing_about_these_subjects(world, tmp_path, change, message):
    shutil.copytree(world.genome, tmp_path / "genome")
    path = scores_file(tmp_path / "genome")
    scores = pl.read_parquet(path)
    scores.with_columns(change).cast(scores.schema).write_parquet(path)
    risks = [world.risk_folder("model")]
    with pytest.raises(DataError, match=message):
        evaluate(risks, world.meds, tmp_path / "out", genome=tmp_path / "genome", config=POINTS)
    assert not (tmp_path / "out").exists()


def test_horizons_that_task_and_risks_do_not_share_are_said(world, tmp_path, capsys):
    table = world.risk_table("model").filter(horizon_years=1.0)
    RISK.write(table.with_columns(horizon_years=pl.lit(2.5)), tmp_path / "risk.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    risks, task = [tmp_path / "risk.parquet"], tmp_path / "task.yaml"
    evaluate(risks, world.meds, tmp_path / "out", task=task, config=UNCOMPARED)
    said = capsys.readouterr().err
    assert "has no risk by 1, 5 years" in said
    assert "a horizon that the task does not name: 2.5 years" in said


def test_models_without_a_shared_subject(world, tmp_path):
    table = world.risk_table("even")
    RISK.write(table.filter(pl.col("subject_id") % 2 == 0), tmp_path / "even.parquet")
    odd = table.filter(pl.col("subject_id") % 2 == 1).with_columns(pl.lit("odd").alias("model"))
    RISK.write(odd, tmp_path / "odd.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    risks = [tmp_path / "even.parquet", tmp_path / "odd.parquet"]
    with pytest.raises(DataError, match=r"no common subjects.*type_2_diabetes|no common subjects.*stroke"):
        evaluate(risks, world.meds, tmp_path / "out", task=tmp_path / "task.yaml", config=UNCOMPARED)


def test_unknown_outcome(world, tmp_path):
    table = (
        world.risk_table("x")
        .with_columns(pl.lit("strokes").alias("outcome"))
        .unique(["subject_id", "horizon_years"])
    )
    RISK.write(table, tmp_path / "risk.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    with pytest.raises(DataError, match=r"unknown outcome strokes.*did you mean stroke\?"):
        evaluate([tmp_path], world.meds, tmp_path / "out")


def test_different_tasks(world, tmp_path):
    other = Task.model_validate(world.task.model_dump(exclude_none=True) | {"gap_days": 30})
    risks = [world.risk_folder("plain2"), world.risk_folder("gapped", task=other)]
    with pytest.raises(ConfigError, match="risks of different tasks"):
        evaluate(risks, world.meds, tmp_path / "out")


def test_no_task(world, tmp_path):
    RISK.write(world.risk_table("x"), tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="no task"):
        evaluate([tmp_path / "x.parquet"], world.meds, tmp_path / "out")


def test_a_path_that_is_not_there_is_no_missing_task(world, tmp_path):
    absent = tmp_path / "risk"
    for risks in ([absent], [world.risk_folder("sharp"), absent]):
        with pytest.raises(DataError, match=f"missing file; in {absent}; .*forecast first"):
            evaluate(risks, world.meds, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["plain", "age_sex"])
def test_model_name_used_twice(world, tmp_path, name):
    RISK.write(world.risk_table(name), tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match=rf"{name} is used twice.*--name"):
        evaluate(
            [world.risk_folder("plain", noise=1.5), tmp_path / "x.parquet"], world.meds, tmp_path / "out"
        )


def test_empty_split(world, tmp_path):
    shutil.copytree(world.meds, tmp_path / "meds")
    shutil.rmtree(tmp_path / "meds" / "data" / "held_out")
    with pytest.raises(DataError, match="no subject at risk in split held_out"):
        evaluate([world.risk_folder("plain3")], tmp_path / "meds", tmp_path / "out")


def test_no_train_split_for_the_baselines(world, tmp_path):
    shutil.copytree(world.meds, tmp_path / "meds")
    shutil.rmtree(tmp_path / "meds" / "data" / "train")
    risk = world.risk_folder("plain4")
    with pytest.raises(DataError, match=r"no train subject.*--baselines none"):
        evaluate([risk], tmp_path / "meds", tmp_path / "out")
    evaluate([risk], tmp_path / "meds", tmp_path / "out", config=UNCOMPARED)
    assert not (tmp_path / "out" / "baselines").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "test"], "unusable --split; found 'test'; expected 'train', 'tuning' or 'held_out'"),
        (["--bootstrap", "-1"], "unusable --bootstrap; found -1; expected greater than or equal to 0"),
        (["--seed", "-1"], "unusable --seed; found -1; expected greater than or equal to 0"),
    ],
)
def test_unusable_options(words, message, tmp_path):
    words = ["evaluate", str(tmp_path), "--meds", str(tmp_path), "--out", str(tmp_path / "out"), *words]
    assert str(CliRunner().invoke(app, words).exception) == message


@pytest.mark.parametrize(
    "given",
    [
        *[("age_sex,lightgbm",), ("age_sex", "lightgbm"), ("age_sex, lightgbm,",), ("age_sex", ",lightgbm")],
        *[("lightgbm,age_sex",), ("lightgbm", "age_sex", "lightgbm")],
    ],
)
def test_baselines_are_named_with_commas_or_one_by_one(given):
    assert EvaluateConfig(baselines=given).baselines == ("age_sex", "lightgbm")


def test_an_unknown_name_between_commas_is_named_alone(world, tmp_path):
    risk = world.risk_folder("plain7")
    words = ["evaluate", str(risk), "--meds", str(world.meds), "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, [*words, "--baselines", "age_sex,lightgmb"]).exception
    assert "unusable --baselines; found lightgmb; expected all, none" in str(refused)
    assert str(refused).endswith("remedy: did you mean lightgbm, lightgbm_pgs?")
    empty = CliRunner().invoke(app, [*words, "--baselines", ","]).exception
    assert str(empty) == (
        "unusable --baselines; found [',']; expected all, none or names with commas between"
    )
    CliRunner().invoke(app, [*words, "--baselines", "age_sex,pgs_cox", "--genome", str(world.genome)])
    fitted = {path.stem for path in (tmp_path / "out" / "baselines").iterdir()}
    assert fitted == {"age_sex", "pgs_cox"}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("pgs_cox", "if the baseline is meant, write names with commas: --baselines age_sex,pgs_cox"),
        ("none", "if the baselines are meant, write --baselines none"),
    ],
)
def test_a_baseline_named_after_a_blank_is_no_missing_file_alone(world, tmp_path, name, remedy):
    words = [
        "evaluate",
        str(world.risk_folder("plain8")),
        "--meds",
        str(world.meds),
        "--baselines",
        "age_sex",
    ]
    refused = CliRunner().invoke(app, [*words, name, "--out", str(tmp_path / "out")]).exception
    expected = "expected a forecast folder or a RiskTable file"
    assert str(refused) == f"missing file; in {name}; {expected}; remedy: {remedy}"
    assert not (tmp_path / "out").exists()


def test_risks_are_needed(world, tmp_path):
    with pytest.raises(ConfigError, match="unusable --risks"):
        evaluate([], world.meds, tmp_path / "out")


def test_no_risk_rows(world, tmp_path):
    RISK.write(RISK.empty(), tmp_path / "risk.parquet")
    save_task(world.task, tmp_path / "task.yaml")
    with pytest.raises(DataError, match="no rows"):
        evaluate([tmp_path], world.meds, tmp_path / "out")


def test_command_line(world, tmp_path):
    risk = world.risk_folder("plain6")
    words = ["evaluate", str(risk), "--meds", str(world.meds), "--out"]
    options = ["--bootstrap", "10", "--thresholds", "0.05,0.2"]
    assert fresh_process.proband([*words, str(tmp_path / "out"), *options], tmp_path / "said.txt") == 0
    for name in ("decision", "utility"):
        assert {0.05, 0.2} <= set(read_table(tmp_path / "out", name)["threshold"])
    assert read_table(tmp_path / "out", "metrics")["model"].unique(maintain_order=True).to_list() == [
        "plain6",
        "age_sex",
    ]
    said = tmp_path / "refused.txt"
    assert fresh_process.proband([*words, str(tmp_path / "bad"), "--split", "test"], said) == 2
    assert said.read_text().startswith("proband: unusable --split")
    assert said.read_text().count("\n") == 1


def test_errors_of_the_fit_are_noted_of_models_that_have_them(tmp_path, world):
    """Median share of the risk at the longest horizon; of a model without, or with nulls alone, none."""
    table = world.risk_table("known").with_columns(
        fit_error=pl.col("risk") * pl.when(pl.col("horizon_years") == 5.0).then(0.2).otherwise(0.9)
    )
    unknown = world.risk_table("unknown").with_columns(fit_error=pl.lit(None, pl.Float64))
    files = [tmp_path / f"{name}.parquet" for name in ("known", "unknown", "plain")]
    for file, frame in zip(files, (table, unknown, world.risk_table("plain")), strict=True):
        RISK.write(frame, file)
    assert errors_of_fit(files) == {"known": pytest.approx(0.2)}


def test_a_kinship_table_of_other_people_is_refused(tmp_path, world):
    pl.DataFrame({"id1": [90001], "id2": [90002], "kinship": [0.25]}).write_csv(
        tmp_path / "kin.tsv", separator="\t"
    )
    with pytest.raises(DataError, match=r"no id of the kinship table is a subject.*found 2 other ids"):
        evaluate(
            [world.risk_folder("first")],
            world.meds,
            tmp_path / "out",
            kinship=tmp_path / "kin.tsv",
            config=UNCOMPARED,
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["kinship", "subgroups"])
def test_tables_are_read_before_baselines_take_their_time(tmp_path, world, monkeypatch, name):
    monkeypatch.setattr(stage, "fit_baselines", lambda *_: pytest.fail("fitted"))
    (tmp_path / "table.tsv").write_text("nothing\n1\n")
    with pytest.raises(DataError, match=r"table\.tsv"):
        evaluate(
            [world.risk_folder("first")],
            world.meds,
            tmp_path / "out",
            config=EvaluateConfig(bootstrap=0, baselines=("age_sex",)),
            **{name: tmp_path / "table.tsv"},
        )
