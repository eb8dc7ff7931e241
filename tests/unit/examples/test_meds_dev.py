"""The model folder for MEDS-DEV: its commands and its head."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from click.testing import CliRunner
from scipy import sparse

from proband.cli.main import app
from proband.core.errors import DataError

FOLDER = Path(__file__).parents[3] / "examples" / "meds_dev"
COMMANDS = yaml.safe_load((FOLDER / "model.yaml").read_text())["commands"]
GIVEN = {"dataset_dir", "output_dir", "labels_dir", "model_dir", "model_initialization_dir", "split", "demo"}
"""What MEDS-DEV fills into commands; labels_dir and split only where there are labels."""


@pytest.fixture(scope="module")
def head() -> ModuleType:
    spec = importlib.util.spec_from_file_location("meds_dev_head", FOLDER / "head.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def fields(command: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", command))


def test_commands_name_what_the_benchmark_gives() -> None:
    assert {kind: set(one) for kind, one in COMMANDS.items()} == {
        "unsupervised": {"train"},
        "supervised": {"train", "predict"},
    }
    assert fields(COMMANDS["unsupervised"]["train"]) <= GIVEN - {"labels_dir", "split"}
    assert fields(COMMANDS["supervised"]["train"]) <= GIVEN - {"split"}
    assert {"split", "labels_dir"} <= fields(COMMANDS["supervised"]["predict"]) <= GIVEN


def test_commands_use_options_that_there_are() -> None:
    lines = COMMANDS["unsupervised"]["train"]
    for command in ("ehr", "tokens", "train"):
        assert f"proband {command} " in lines
    known = "".join(CliRunner().invoke(_click(app), [name, "--help"]).output for name in ("tokens", "train"))
    for option in re.findall(r"--[a-z-]+", lines):
        assert option in known


def _click(typer_app: Any) -> Any:
    from typer.main import get_command

    return get_command(typer_app)


def test_head_learns_and_chooses_its_ridge_on_tuning(head: ModuleType) -> None:
    random = np.random.default_rng(0)
    inputs = random.standard_normal((900, 12)) * np.arange(1, 13)
    labels = random.random(900) < 1 / (1 + np.exp(-inputs[:, 0] * 2))
    train, tuning, held_out = (sparse.csr_matrix(inputs[at : at + 300]) for at in (0, 300, 600))
    fitted = head.fit_head(train, labels[:300], tuning, labels[300:600])
    risk = fitted.probabilities(held_out)
    assert risk[labels[600:]].mean() > risk[~labels[600:]].mean() + 0.2
    noise = head.fit_head(train, random.random(300) < 0.5, tuning, random.random(300) < 0.5)
    assert noise.strength < fitted.strength  # nothing to learn: the strong ridge


def test_head_of_one_kind_of_label_gives_the_base_rate(head: ModuleType) -> None:
    inputs = sparse.csr_matrix(np.ones((3, 2)))
    fitted = head.fit_head(inputs, np.ones(3, dtype=bool), inputs, np.ones(3, dtype=bool))
    assert (fitted.base_rate, fitted.strength) == (1.0, 0.0)


def test_labels_are_read_from_any_files_and_refused_by_name(head: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labels"):
        head.read_labels(tmp_path)
    row = {"subject_id": [1], "prediction_time": [datetime(2020, 1, 1)], "boolean_value": [True]}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pl.DataFrame(row).write_parquet(tmp_path / name / "0.parquet")
    assert head.read_labels(tmp_path).height == 2
    pl.DataFrame(row).drop("boolean_value").write_parquet(tmp_path / "c.parquet")
    with pytest.raises(DataError, match="labels without boolean_value"):
        head.read_labels(tmp_path)


def dataset(folder: Path, subjects: int = 94) -> None:
    """Those with code X//A have the outcome; the last, held out, has a label and no record."""
    start, rows = datetime(2000, 1, 1), []
    for subject in range(subjects - 1):
        codes = ["X//A" if subject % 3 == 0 else "X//B", "X//C"]
        rows.append((subject, start - timedelta(days=9000), "MEDS_BIRTH"))
        rows += [(subject, start + timedelta(days=30 * at), codes[at % 2]) for at in range(8)]
    events = pl.DataFrame(rows, schema=["subject_id", "time", "code"], orient="row")
    events = events.with_columns(pl.col("time").cast(pl.Datetime("us")))
    parts = np.array(["train", "train", "tuning", "held_out"])
    split = pl.DataFrame({"subject_id": np.arange(subjects), "split": parts[np.arange(subjects) // 3 % 4]})
    (folder / "dataset" / "data").mkdir(parents=True)
    (folder / "dataset" / "metadata").mkdir()
    numbers = events.with_columns(pl.lit(None, pl.Float32).alias("numeric_value"))
    numbers.write_parquet(folder / "dataset" / "data" / "0.parquet")
    split.write_parquet(folder / "dataset" / "metadata" / "subject_splits.parquet")
    when = pl.lit(start + timedelta(days=100)).cast(pl.Datetime("us"))
    (folder / "labels").mkdir()
    labels = split.select("subject_id", prediction_time=when, boolean_value=pl.col("subject_id") % 3 == 0)
    labels.write_parquet(folder / "labels" / "0.parquet")


@pytest.mark.slow
def test_all_commands_run_one_after_the_other(tmp_path: Path) -> None:
    dataset(tmp_path)
    (tmp_path / "bin").mkdir()
    for name, words in (("python", ""), ("proband", " -m proband")):
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        script.chmod(0o755)
    given = {"dataset_dir": tmp_path / "dataset", "labels_dir": tmp_path / "labels", "model_dir": FOLDER}
    given |= {"split": "held_out", "demo": True}
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    before: Path = tmp_path
    for kind, mode in (("unsupervised", "train"), ("supervised", "train"), ("supervised", "predict")):
        out = tmp_path / kind / mode
        text = COMMANDS[kind][mode].format(**given, output_dir=out, model_initialization_dir=before)
        out.mkdir(parents=True)
        subprocess.run(["sh", "-c", text], env=environment, check=True)
        before = out
    found = pl.read_parquet(before / "predictions.parquet")
    labels = pl.read_parquet(tmp_path / "labels" / "0.parquet")
    splits = pl.read_parquet(tmp_path / "dataset" / "metadata" / "subject_splits.parquet")
    assert found.drop("^predicted.*$").equals(
        labels.join(splits.filter(split="held_out").select("subject_id"), on="subject_id", how="semi")
    )
    recorded = found.head(found.height - 1)
    assert recorded["predicted_boolean_value"].to_list() == recorded["boolean_value"].to_list()
    assert found["predicted_boolean_probability"][-1] == pytest.approx(1 / 3, abs=0.02)
