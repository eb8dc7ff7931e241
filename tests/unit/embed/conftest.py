"""A small known world as tokens, and a model of random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

import known_law
from proband.model.checkpoint import save_model
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from small_world import random_model


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("embed")
    known_law.write_meds(known_law.simulate(60, 0), root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    (root / "task.yaml").write_text(known_law.TASK)
    store = TokenStore(root / "tokens")
    model = random_model(vocabulary_size=len(store.vocabulary), context=64)
    (root / "model").mkdir()
    save_model(model, root / "model", store.vocabulary.hash)
    return root
