"""What the experiments share: sizes, names, controls of scores."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import headline
import numpy as np
import polars as pl
import pytest
from biobank import EHR, EHR_PCS, SIZES, Biobank, Model, noise_like, permuted, places, with_scores
from headline import Judged

from proband.core.config import validated
from proband.core.schema import TIME, scores_file
from proband.ehr.outcomes import load_task
from proband.synth.config import SynthConfig
from proband.train.config import TrainConfig
from small_world import DAY, HandStore, Record

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
SCORES = pl.DataFrame(
    {"subject_id": np.arange(500), "a": np.arange(500), "b": np.where(np.arange(500) % 5, 1.0, np.nan)},
    schema={"subject_id": pl.Int64, "a": pl.Float32, "b": pl.Float32},
)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_settings_of_every_size_are_valid(size: object) -> None:
    size = SIZES[size.name]  # type: ignore[attr-defined]
    assert validated(SynthConfig, **size.synth).subjects == size.synth["subjects"]
    validated(TrainConfig, **size.train)
    assert sum(size.splits) == pytest.approx(1)


def test_permuted_scores_are_the_same_rows_of_other_people() -> None:
    found = permuted(SCORES, 0)
    assert found["subject_id"].to_list() == SCORES["subject_id"].to_list()
    assert sorted(found["a"]) == sorted(SCORES["a"])
    assert (found["a"] != SCORES["a"]).mean() > 0.9
    together = found.with_columns(b=pl.col("b").fill_nan(None))
    assert together.filter(pl.col("a") % 5 == 0)["b"].null_count() == 100  # rows stay whole


def test_noise_has_the_width_and_the_gaps_of_the_scores_and_nothing_else_of_them() -> None:
    found = noise_like(SCORES, 0)
    assert found.schema == SCORES.schema
    known = SCORES["b"].is_finite()
    assert found["b"].filter(known).is_finite().all()
    assert found["b"].filter(~known).null_count() == (~known).sum()
    assert abs(np.corrcoef(found["a"], SCORES["a"])[0, 1]) < 0.15
    assert found["a"].std() == pytest.approx(1, abs=0.1)


def test_places_of_predictions_in_the_tokens() -> None:
    """Birth on 1900-01-01, then a token at the age of 10 days and one at 20."""
    store = HandStore([Record([2, 3], [10 * DAY, 20 * DAY])] * 2)
    moments = {"subject_id": [101, 100], "prediction_time": [datetime(1900, 1, 15), datetime(1900, 1, 21)]}
    rows, minutes = places(store, pl.DataFrame(moments).with_columns(pl.col("prediction_time").cast(TIME)))
    assert rows.tolist() == [1, 0]
    assert store.history_lengths(rows, minutes).tolist() == [2, 3]


def test_scores_are_kept_once(tmp_path: Path) -> None:
    bank = Biobank(tmp_path, SIZES["tiny"], 0)
    assert bank.keep_scores("noise", SCORES) == "noise"
    bank.keep_scores("noise", SCORES.head(1))
    assert pl.read_parquet(tmp_path / "noise" / "scores.parquet").height == SCORES.height
    (bank.genome / "adjusted").mkdir(parents=True)
    (bank.genome / "adjusted" / "Z_norm2.parquet").touch()  # a model of one kind refuses the other
    bank.keep_scores("permuted", SCORES)
    assert scores_file(tmp_path / "permuted") == tmp_path / "permuted" / "adjusted" / "Z_norm2.parquet"


def test_names_in_files_and_tables() -> None:
    assert Model("EHR+permuted PGS").slug == "ehr_permuted_pgs"
    assert with_scores("noise", "noise").name == f"{EHR_PCS.name}+noise"
    assert with_scores(hidden=8).settings == {"hidden": 8}


SCRIPTS = sorted(path.stem for path in EXPERIMENTS.glob("*.py") if "arguments(__doc__" in path.read_text())
"""Those that take a size and seeds."""


def test_risks_are_of_the_model_its_inputs_and_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []

    def forecast(model: Path, tokens: Path, out: Path, **given: Any) -> None:
        calls.append({"model": model.name, "out": out.name} | given)

    monkeypatch.setattr("proband.train.train", lambda tokens, out, **given: out.mkdir(exist_ok=True))
    monkeypatch.setattr("proband.forecast.forecast", forecast)
    bank = Biobank(tmp_path, SIZES["tiny"], 3)
    bank.risks(EHR_PCS, "tuning", workers=1)
    bank.risks(EHR_PCS, records_alone=True, name="withheld", estimator="mc")
    assert [(one["model"], one["out"]) for one in calls] == [
        ("model_ehr_pcs", "risk_ehr_pcs_tuning"),
        ("model_ehr_pcs", "risk_withheld"),
    ]
    assert (calls[0]["workers"], calls[0]["modalities"]) == (1, {"pcs": bank.genome / "pcs.parquet"})
    assert "modalities" not in calls[1]
    assert [one["config"].split for one in calls] == ["tuning", "held_out"]
    assert (calls[1]["config"].estimator, calls[1]["config"].seed) == ("mc", 3)
    assert list(bank.train_cpu_seconds()) == ["ehr_pcs"]


def test_an_interrupted_training_has_no_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last stretch took is not what training took."""
    monkeypatch.setattr("proband.train.train", lambda tokens, out, **given: out.mkdir(exist_ok=True))
    bank = Biobank(tmp_path, SIZES["tiny"], 0)
    bank.model(EHR)
    assert list(bank.train_cpu_seconds()) == ["ehr"]
    (tmp_path / "model_ehr").rmdir()
    (tmp_path / "model_ehr.partial").mkdir()
    (tmp_path / "model_ehr_pcs.partial").mkdir()
    for _ in range(2):  # gone on, then there
        for model in (EHR, EHR_PCS):
            bank.model(model)
        assert bank.train_cpu_seconds() == {}


def test_slowest_training_is_unknown_where_one_was_interrupted(tmp_path: Path) -> None:
    def bar(seconds: dict[str, float]) -> dict[str, Any]:
        return Judged(pl.DataFrame(), None, pl.DataFrame(), seconds, 5)._training()  # type: ignore[arg-type]

    whole = {model.name: 100.0 for model in headline.MODELS}
    assert (bar(whole)["value"], bar(whole)["met"]) == (pytest.approx(100 / 60), True)
    assert bar(whole | {headline.PGS: 400.0})["met"] is False
    unknown = bar({name: 100.0 for name in whole if name != headline.PGS})
    assert unknown["met"] is None
    assert np.isnan(unknown["value"])
    assert unknown["bar"].endswith(f"(unknown, interrupted: {headline.PGS})")
    bars = pl.DataFrame([{"seed": seed} | one for seed, one in enumerate((bar(whole), unknown))])
    outcomes = {"outcome": ["gout"], "model": ["EHR"], "metric": ["auroc"], "value": [0.7]}
    headline.write(tmp_path, bars, pl.DataFrame(outcomes))
    line = "| training of the slowest model, CPU minutes | <= 6 | 1.667, met | unknown |"
    assert line in (tmp_path / "headline.md").read_text()


def test_some_outcomes_of_a_task(tmp_path: Path) -> None:
    bank = Biobank(tmp_path, SIZES["tiny"], 0)
    bank.task.parent.mkdir()
    bank.task.write_text(
        "outcomes: {x: {codes: [X//A]}, y: {codes: [X//B]}}\n"
        "prediction: {years_after_entry: 2}\nhorizons_years: [1, 5]\n"
    )
    some = load_task(bank.task_of("one", "x".__eq__))
    assert list(some.outcomes) == ["x"]
    assert some.horizons_years == (1, 5)


@pytest.mark.parametrize("name", ["biobank", "replicates", *SCRIPTS])
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


HELP = """
import contextlib, runpy, sys
for path in sys.argv[1:]:
    sys.argv = [path, "--help"]
    with contextlib.suppress(SystemExit):
        runpy.run_path(path, run_name="__main__")
    if "torch" in sys.modules:
        sys.exit(path + " imports torch before it is needed")
"""


def test_experiments_on_a_biobank_answer_help_without_torch() -> None:
    paths = [str(EXPERIMENTS / f"{script}.py") for script in SCRIPTS]
    environment = os.environ | {"PYTHONPATH": str(EXPERIMENTS)}
    command = [sys.executable, "-c", HELP, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n  --size {tiny,small,full}") == len(SCRIPTS)


def _defined(tree: ast.Module) -> set[str]:
    """Names that a script defines or imports at its top."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {one.asname or one.name for one in node.names}
        else:
            found |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return found


def test_what_scripts_take_from_each_other_is_there() -> None:
    trees = {path.stem: ast.parse(path.read_text()) for path in EXPERIMENTS.glob("*.py")}
    taken = [
        (name, node.module, one.name)
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in trees
        for one in node.names
    ]
    assert len(taken) > 20
    assert [one for one in taken if one[2] not in _defined(trees[one[1]])] == []
