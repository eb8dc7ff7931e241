"""examples/vectors: what its vectors know, and what its commands are given."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

SCRIPT = Path(__file__).parents[3] / "examples" / "vectors" / "vectors.py"


@pytest.fixture(scope="module")
def vectors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vectors_example", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def explained(inputs: np.ndarray, target: np.ndarray) -> float:
    """R² of a linear regression fitted on one half of the people, on the other half."""
    half = len(target) // 2
    design = np.column_stack([np.ones(len(inputs)), inputs])
    weights = np.linalg.lstsq(design[:half], target[:half], rcond=None)[0]
    return float(1 - ((target - design @ weights)[half:] ** 2).mean() / target[half:].var())


def test_the_image_tells_the_liabilities_and_the_noise_does_not(vectors: ModuleType) -> None:
    liabilities = np.random.default_rng(1).standard_normal((4000, 4))
    made = vectors.vectors(liabilities, seed=0)
    assert {one.shape for one in made.values()} == {(4000, vectors.WIDTH)}
    for column in liabilities.T:
        assert explained(made["image"], column) > 0.8
        assert explained(made["noise"], column) < 0.05


def test_visits_are_in_the_first_year_and_within_follow_up(vectors: ModuleType) -> None:
    entry = pl.Series([datetime(2000, 1, 1)] * 2000)
    people = pl.DataFrame({"subject_id": range(2000), "entry": entry})
    people = people.with_columns(exit=pl.col("entry") + pl.duration(days=180))
    visits = vectors.visits_of(people, seed=0)
    assert visits["time"].is_between(datetime(2000, 1, 1), datetime(2000, 6, 29)).all()
    expected = vectors.SHARE_IMAGED * 180 / 365.25 * 2000
    assert abs(visits.height - expected) < 5 * expected**0.5


def test_train_and_forecast_read_the_same_vector(vectors: ModuleType) -> None:
    commands = list(vectors.predictions(Path("out"), seed=3))
    given = [
        (words[0], words[words.index("--modality") + 1] if "--modality" in words else None)
        for words in commands
    ]
    image, noise = "image=out/image.parquet", "noise=out/noise.parquet"
    pairs = [(stage, file) for file in (None, image, noise) for stage in ("train", "forecast")]
    assert given == [*pairs, ("evaluate", None)]


@pytest.mark.slow
def test_the_image_helps_and_the_noise_does_not(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True, timeout=3000
    )
    mean = done.stdout.splitlines()[-1].split(" | ")
    image, noise = ([float(word) for word in part.replace("(", "").split()[:2]] for part in mean[1:])
    assert image[1] > 0
    assert abs(noise[0]) < 0.003
