"""The world whose scenarios are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from proband.core.schema import SCENARIOS
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from valued_world import build

TASK = "outcomes: {d: {codes: X//D}}\nprediction: {years_after_entry: 4}\nhorizons_years: [1, 5]\n"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = build(tmp_path_factory.mktemp("scenarios"))
    (root / "d.yaml").write_text(TASK)
    return root


@pytest.fixture
def run(world: Path, tmp_path: Path) -> Callable[..., pl.DataFrame]:
    def one(*changes: dict[str, Any], model: str = "model_genome", **options: Any) -> pl.DataFrame:
        scenario = {"changes": list(changes)} | options.pop("scenario", {})
        file = tmp_path / "scenario.yaml"
        file.write_text(yaml.safe_dump({"scenarios": {"other": scenario}}))
        genome = options.pop("genome", world / "genome" if model == "model_genome" else None)
        given: dict[str, Any] = {
            "config": ForecastConfig(split="train"),
            "genome": genome,
            "workers": 1,
        } | options
        out = tmp_path / given.pop("out", "out")
        forecast(world / model, world / "tokens", out, task=world / "d.yaml", scenario=file, **given)
        return SCENARIOS.read(out / "scenarios.parquet")

    return one
