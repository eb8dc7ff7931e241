"""The world that is explained, and how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import known_law
from proband.explain import explain
from proband.explain.config import ExplainConfig
from valued_world import build


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("explained"))


@pytest.fixture
def run(world: Path, tmp_path: Path) -> Callable[..., Path]:
    def one(name: str = "why", model: str = "model_genome", **options: Any) -> Path:
        task = options.pop("task", known_law.TASK)
        quick = {"reread": 4, "donors": 5, "permutations": 100, "alignment": "none"}
        config = ExplainConfig(**quick | options.pop("config", {}))
        (tmp_path / f"{name}.yaml").write_text(task)
        genome = options.pop("genome", world / "genome" if model in ("model_genome", "model_both") else None)
        given = {"task": tmp_path / f"{name}.yaml", "genome": genome, "config": config}
        explain(world / model, world / "tokens", tmp_path / name, **given, **options)
        return tmp_path / name

    return one
