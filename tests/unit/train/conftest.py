"""A tokens folder of the known world, and settings that train on it in a second."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import known_law
from proband.core.schema import SCORES
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from proband.train.config import OnsetOptions, TrainConfig


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("train_world")
    known_law.write_meds(known_law.simulate(200, 0), root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    ids = TokenStore(root / "tokens").subject_ids[::2].tolist()
    scores = {"subject_id": ids} | {f"PGS{k}": [float((i * k) % 5) for i in ids] for k in (1, 2)}
    (root / "genome").mkdir()
    frame = pl.DataFrame(scores).with_columns(pl.col("^PGS.*$").cast(pl.Float32))
    SCORES.write(frame, root / "genome" / "scores.parquet")
    return root


@pytest.fixture(scope="session")
def small() -> TrainConfig:
    return TrainConfig(
        depth=1,
        dim=16,
        num_heads=2,
        context=16,
        batch_tokens=256,
        epochs=5,
        save_seconds=1e-6,
        hidden=8,
        onset=OnsetOptions(enabled=False),
    )
