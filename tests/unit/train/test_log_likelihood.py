from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from proband.core.errors import DataError
from proband.model.checkpoint import load_model
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows
from proband.tokens.modalities.modality import load_modality
from proband.train import likelihood, train
from proband.train.config import TrainConfig
from proband.train.log_likelihood import format_likelihood


@pytest.fixture(scope="module")
def model(world: Path, small: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("likelihood") / "model"
    config = small.model_copy(update={"epochs": 2.0, "fusion": "prefix"})
    train(world / "tokens", out, genome=world / "genome", config=config)
    return out


@pytest.mark.parametrize("genome", [True, False])
def test_it_is_the_sum_over_subjects(model: Path, world: Path, genome: bool) -> None:
    folder = world / "genome" if genome else None
    found = likelihood(model, world / "tokens", genome=folder)
    store, loaded = TokenStore(world / "tokens"), load_model(model)
    tables = {"genome": load_modality("genome", folder / "scores.parquet", store)} if folder else {}
    sums = np.zeros(5)
    for row in store.rows_of("held_out"):
        for at in range(len(windows := make_windows(store, np.array([row]), 16))):
            with torch.no_grad():
                terms = loaded(load_batch(store, windows.take(np.array([at])), tables))
            sums += [terms.when, terms.what, terms.censoring, terms.num_events, terms.num_impossible]
    assert found["num_events"] == sums[3]
    assert found["num_impossible"] == sums[4]
    for part, value in zip(("when", "what", "censoring"), sums[:3], strict=True):
        assert found[part] == pytest.approx(value / sums[3], rel=1e-5)
    assert found["total"] == pytest.approx(sums[:3].sum() / sums[3], rel=1e-5)


def test_kinds_add_up(model: Path, world: Path) -> None:
    found = likelihood(model, world / "tokens")
    kinds = found["kinds"].values()
    assert sum(kind["num_events"] for kind in kinds) == found["num_events"]
    for part in ("when", "what"):
        total = sum(kind[part] * kind["num_events"] for kind in kinds)
        assert total / found["num_events"] == pytest.approx(found[part])


def test_the_genome_changes_what_is_predicted(model: Path, world: Path) -> None:
    given = likelihood(model, world / "tokens", genome=world / "genome")
    assert given["total"] != pytest.approx(likelihood(model, world / "tokens")["total"], abs=1e-7)


def test_the_last_line_is_json(model: Path, world: Path) -> None:
    found = likelihood(model, world / "tokens", split="tuning")
    text = format_likelihood(found)
    assert json.loads(text.splitlines()[-1]) == found
    assert found["split"] == "tuning"
    assert f"{found['total']:.4f}" in text.splitlines()[1]


def test_an_unknown_split(model: Path, world: Path) -> None:
    with pytest.raises(DataError, match="no subject in this split"):
        likelihood(model, world / "tokens", split="test")
