"""The model folder for MEDS-DEV: its commands and its head."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
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

CHECKOUT = Path(__file__).parents[3]
FOLDER = CHECKOUT / "examples" / "meds_dev"
MODELS = {name: yaml.safe_load((FOLDER / name / "model.yaml").read_text()) for name in (".", "zero_shot")}
COMMANDS = MODELS["."]["commands"]
GIVEN = {"dataset_dir", "output_dir", "labels_dir", "model_dir", "model_initialization_dir", "split", "demo"}
"""What MEDS-DEV fills into commands; labels_dir and split only where there are labels, predicates_path where
its user gives one."""


@pytest.fixture(scope="module")
def head(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("head")


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


def test_the_zero_shot_model_has_no_supervised_training() -> None:
    commands = MODELS["zero_shot"]["commands"]
    assert {kind: set(one) for kind, one in commands.items()} == {
        "unsupervised": {"train"},
        "supervised": {"predict"},
    }
    assert fields(commands["unsupervised"]["train"]) <= GIVEN - {"labels_dir", "split"}
    assert fields(commands["supervised"]["predict"]) == GIVEN | {"predicates_path"}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_what_the_benchmark_demands_of_it(name: str) -> None:
    assert MODELS[name]["metadata"]["description"]
    assert [set(one) for one in MODELS[name]["metadata"]["contacts"]] == [{"name"}]  # at least one
    assert (FOLDER / name / "requirements.txt").is_file()


def test_commands_use_options_that_there_are() -> None:
    lines = (FOLDER / "pretrain.sh").read_text()
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


def this_environment(folder: Path) -> Path:
    """A folder of programs ``python`` and ``proband`` that run what runs the tests."""
    folder.mkdir()
    for name, words in (("python", ""), ("proband", " -m proband")):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        script.chmod(0o755)
    return folder


def own_environment(folder: Path, requirements: Path) -> Path:
    """The programs of a new environment that holds what the model's requirements.txt asks for."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    reached = subprocess.run([*pip, "download", "-q", "--no-deps", "-d", folder, "packaging"], check=False)
    if reached.returncode:
        pytest.skip("no package index can be reached")
    asked = {"PROBAND_CHECKOUT": str(CHECKOUT), "PIP_CONSTRAINT": str(CHECKOUT / "constraints.txt")}
    subprocess.run([*pip, "install", "-q", "-r", requirements], env=os.environ | asked, check=True)
    return folder / "bin"


def run_commands(
    folder: Path,
    commands: dict[str, dict[str, str]],
    programs: Path,
    environment: Mapping[str, str] = {},
    **more: Path,
) -> pl.DataFrame:
    """The predictions of a model's commands, each given the output of the one before, as MEDS-DEV does."""
    given = {"dataset_dir": folder / "dataset", "labels_dir": folder / "labels", "split": "held_out"}
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    before = folder
    for kind, mode in (("unsupervised", "train"), ("supervised", "train"), ("supervised", "predict")):
        if mode not in commands[kind]:
            continue
        out = folder / "out" / kind / mode
        text = commands[kind][mode].format(
            **given, demo=True, output_dir=out, model_initialization_dir=before, **more
        )
        out.mkdir(parents=True)
        subprocess.run(["bash", "-c", text], env=os.environ | path | environment, check=True)
        before = out
    return pl.read_parquet(before / "predictions.parquet")


def labels_held_out(folder: Path) -> pl.DataFrame:
    labels = pl.read_parquet(folder / "labels" / "0.parquet")
    splits = pl.read_parquet(folder / "dataset" / "metadata" / "subject_splits.parquet")
    return labels.join(splits.filter(split="held_out").select("subject_id"), on="subject_id", how="semi")


@pytest.mark.slow
def test_all_commands_run_one_after_the_other(tmp_path: Path) -> None:
    dataset(tmp_path)
    check_told_apart(tmp_path, this_environment(tmp_path / "bin"))


@pytest.mark.slow
def test_all_commands_run_in_an_environment_of_their_own(tmp_path: Path) -> None:
    dataset(tmp_path)
    programs = own_environment(tmp_path / "environment", FOLDER / "requirements.txt")
    check_told_apart(tmp_path, programs)
    where = subprocess.run(
        [programs / "python", "-c", "import proband; print(proband.__file__)"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert where.stdout.startswith(str(tmp_path))


def check_told_apart(folder: Path, programs: Path) -> None:
    """Those with X//A have the outcome, and are told from the others; who has no record gets the share."""
    found = run_commands(folder, COMMANDS, programs, model_dir=FOLDER)
    assert found.drop("^predicted.*$").equals(labels_held_out(folder))
    recorded = found.head(found.height - 1)
    assert recorded["predicted_boolean_value"].to_list() == recorded["boolean_value"].to_list()
    assert found["predicted_boolean_probability"][-1] == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.slow
def test_zero_shot_commands_run_one_after_the_other_and_tell_the_subjects_apart(tmp_path: Path) -> None:
    """Those with X//A have had it every 60 days, and have it again within 60; the others never."""
    dataset(tmp_path)
    (tmp_path / "task.yaml").write_text(
        yaml.safe_dump(
            {
                "predicates": {"birth": {"code": "MEDS_BIRTH"}, "again": "???"},
                "trigger": "birth",
                "windows": {
                    "input": WHOLE | {"start": None, "end": "trigger + 9100d", "index_timestamp": "end"},
                    "target": WHOLE
                    | {
                        "start": "input.end",
                        "end": "start + 60d",
                        "start_inclusive": False,
                        "label": "again",
                    },
                },
            }
        )
    )
    (tmp_path / "predicates.yaml").write_text("predicates: {again: {code: X//A}}")
    found = run_commands(
        tmp_path,
        MODELS["zero_shot"]["commands"],
        this_environment(tmp_path / "bin"),
        {"PROBAND_TASK": str(tmp_path / "task.yaml")},
        model_dir=FOLDER / "zero_shot",
        predicates_path=tmp_path / "predicates.yaml",
    )
    assert found.drop("^predicted.*$").equals(labels_held_out(tmp_path))
    recorded = found.head(found.height - 1)
    risk, has = recorded["predicted_boolean_probability"], recorded["boolean_value"]
    assert risk.filter(has).min() > risk.filter(~has).max()
    assert found["predicted_boolean_probability"][-1] == pytest.approx(risk.mean())  # who has no record


WHOLE = {"start_inclusive": True, "end_inclusive": True}
