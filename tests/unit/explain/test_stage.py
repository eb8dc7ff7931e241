"""The whole stage on a small world, with a model of random weights."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

import known_law
from proband.cli.main import app
from proband.core.errors import ConfigError, DataError
from proband.core.files.manifest import read_manifest
from proband.core.schema import RISK
from proband.explain import tables
from proband.explain.population import had_within_gap
from proband.forecast import forecast
from proband.model.checkpoint import load_model
from proband.model.onset.terms import age_weights
from proband.tokens.dataset import TokenStore

KEY = ["subject_id", "prediction_time", "outcome"]
Run = Callable[..., Path]


def test_parts_sum_to_the_risks_of_forecast(run: Run, world: Path, tmp_path: Path) -> None:
    parts = tables.PARTS.read(run() / "parts.parquet")
    forecast(
        world / "model_genome", world / "tokens", tmp_path / "risk", task=world / "task.yaml",
        genome=world / "genome", workers=1,
    )  # fmt: skip
    risk = RISK.read(tmp_path / "risk" / "risk.parquet")
    joined = parts.group_by(*KEY, "horizon_years").agg(pl.col("risk_points").sum()).join(
        risk, on=[*KEY, "horizon_years"]
    )  # fmt: skip
    assert joined.height == risk.height
    assert joined["risk_points"].to_list() == pytest.approx(joined["risk"].to_list(), abs=1e-5)
    spread = parts.group_by("part").agg(pl.col("risk_points").abs().max())
    assert (spread["risk_points"] > 1e-4).all()


def test_codes_sum_to_their_part_and_scores_to_theirs_less_its_level(run: Run, world: Path) -> None:
    out = run(config={"top": 1})
    parts = tables.PARTS.read(out / "parts.parquet").filter(horizon_years=5.0)
    for name, part, by in (("codes", "record", tables.CODES), ("scores", "genome", tables.SCORES)):
        whole = run("whole", config={"top": 9}) if name == "scores" else out
        rows = by.read(whole / f"{name}.parquet").group_by(KEY).agg(pl.col("log_hazard", "risk_points").sum())
        joined = rows.join(parts.filter(part=part), on=KEY)
        assert joined.height == rows.height > 5
        level = levels(world, "model_genome", part, joined) if name == "scores" else np.zeros(rows.height)
        whole_part = joined["log_hazard_right"].to_numpy()
        assert joined["log_hazard"].to_numpy() + level == pytest.approx(whole_part, abs=1e-5)
        of_part = joined["risk_points_right"].to_numpy() * (1 - level / whole_part)
        assert joined["risk_points"].to_numpy() == pytest.approx(of_part, abs=1e-5)
        assert joined["log_hazard"].abs().max() > 0.05  # type: ignore[operator]


def levels(world: Path, model: str, modality: str, rows: pl.DataFrame) -> np.ndarray:
    """What a modality's level by age adds to the log hazards of rows."""
    head, store = load_model(world / model).onset, TokenStore(world / "tokens")
    assert head is not None
    births = store.subjects.select("birth_time", subject_id=pl.Series(store.subject_ids))
    born = rows.join(births, on="subject_id", how="left", maintain_order="left")
    days = (born["prediction_time"] - born["birth_time"]).dt.total_days().to_numpy()
    of_task = age_weights(torch.from_numpy(days / 365.25).float()) @ head.linear_of(modality).level
    number = {task.name: at for at, task in enumerate(head.config.tasks)}
    task = [number[name] for name in rows["outcome"]]
    return of_task.numpy()[np.arange(len(task)), task]


def test_names_percentiles_and_order(run: Run, world: Path) -> None:
    pl.DataFrame({"code": ["X//A"], "description": ["event A"]}).write_parquet(world / "names.parquet")
    out = run(code_names=world / "names.parquet")
    codes, scores = tables.CODES.read(out / "codes.parquet"), tables.SCORES.read(out / "scores.parquet")
    assert codes.filter(code="X//A")["name"].unique().to_list() == ["event A"]
    assert codes.filter(code="X//B")["name"].null_count() == codes.filter(code="X//B").height > 0
    assert set(scores["name"]) == {"score PGS1", "score PGS2", "score PGS3"}
    size = scores.select((pl.col("log_hazard").abs().diff() <= 1e-12).over(KEY, order_by="rank"))
    assert size.to_series().drop_nulls().all()
    assert scores.select(pl.corr("percentile", "value_sd", method="spearman")).item() > 0.99


def test_genomes_and_percentiles(run: Run, world: Path) -> None:
    out = run()
    genomes = tables.GENOMES.read(out / "genomes.parquet")
    store = TokenStore(world / "tokens")
    assert not set(genomes["subject_id"]) & set(store.subject_ids[1::2].tolist())
    without = run("without", genome=None)
    assert not (without / "genomes.parquet").exists()
    parts = tables.PARTS.read(without / "parts.parquet")
    risk = parts.group_by(*KEY, "horizon_years").agg(pl.col("risk_points").sum())
    joined = genomes.join(risk, on=[*KEY, "horizon_years"])
    assert joined["risk_without"].to_list() == pytest.approx(joined["risk_points"].to_list(), abs=1e-6)
    assert (genomes["risk_low"] <= genomes["risk_high"]).all()
    asked = tables.PERCENTILES.read(out / "percentiles.parquet")
    assert set(asked["others"]) == {"held", "conditional_mean"}
    held = asked.filter(others="held").sort(*KEY, "score", "percentile")
    change = held.select(pl.col("risk").diff().over(*KEY, "score").alias("step"), *KEY, "score").drop_nulls()
    signs = change.group_by(*KEY, "score").agg((pl.col("step") > 0).n_unique())
    assert signs["step"].unique().to_list() == [1]  # a linear term: up or down throughout


def test_every_modality_is_a_part(run: Run, world: Path) -> None:
    out = run(model="model_both", modalities={"panel": world / "panel.parquet"})
    parts = tables.PARTS.read(out / "parts.parquet")
    assert {"genome", "panel"} < set(parts["part"])
    scores = tables.SCORES.read(out / "scores.parquet")
    assert scores.filter(modality="panel")["score"].unique().to_list() == ["protein"]
    here = scores.filter(modality="panel").join(
        parts.filter(part="panel", horizon_years=5.0), on=KEY, suffix="_of_part"
    )
    level = levels(world, "model_both", "panel", here)
    of_part = here["log_hazard_of_part"].to_numpy()
    assert here["log_hazard"].to_numpy() + level == pytest.approx(of_part, abs=1e-5)
    points = here["risk_points_of_part"].to_numpy() * (1 - level / of_part)
    assert here["risk_points"].to_numpy() == pytest.approx(points, abs=1e-5)
    # Measured after the prediction time it is not known, and gives nothing.
    assert parts.filter(part="panel", log_hazard=0.0).height > 0
    assert parts.filter(part="panel", log_hazard=0.0)["risk_points"].abs().max() == 0
    assert 0 < scores.filter(modality="panel").height < scores.filter(modality="genome", rank=1).height


def test_a_population_by_decile_and_decision(run: Run) -> None:
    out = run(config={"threshold": 0.2})
    genomes = tables.GENOMES.read(out / "genomes.parquet")
    population = tables.POPULATION.read(out / "population.parquet")
    number = population.group_by("outcome", "horizon_years", "view").agg(pl.col("num_predictions").sum())
    asked = genomes.group_by("outcome", "horizon_years").len()
    joined = number.join(asked, on=["outcome", "horizon_years"])
    assert joined.height == 2 * asked.height
    assert joined["num_predictions"].to_list() == joined["len"].to_list()
    moved = genomes.filter(pl.col("risk") >= 0.2, pl.col("risk_without") < 0.2)
    found = population.filter(group="above only with genome")["num_predictions"].sum()
    assert found == moved.height
    own = population.filter(view="decile", outcome="d")
    assert own["score"].unique().to_list() == ["PGS1"]
    assert population.filter(pl.col("observed") > 0).height > 0
    assert (out / "population.png").stat().st_size > 1000


def test_codes_left_out(run: Run) -> None:
    out = run()
    without = tables.WITHOUT.read(out / "without.parquet")
    assert without.filter(code="X//B").height > 0
    assert (without["num_events"] > 0).all()
    assert without["log_ratio"].abs().max() > 0.05  # type: ignore[operator]
    assert set(read_manifest(out)["notes"]["agreement_of_linear"]) == {"rank_correlation", "correlation"}
    along = tables.ALONG.read(out / "along.parquet")
    assert (along["risk"] != along["risk_before"]).mean() > 0.9  # type: ignore[operator]
    assert read_manifest(out)["counts"]["num_reread"] == 4


def test_the_subjects_of_a_list(run: Run, world: Path, tmp_path: Path) -> None:
    store = TokenStore(world / "tokens")
    chosen = store.subject_ids[store.rows_of("train")][:3].tolist()
    for text in (
        "".join(f"{one}\n" for one in chosen),
        "name,subject_id\n" + "".join(f"x,{one}\n" for one in chosen),
    ):
        (tmp_path / "list.txt").write_text(text)
        name = f"of{len(text)}"
        parts = tables.PARTS.read(run(name, subjects=tmp_path / "list.txt") / "parts.parquet")
        assert set(parts["subject_id"]) <= set(chosen)
        assert parts.height > 0


def test_one_subject_gets_a_page(run: Run, world: Path, tmp_path: Path) -> None:
    many = run("many")
    subject = tables.GENOMES.read(many / "genomes.parquet")["subject_id"][0]
    (tmp_path / "one.txt").write_text(f"{subject}\n")
    codes = {"code": ["X//A", "X//B", "X//C"], "description": ["<b>event"] * 3}
    pl.DataFrame(codes).write_parquet(tmp_path / "names.parquet")
    out = run(
        subjects=tmp_path / "one.txt",
        code_names=tmp_path / "names.parquet",
        config={"reread": 1, "alignment": "train"},
    )
    page = (out / "page.html").read_text()
    assert f"Subject {subject}" in page
    for text in ("polygenic scores", "percentile", "score PGS1", "&lt;b&gt;event", "no causes", "<svg"):
        assert text in page
    assert "<b>event" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert not (many / "page.html").exists()


def test_effects_are_those_of_the_subjects_chosen(run: Run) -> None:
    trained, everybody = (run(which, config={"alignment": which}) for which in ("train", "all"))
    numbers = [read_manifest(out)["counts"]["num_subjects_of_cox"] for out in (trained, everybody)]
    assert numbers[0] < numbers[1]
    effects = tables.EFFECTS.read(trained / "effects.parquet")
    assert effects.filter("is_own")["score"].to_list() == ["PGS1"]
    assert effects.filter("is_own")["outcome"].to_list() == ["d"]
    assert tables.AGREEMENT.read(trained / "agreement.parquet").height > 5
    assert not (run("none") / "effects.parquet").exists()


def test_outputs_are_private(run: Run) -> None:
    out = run()
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}


def test_the_order_of_time_is_kept(run: Run) -> None:
    """A gap changes every risk to one among those free of the outcome by then."""
    gap = tables.PARTS.read(run("gap", task=known_law.TASK + "gap_days: 90\n") / "parts.parquet")
    plain = tables.PARTS.read(run() / "parts.parquet")
    total = [one.group_by(*KEY, "horizon_years").agg(pl.col("risk_points").sum()) for one in (gap, plain)]
    joined = total[0].join(total[1], on=[*KEY, "horizon_years"])
    assert (joined["risk_points"] < joined["risk_points_right"]).all()


def test_a_pattern_that_may_be_absent_is_left_out(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = "  two: {steps: [{codes: X//D}, {codes: X//D}], may_be_absent: true}\n  d:"
    parts = tables.PARTS.read(run(task=known_law.TASK.replace("  d:", pattern)) / "parts.parquet")
    assert set(parts["outcome"]) == {"d", "death"}
    assert "two is no onset task of the model and is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": {"outcomes": ("deth",)}}, r"^unknown --outcome; found deth; .*did you mean death\?$"),
        ({"task": known_law.TASK.replace("  d:", "  b: {codes: X//B}\n  d:")},
         r"^an outcome is no onset task of the model; in outcome b; .*leave it out$"),
        ({"task": known_law.TASK.replace("  d:", "  deaths: {codes: X//B}\n  d:")},
         r"in outcome deaths; .*did you mean death\? Or train with"),
        ({"model": "no_onset"}, r"^the model has no onset hazards .*train it with --task TASK$"),
        ({"model": "model", "genome": True}, r"^the model reads no genome; in .*found --genome; .*leave"),
    ],
)  # fmt: skip
def test_a_question_that_has_no_answer(
    run: Run, world: Path, tmp_path: Path, options: dict, message: str
) -> None:
    if "genome" in options:
        options = options | {"genome": world / "genome"}
    with pytest.raises(ConfigError, match=message):
        run("bad", **options)
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("999999\n", r"^subjects who are not in the tokens; in .*found 1 of 1 are not, first 999999; remedy"),
        ("7x\n", r"^a subject_id is no whole number; in .*found '7x'; expected one such as 1001$"),
        ("\n", r"^no subject in the list; in "),
    ],
)
def test_an_unusable_list_of_subjects(run: Run, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        run("bad", subjects=tmp_path / "list.txt")


@pytest.mark.parametrize("name", ["published", "truth", "code_names"])
def test_a_missing_table_is_named_before_anything_is_computed(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"none\.parquet"):
        run("bad", **{name: tmp_path / "none.parquet"})
    assert not (tmp_path / "bad").exists()


def test_published_effects_need_a_genome(run: Run, tmp_path: Path) -> None:
    (tmp_path / "known.csv").write_text("outcome,log_hazard_ratio\nd,0.2\n")
    with pytest.raises(ConfigError, match=r"^published effects, and no genome; .*--genome$"):
        run("bad", model="model", published=tmp_path / "known.csv")
    assert not (tmp_path / "bad").exists()


def test_a_fault_ends_the_command_in_one_line(world: Path, tmp_path: Path) -> None:
    words = ["explain", str(world / "model"), str(world / "tokens"), str(tmp_path / "why")]
    words += ["--task", str(world / "task.yaml"), "--outcome", "deth"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "why").exists()


def test_the_command(world: Path, tmp_path: Path) -> None:
    words = ["explain", str(world / "model"), str(world / "tokens"), str(tmp_path / "why"), "--reread", "0"]
    words += ["--task", str(world / "task.yaml"), "--outcome", "d"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    parts = tables.PARTS.read(tmp_path / "why" / "parts.parquet")
    assert parts["outcome"].unique().to_list() == ["d"]
    assert np.isfinite(parts["risk_points"].to_numpy()).all()
    assert not (tmp_path / "why" / "without.parquet").exists()


def test_a_gap_that_reaches_the_first_horizon_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="the gap reaches the first horizon"):
        run(task=known_law.TASK + "gap_days: 4000\n")


def test_who_died_within_the_gap_is_counted_and_who_had_the_outcome_is_not() -> None:
    time, event = np.array([0.2, 0.2, 0.2, 0.8]), np.array([1, 2, 0, 1])
    assert had_within_gap(0.5, time, event).tolist() == [True, False, False, False]


def test_a_modality_that_is_not_given_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(genome=None, config={"reread": 0})
    assert "explain: the model reads genome and none is given" in capsys.readouterr().err
