"""The example of a vector per person: its data have the law it says, its commands run, and it helps."""

from __future__ import annotations

import importlib.util
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from typer.main import get_command

from proband.cli.main import app

SCRIPT = Path(__file__).parents[3] / "examples" / "vectors" / "vectors.py"


@pytest.fixture(scope="module")
def vectors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_vectors", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def explained(by: np.ndarray, values: np.ndarray) -> float:
    """R squared of a linear regression, on the half of the people that it was not fitted on."""
    half = len(values) // 2
    weights, *_ = np.linalg.lstsq(by[:half], values[:half], rcond=None)
    rest = values[half:] - by[half:] @ weights
    return 1 - rest.var() / values[half:].var()


def test_the_image_tells_the_liabilities_and_the_noise_nothing(vectors: ModuleType) -> None:
    liabilities = np.random.default_rng(0).normal(size=(4000, len(vectors.DISEASES)))
    made = vectors.vectors(liabilities, 0)
    assert {name: (one.shape, str(one.dtype)) for name, one in made.items()} == {
        "image": ((4000, 64), "float32"),
        "noise": ((4000, 64), "float32"),
    }
    for liability in liabilities.T:
        assert explained(made["image"], liability) > 0.8
        assert abs(explained(made["noise"], liability)) < 0.1
        # No number of the image tells much by itself.
        assert max(abs(np.corrcoef(column, liability)[0, 1]) for column in made["image"].T) < 0.8
    assert not np.array_equal(made["image"], vectors.vectors(liabilities, 1)["image"])


def test_visits_are_of_some_people_within_follow_up_and_before_prediction(vectors: ModuleType) -> None:
    number, entry = 2000, datetime(2010, 1, 1)
    leave = [datetime(2010, 4, 1) if at % 4 == 0 else datetime(2020, 1, 1) for at in range(number)]
    ids = {"subject_id": range(number), "entry": [entry] * number, "exit": leave}
    visits = vectors.visits_of(pl.DataFrame(ids), 0)
    assert visits["time"].is_between(entry, datetime(2011, 1, 1)).all()
    early = visits.filter(pl.col("subject_id") % 4 == 0)
    assert (early["time"] < datetime(2010, 4, 1)).all()
    # 80% of those followed throughout, a quarter of 80% of those who leave after a quarter of a year.
    assert (visits.height - early.height) / 1500 == pytest.approx(0.8, abs=0.04)
    assert early.height / 500 == pytest.approx(0.2, abs=0.06)


def test_commands_have_the_options_that_they_are_given(vectors: ModuleType, tmp_path: Path) -> None:
    group = get_command(app)
    found = []
    for command in [*vectors.records(tmp_path, 50, 3), *vectors.predictions(tmp_path, 3)]:
        known = {option for one in group.commands[command[0]].params for option in one.opts}
        assert {word for word in command if word.startswith("--")} <= known
        found.append(command[0])
    assert found == ["synth", "ehr", "tokens", *["train", "forecast"] * 3, "evaluate"]
    named = [f"--modality {name}={tmp_path}/{name}.parquet" for name in ("image", "noise")]
    lines = [" ".join(command) for command in vectors.predictions(tmp_path, 3)]
    assert [sum(one in line for line in lines) for one in named] == [2, 2]


@pytest.mark.slow
def test_the_image_helps_on_held_out_people_and_the_noise_does_not(
    vectors: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["vectors.py", str(tmp_path)])
    vectors.main()
    found = vectors.gains(tmp_path, 0)["mean"]
    assert found["EHR+image"].low > 0
    assert found["EHR+noise"].low <= 0 <= found["EHR+noise"].high
    assert abs(found["EHR+noise"].value) < 0.003
