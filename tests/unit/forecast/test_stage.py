"""The whole stage on a small known world, with a model of random weights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import known_law
from proband.core.errors import CheckpointError, ConfigError, DataError
from proband.core.files.manifest import read_manifest
from proband.core.schema import RISK, SCORES, TRAJECTORIES
from proband.core.units import MINUTES_PER_YEAR
from proband.ehr.labels import labels
from proband.ehr.meds.dataset import list_shards, read_shard
from proband.ehr.outcomes import Task, load_task
from proband.forecast import answers, forecast, stage
from proband.forecast.config import ForecastConfig
from proband.forecast.job import input_files
from proband.forecast.output import shards
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore

CONFIG = ForecastConfig(estimator="scope", paths=6, max_events=40)


@pytest.fixture
def run(world: Path, tmp_path: Path) -> Callable[..., pl.DataFrame]:
    def one(name: str = "out", model: str = "model", folder: str = "tokens", **options: Any) -> pl.DataFrame:
        task = options.pop("task", world / "task.yaml")
        config = options.pop("config", CONFIG)
        tokens_folder = options.pop("tokens_folder", world / folder)
        forecast(world / model, tokens_folder, tmp_path / name, task=task, config=config, **options)
        return RISK.read(tmp_path / name / "risk.parquet")

    return one


def risks(table: pl.DataFrame) -> list[float]:
    return table["risk"].to_list()


@pytest.mark.parametrize("estimator", ["mc", "scope", "reach"])
def test_a_risk_table_of_new_onsets(
    run: Callable[..., pl.DataFrame], world: Path, tmp_path: Path, estimator: str
) -> None:
    table = run(config=CONFIG.model_copy(update={"estimator": estimator}))
    store = TokenStore(world / "tokens")
    counts = read_manifest(tmp_path / "out")["counts"]
    assert table["horizon_years"].unique().sort().to_list() == [1.0, 5.0]
    assert table.height == 2 * (
        2 * counts["num_predictions"] - counts["num_prevalent_d"] - counts["num_prevalent_death"]
    )
    assert counts["num_prevalent_d"] > 0
    assert counts["num_prevalent_death"] == 0
    assert set(table["subject_id"]) <= set(store.subject_ids[store.rows_of("held_out")].tolist())
    wide = table.pivot("horizon_years", index=["subject_id", "outcome"], values="risk")
    assert (wide["5.0"] >= wide["1.0"] - 1e-12).all()
    assert table["risk"].n_unique() > 2


def test_nothing_after_the_prediction_time_changes_a_risk(
    run: Callable[..., pl.DataFrame], world: Path, tmp_path: Path
) -> None:
    events = pl.concat([pl.read_parquet(path) for path in sorted((world / "meds").rglob("*.parquet"))])
    events = events.sort("subject_id", "time", nulls_last=False, maintain_order=True)
    cut = known_law.START + timedelta(days=4 * 365.25)
    before = pl.col("time").is_null() | (pl.col("time") <= cut)
    end = pl.col("code") == "OBSERVATION_PERIOD//END"
    future = ~before & ~end
    code = pl.when(future & (pl.col("code") != "MEDS_DEATH")).then(pl.lit("X//D")).otherwise("code")
    other = events.with_columns(code.alias("code"))
    known_law.write_meds(other, tmp_path / "meds")
    tokens(tmp_path / "meds", tmp_path / "tokens", vocabulary=world / "tokens", workers=1)
    changed = run("changed", tokens_folder=tmp_path / "tokens")
    assert changed.equals(run("original"))
    assert not other.equals(events)
    past = events.with_columns(
        pl.when(before & (pl.col("code") == "X//A")).then(pl.lit("X//B")).otherwise("code").alias("code")
    )
    known_law.write_meds(past, tmp_path / "meds2")
    tokens(tmp_path / "meds2", tmp_path / "tokens2", vocabulary=world / "tokens", workers=1)
    assert not run("past", tokens_folder=tmp_path / "tokens2").equals(changed)


@pytest.mark.parametrize("estimator", ["scope", "reach"])
def test_memory_and_processes_change_no_bit_of_a_risk(
    run: Callable[..., pl.DataFrame], estimator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.model_copy(update={"estimator": estimator})
    whole = run("a", config=config, workers=1)
    assert run("b", config=config.model_copy(update={"memory": 0.001}), workers=1).equals(whole)
    monkeypatch.setattr(stage, "_SHARD_POINTS", 2)  # else all points are one process's
    assert run("c", config=config, workers=2).equals(whole)


def test_too_little_memory_names_what_is_needed(run: Callable[..., pl.DataFrame]) -> None:
    with pytest.raises(ConfigError, match=r"memory is too small.*--memory.*at least 0\.00.*raise --memory"):
        run("a", config=CONFIG.model_copy(update={"memory": 1e-5}), workers=1)


def test_another_seed_gives_other_paths(run: Callable[..., pl.DataFrame]) -> None:
    whole = run("a")
    other_seed = run("c", config=CONFIG.model_copy(update={"seed": 1}))
    assert risks(other_seed) != pytest.approx(risks(whole), abs=1e-6)


def test_a_model_with_a_genome_runs_with_and_without_one(
    run: Callable[..., pl.DataFrame], world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = run("given", model="model_genome", genome=world / "genome")
    counts = read_manifest(tmp_path / "given")["counts"]
    assert 0 < counts["num_without_genome"] < counts["num_predictions"]
    absent = run("absent", model="model_genome")
    assert "reads genome and none is given; all subjects count as without it" in capsys.readouterr().err
    counts = read_manifest(tmp_path / "absent")["counts"]
    assert counts["num_without_genome"] == counts["num_predictions"]
    run("of_records", genome=world / "genome")  # the model of records alone passes over it
    names = ("given", "absent", "of_records")
    read = [read_manifest(tmp_path / name)["notes"]["modalities_read"] for name in names]
    assert read == [["genome"], [], []]
    genotyped = pl.col("subject_id").is_in(
        SCORES.read(world / "genome" / "scores.parquet")["subject_id"].to_list()
    )
    without = [table.filter(~genotyped) for table in (given, absent)]
    assert risks(without[0]) == pytest.approx(risks(without[1]), abs=1e-6)
    having = [table.filter(genotyped) for table in (given, absent)]
    assert risks(having[0]) != pytest.approx(risks(having[1]), abs=1e-3)


def test_net_risks_are_labelled_and_never_lower(
    run: Callable[..., pl.DataFrame], task_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = tmp_path / "task.yaml"
    task.write_text(task_text.replace("  death: {codes: MEDS_DEATH}\n", ""))
    many = CONFIG.model_copy(update={"paths": 200})
    net = run("net", task=task, config=many.model_copy(update={"net": True}))
    assert net["model"].unique().to_list() == ["model (net)"]
    assert "net risks, of a world in which nobody dies" in capsys.readouterr().err
    competing = run("competing", task=task, config=many)
    added = net["risk"] - competing["risk"]  # the same paths, which go on where they ended with death
    assert added.min() >= -1e-12  # type: ignore[operator]
    assert added.max() > 0.005  # type: ignore[operator]
    with pytest.raises(ConfigError, match="no death in a world without death; in outcome death"):
        run("bad", config=CONFIG.model_copy(update={"net": True}))


def test_a_precision_draws_more_paths_where_they_are_needed(
    run: Callable[..., pl.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIG.model_copy(update={"paths": 8, "precision": "0.03", "max_paths": 64})
    table = run(config=config)
    notes = read_manifest(tmp_path / "out")["notes"]
    assert 8 < notes["mean_paths"] <= 64
    assert notes["mean_paths"] == table["num_paths"].mean()
    wide = (table["standard_error"] > 0.03).mean()
    assert notes["share_less_precise"] == wide
    assert (table.filter(pl.col("num_paths") < 64)["standard_error"] <= 0.03).all()
    assert ("less well than --precision 0.03 after 64 paths" in capsys.readouterr().err) == bool(wide)


@pytest.mark.parametrize("estimator", ["mc", "reach"])
def test_curves_rise_and_pass_through_the_risks(
    run: Callable[..., pl.DataFrame], tmp_path: Path, estimator: str
) -> None:
    config = CONFIG.model_copy(update={"estimator": estimator})
    risk = run(config=config.model_copy(update={"curve_points": 20}))
    assert risks(risk) == pytest.approx(risks(run("plain", config=config)), abs=1e-12)
    curves = RISK.read(tmp_path / "out" / "curves.parquet")
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert curves["horizon_years"].unique().sort().to_list() == [0.25 * (at + 1) for at in range(20)]
    keys = ["subject_id", "prediction_time", "outcome"]
    assert curves.join(risk, on=[*keys, "horizon_years", "risk"], how="semi").height == risk.height
    rises = curves.select(pl.col("risk").diff().over(keys)).drop_nulls().to_series()
    assert rises.min() >= -1e-12  # type: ignore[operator]
    assert rises.max() > 0  # type: ignore[operator]


def test_a_precision_is_that_of_the_tasks_horizons(run: Callable[..., pl.DataFrame]) -> None:
    """Close to the prediction a risk is so small that no number of paths knows a tenth of it."""
    config = CONFIG.model_copy(update={"paths": 8, "precision": "30%", "max_paths": 64})
    plain = run("plain", config=config)
    curves = run("curves", config=config.model_copy(update={"curve_points": 50}))
    assert curves["num_paths"].to_list() == plain["num_paths"].to_list()
    assert plain["num_paths"].min() < 64  # type: ignore[operator]


@pytest.mark.parametrize("estimator", ["mc", "scope", "reach"])
def test_of_what_cannot_happen_the_risk_is_known_to_be_0(
    run: Callable[..., pl.DataFrame], tmp_path: Path, estimator: str
) -> None:
    text = "prediction: {years_after_entry: 4}\nhorizons_years: 5\noutcomes:\n"
    text += "  never: {codes: X//NEVER, may_be_absent: true}\n"
    text += "  d_then_never: {steps: [{codes: X//D}, {codes: X//NEVER}], may_be_absent: true}\n"
    (tmp_path / "task.yaml").write_text(text)
    config = CONFIG.model_copy(
        update={"estimator": estimator, "max_events": 1, "precision": "5%", "max_paths": 64}
    )
    table = run(task=tmp_path / "task.yaml", config=config)
    assert set(table["outcome"]) == {"never", "d_then_never"}
    assert table["num_paths"].unique().to_list() == [CONFIG.paths]
    for name in ("risk", "standard_error", "unresolved", "risk_low", "risk_high"):
        assert table[name].unique().to_list() == [0]


def test_a_gap_of_seconds_is_none(run: Callable[..., pl.DataFrame], task_text: str, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(task_text + "gap_days: 0.0001\n")
    assert risks(run("gap", task=tmp_path / "task.yaml")) == risks(run("plain"))


def test_bounds_hold_the_risk(run: Callable[..., pl.DataFrame]) -> None:
    table = run(config=CONFIG.model_copy(update={"max_events": 2}))
    inside = pl.col("risk").is_between(pl.col("risk_low") - 1e-12, pl.col("risk_high") + 1e-12)
    assert table.select(inside.all()).item()
    open_ = table.filter(pl.col("unresolved") > 0)
    assert (open_["risk_high"] > open_["risk_low"]).all()
    settled = table.filter(pl.col("unresolved") == 0)
    assert settled["risk_low"].equals(settled["risk_high"])
    assert min(open_.height, settled.height) > 0


def test_unresolved_paths_are_reported(
    run: Callable[..., pl.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = run(config=CONFIG.model_copy(update={"max_events": 1}))
    assert float(table["unresolved"].mean()) > 0.05  # type: ignore[arg-type]
    assert "raise --max-events" in capsys.readouterr().err
    assert read_manifest(tmp_path / "out")["notes"]["mean_unresolved"] == table["unresolved"].mean()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("X//D", "X//DD"), ConfigError, "did you mean X//D"),
        (("years_after_entry: 4", "years_after_entry: 90"), DataError, "nobody is under follow-up"),
        (("horizons_years", "horizon_years"), ConfigError, "horizon"),
    ],
)
def test_bad_tasks_leave_nothing_behind(
    run: Callable[..., pl.DataFrame],
    tmp_path: Path,
    task_text: str,
    change: tuple[str, str],
    error: type[Exception],
    message: str,
) -> None:
    (tmp_path / "task.yaml").write_text(task_text.replace(*change))
    with pytest.raises(error, match=message):
        run(task=tmp_path / "task.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["task.yaml"]


def test_other_tokens_or_an_unknown_split_are_refused(
    run: Callable[..., pl.DataFrame], world: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no subject in this split"):
        run(config=CONFIG.model_copy(update={"split": "test"}))
    tokens(world / "meds", tmp_path / "tokens", config=TokensConfig(min_subjects=100), workers=1)
    with pytest.raises(CheckpointError, match="different vocabularies"):
        run("bad", tokens_folder=tmp_path / "tokens")


def test_a_finished_forecast_is_left_alone(run: Callable[..., pl.DataFrame], tmp_path: Path) -> None:
    first = run()
    changed = (tmp_path / "out" / "risk.parquet").stat().st_mtime_ns
    assert run().equals(first)
    assert (tmp_path / "out" / "risk.parquet").stat().st_mtime_ns == changed
    with pytest.raises(ConfigError, match="other settings"):
        run(config=CONFIG.model_copy(update={"paths": 7}))


def test_an_interrupted_forecast_goes_on_where_it_stopped(
    run: Callable[..., pl.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_SHARD_POINTS", 2)
    whole = run("whole", workers=1)
    calls, simulate = [0], answers.roll_out

    def counted(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return simulate(*arguments)

    monkeypatch.setattr(answers, "roll_out", counted)
    with pytest.raises(KeyboardInterrupt):
        run(workers=1)
    assert not (tmp_path / "out").exists()
    num_shards = -(-read_manifest(tmp_path / "whole")["counts"]["num_predictions"] // 2)
    assert num_shards > 3
    again = run(workers=1)
    assert calls[0] == 3 + num_shards - 2  # two were finished
    assert again.equals(whole)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "risk.parquet",
        "task.yaml",
    ]
    assert whole.equals(whole.sort("subject_id", "prediction_time", "outcome", "horizon_years"))


def test_an_interrupted_forecast_begins_anew_on_other_tokens(world: Path, tmp_path: Path) -> None:
    """Births may be corrected while every code stays as it is."""
    read = {path.name for path in input_files(world / "model", world / "tokens", {})}
    assert {path.name for path in (world / "tokens").iterdir()} - {"manifest.json"} <= read


def test_a_forecast_stopped_at_its_very_end_goes_on(
    run: Callable[..., pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("whole", workers=1)

    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "save_task", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(workers=1)
    assert run(workers=1).equals(whole)


PATTERNS = """
outcomes:
  c_then_d: {steps: [{codes: X//C}, {codes: X//D, within_days: 200}]}
  d: {codes: X//D}
  two_b: {steps: [{codes: X//B}, {codes: X//B, after_days: 30}]}
prediction: {every_years: 2.5}
washout_years: 1
horizons_years: [5, 1]
"""


def test_patterns_of_events_beside_sets_of_codes(
    run: Callable[..., pl.DataFrame], world: Path, tmp_path: Path
) -> None:
    (tmp_path / "both.yaml").write_text(PATTERNS)
    config = CONFIG.model_copy(update={"max_events": 400})
    tables = {
        estimator: run(
            estimator,
            task=tmp_path / "both.yaml",
            config=config.model_copy(update={"estimator": estimator}),
        )
        for estimator in ("mc", "scope", "reach")
    }
    asked = load_task(tmp_path / "both.yaml")
    key = ["subject_id", "prediction_time", "outcome"]
    labelled = labels(world / "meds", asked, ["held_out"]).select(key)
    shares = {f"{hits / 6:.4f}" for hits in range(7)}
    for table in tables.values():
        assert table.select(key).unique().sort(key).equals(labelled.sort(key))
        patterns = table.filter(pl.col("outcome") != "d")
        assert {f"{risk:.4f}" for risk in patterns["risk"]} <= shares
        assert 0 < patterns["risk"].mean() < 1  # type: ignore[operator]
    # whatever the estimator of sets of codes, a pattern is counted on the same paths
    parts = [table.filter(pl.col("outcome") != "d") for table in tables.values()]
    assert all(part.equals(parts[0]) for part in parts)
    counts = read_manifest(tmp_path / "mc")["counts"]
    assert counts["num_prevalent_two_b"] > 0
    # sets alone are the same to the bit as beside patterns
    (tmp_path / "d.yaml").write_text("\n".join(line for line in PATTERNS.splitlines() if "steps" not in line))
    alone = run("alone", task=tmp_path / "d.yaml", config=config.model_copy(update={"estimator": "reach"}))
    assert alone.equals(tables["reach"].filter(outcome="d"))


def test_patterns_alone(run: Callable[..., pl.DataFrame], tmp_path: Path) -> None:
    text = "\n".join(line for line in PATTERNS.splitlines() if "d: {codes" not in line)
    (tmp_path / "patterns.yaml").write_text(text + "\ngap_days: 60")
    for estimator in ("scope", "reach"):
        config = CONFIG.model_copy(update={"estimator": estimator, "max_events": 3})
        table = run(estimator, task=tmp_path / "patterns.yaml", config=config)
        assert set(table["outcome"]) == {"c_then_d", "two_b"}
        assert 0 < table["unresolved"].mean() < 1  # type: ignore[operator]


def test_risks_are_shares_of_the_simulated_futures_as_labels_read_them(
    run: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
    """The futures written as MEDS, history before them, and labelled like anybody's record."""
    (tmp_path / "both.yaml").write_text(PATTERNS)
    config = CONFIG.model_copy(update={"max_events": 400, "estimator": "mc", "with_history": True})
    table = run(task=tmp_path / "both.yaml", config=config, trajectories=tmp_path / "futures")
    assert table["unresolved"].max() == 0
    at_once = load_task(tmp_path / "both.yaml").model_dump() | {
        "prediction": {"years_after_entry": 0},
        "washout_years": 0,
    }
    whose = pl.read_parquet(tmp_path / "futures" / "trajectories.parquet")
    found = labels(tmp_path / "futures", Task.model_validate(at_once)).drop("prediction_time")
    happened = found.join(whose, on="subject_id").select(
        pl.col("source_subject_id").alias("subject_id"),
        "prediction_time",
        "outcome",
        *(
            ((pl.col("event") == 1) & (pl.col("time_years") <= years)).alias(f"{years:.1f}")
            for years in (1, 5)
        ),
    )
    key = ["subject_id", "prediction_time", "outcome"]
    shares = happened.group_by(key).mean().sort(key)
    wide = table.pivot("horizon_years", index=key, values="risk").sort(key)
    assert wide.select(key).equals(shares.select(key))
    for years in ("1.0", "5.0"):
        assert shares[years].to_list() == pytest.approx(wide[years].to_list(), abs=1e-12)


def test_paths_are_added_until_patterns_are_known_too(
    run: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
    (tmp_path / "both.yaml").write_text(PATTERNS)
    (tmp_path / "patterns.yaml").write_text(
        "\n".join(line for line in PATTERNS.splitlines() if "d: {codes" not in line)
    )
    config = CONFIG.model_copy(
        update={"max_events": 400, "paths": 8, "precision": "0.12", "max_paths": 64, "estimator": "reach"}
    )
    for name in ("both", "patterns"):
        table = run(name, task=tmp_path / f"{name}.yaml", config=config)
        patterns = table.filter(pl.col("outcome") != "d")
        worst = patterns.group_by("subject_id", "prediction_time").agg(
            pl.col("standard_error").max(), pl.col("num_paths").first()
        )
        assert ((worst["standard_error"] <= 0.12) | (worst["num_paths"] == 64)).all()
        assert worst["num_paths"].n_unique() > 1


def test_a_panel_is_an_input(run: Callable[..., pl.DataFrame], tmp_path: Path) -> None:
    head = "prediction: {years_after_entry: 4}\nhorizons_years: 5\noutcomes: panel.tsv"
    (tmp_path / "task.yaml").write_text(head)
    (tmp_path / "panel.tsv").write_text("outcome\tcode\nd\tX//D\nb_or_c\tX//B\nb_or_c\tX//C\n")
    table = run(task=tmp_path / "task.yaml")
    assert set(table["outcome"]) <= {"d", "b_or_c"}
    assert run(task=tmp_path / "task.yaml").equals(table)
    notes = read_manifest(tmp_path / "out")["notes"]
    assert 0.5 < notes["share_of_person_time"]["5"] <= 1
    (tmp_path / "panel.tsv").write_text("outcome\tcode\nd\tX//C\n")
    with pytest.raises(ConfigError, match=r"other inputs.*panel\.tsv"):
        run(task=tmp_path / "task.yaml")


def futures(folder: Path) -> pl.DataFrame:
    """Measurements of simulated futures, with whose they are."""
    events = pl.concat([read_shard(shard.path) for shard in list_shards(folder)])
    whose = TRAJECTORIES.read(folder / "trajectories.parquet")
    return events.join(whose, on="subject_id").filter(pl.col("time") > pl.col("prediction_time"))


@pytest.mark.parametrize("estimator", ["mc", "scope", "reach"])
def test_writing_trajectories_changes_no_risk(
    run: Callable[..., pl.DataFrame], tmp_path: Path, estimator: str
) -> None:
    config = CONFIG.model_copy(update={"estimator": estimator})
    assert run("with", config=config, trajectories=tmp_path / "futures").equals(run("without", config=config))


@pytest.mark.parametrize(("outcome", "code"), [("d", "X//D"), ("death", "MEDS_DEATH")])
def test_the_risk_by_mc_is_the_share_of_trajectories_with_the_outcome(
    run: Callable[..., pl.DataFrame], tmp_path: Path, outcome: str, code: str
) -> None:
    config = CONFIG.model_copy(update={"estimator": "mc", "max_events": 200, "paths": 20})
    table = run(config=config, trajectories=tmp_path / "futures").filter(outcome=outcome)
    key = ["source_subject_id", "prediction_time"]
    after = (pl.col("time") - pl.col("prediction_time")).dt.total_minutes() / MINUTES_PER_YEAR
    for years in (1.0, 5.0):
        hits = futures(tmp_path / "futures").filter(after <= years, code=code).unique("subject_id")
        shares = hits.group_by(key).agg((pl.len() / config.paths).alias("share"))
        asked = table.filter(horizon_years=years).rename({"subject_id": "source_subject_id"})
        joined = asked.join(shares, on=key, how="left").with_columns(pl.col("share").fill_null(0.0))
        assert joined["share"].to_list() == pytest.approx(joined["risk"].to_list())
        assert joined["share"].max() > 0


def test_shards_processes_and_interruptions_change_no_trajectory(
    run: Callable[..., pl.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("a", trajectories=tmp_path / "whole", workers=1)
    monkeypatch.setattr(stage, "_SHARD_POINTS", 2)
    write, calls = shards.write_part, [0]

    def stopped(*arguments: Any) -> None:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_part", stopped)
        with pytest.raises(KeyboardInterrupt):
            run("b", trajectories=tmp_path / "parts", workers=1)
    assert not (tmp_path / "parts").exists()
    run("b", trajectories=tmp_path / "parts", workers=2)
    assert len(list_shards(tmp_path / "parts")) > 3
    assert futures(tmp_path / "parts").equals(futures(tmp_path / "whole"))
    before = (tmp_path / "parts" / "manifest.json").stat().st_mtime_ns
    run("b", trajectories=tmp_path / "parts", workers=2)
    assert (tmp_path / "parts" / "manifest.json").stat().st_mtime_ns == before


def test_a_run_stopped_between_its_two_outputs_goes_on(
    run: Callable[..., pl.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("whole", trajectories=tmp_path / "all")

    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "save_task", stopped)  # the futures have one of their own
        with pytest.raises(KeyboardInterrupt):
            run(trajectories=tmp_path / "futures", workers=1)
    assert (tmp_path / "futures").exists()
    assert not (tmp_path / "out").exists()
    assert run(trajectories=tmp_path / "futures", workers=1).equals(whole)
    assert futures(tmp_path / "futures").equals(futures(tmp_path / "all"))


def test_with_precision_each_future_still_has_a_subject_of_its_own(
    run: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"paths": 2, "precision": "0.05", "max_paths": 16})
    table = run(config=config, trajectories=tmp_path / "futures")
    whose = TRAJECTORIES.read(tmp_path / "futures" / "trajectories.parquet")
    drawn = whose.group_by("source_subject_id").len().sort("source_subject_id")
    most = table.group_by("subject_id").agg(pl.col("num_paths").max()).sort("subject_id")
    assert drawn["len"].to_list() == most["num_paths"].to_list()
    assert drawn["len"].n_unique() > 1
    assert whose["subject_id"].is_sorted()


@pytest.mark.parametrize(
    ("options", "config", "message"),
    [
        ({"trajectories": "out"}, {}, r"one output folder holds the other.*--trajectories"),
        ({"trajectories": "out/futures"}, {}, "one output folder holds the other"),
        ({"trajectories": "used"}, {}, "the output folder is in use"),
        ({}, {"with_history": True}, r"no futures to write history before.*--trajectories FOLDER"),
        ({"trajectories": "futures"}, {"net": True}, r"without death are not written.*--net"),
    ],
)
def test_unusable_trajectories_options_leave_nothing_behind(
    run: Callable[..., pl.DataFrame],
    tmp_path: Path,
    options: dict[str, str],
    config: dict[str, bool],
    message: str,
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").touch()
    paths = {name: tmp_path / value for name, value in options.items()}
    with pytest.raises(ConfigError, match=message):
        run(config=CONFIG.model_copy(update=config), **paths)
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_dates_of_each_subject_give_the_risks_of_the_same_dates_by_a_rule(
    run: Callable[..., pl.DataFrame], world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    by_rule = run("by_rule")
    dates = by_rule.select("subject_id", "prediction_time").unique()
    others = dates.with_columns(pl.col("subject_id") + 10**9)
    pl.concat([dates, others]).write_parquet(tmp_path / "dates.parquet")
    text = (world / "task.yaml").read_text()
    (start,) = (line for line in text.splitlines() if line.startswith("prediction:"))
    (tmp_path / "own.yaml").write_text(text.replace(start, "prediction: {file: dates.parquet}"))
    by_table = run("by_table", task=tmp_path / "own.yaml")
    assert by_table.equals(by_rule)
    assert f"{dates.height:,} of the {2 * dates.height:,} dates" in capsys.readouterr().err
    assert load_task(tmp_path / "by_table" / "task.yaml").prediction.dates.height == 2 * dates.height
    assert labels(world / "meds", load_task(tmp_path / "by_table" / "task.yaml"), ["held_out"]).equals(
        labels(world / "meds", load_task(world / "task.yaml"), ["held_out"])
    )
