"""A small known world as a tokens folder, with models of random weights."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import known_law
from proband.core.schema import SCORES
from proband.model.checkpoint import save_model
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from small_world import GENOME, random_model


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    events = known_law.simulate(150, 0)
    known_law.write_meds(events, root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    (root / "task.yaml").write_text(known_law.TASK)
    store = TokenStore(root / "tokens")
    for name, extra in (("model", {}), ("model_genome", {"fusion": "prefix", "modalities": GENOME})):
        model = random_model(
            vocabulary_size=len(store.vocabulary), once=store.once.nonzero()[0].tolist(), context=32, **extra
        )
        (root / name).mkdir()
        save_model(model, root / name, store.vocabulary.hash)
    ids = store.subject_ids[::2].tolist()
    scores = {"subject_id": ids} | {f"PGS{k}": [float(i % 3) for i in ids] for k in (1, 2, 3)}
    (root / "genome").mkdir()
    frame = pl.DataFrame(scores).with_columns(pl.col("^PGS.*$").cast(pl.Float32))
    SCORES.write(frame, root / "genome" / "scores.parquet")
    return root


@pytest.fixture(scope="session")
def task_text() -> str:
    """The world's task file."""
    return known_law.TASK
