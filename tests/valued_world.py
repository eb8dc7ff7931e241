"""A small world with values and scores as tokens, and models with onset hazards of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import known_law
from onset_world import randomise
from proband.core.schema import SCORES
from proband.model.checkpoint import save_model
from proband.model.config import OnsetConfig, OnsetTask
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SummaryLayout
from proband.train.onset.incidence import log_rates
from small_world import GENOME, PANEL, random_model

NAMES = ("PGS1", "PGS2", "PGS3")


def with_onset(store: TokenStore, **changes: Any) -> Any:
    """A model of random weights with an onset head of random weights."""
    codes = np.array(store.vocabulary.base_codes())
    tasks = tuple(
        OnsetTask(name=name, tokens=tuple(np.flatnonzero(codes == code).tolist()))
        for name, code in (("d", "X//D"), ("death", "MEDS_DEATH"), ("a", "X//A"))
    )
    once = store.once.nonzero()[0].tolist()
    made = random_model(vocabulary_size=len(store.vocabulary), once=once, context=32, **changes)
    layout = SummaryLayout.of(store.vocabulary)
    shape: dict[str, Any] = {
        "num_features": layout.num_features,
        "first_value": layout.first_value,
        "num_valued": layout.num_valued,
        "num_recencies": len(layout.codes),
        "linear": {name: one.width for name, one in changes.get("modalities", {}).items()},
    }
    head = made.attach_onset(OnsetConfig(tasks=tasks, num_named=2, **shape))
    head.log_rate.copy_(log_rates(store, tasks))
    randomise(head, 0.2)
    head.intercept[:2] = 0.2
    head.slope[:2] = 0.9
    return made


def build(root: Path) -> Path:
    """Tokens, task, genome, panel and models with onset hazards in ``root``."""
    rng = np.random.default_rng(0)
    events = known_law.simulate(250, 0)
    value = pl.Series(rng.normal(size=events.height)).cast(pl.Float32)
    valued = pl.when(pl.col("code") == "X//B").then(value).alias("numeric_value")
    known_law.write_meds(events.with_columns(valued), root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1, num_bins=3), workers=1)
    (root / "task.yaml").write_text(known_law.TASK)
    store = TokenStore(root / "tokens")
    both = {"fusion": "prefix", "modalities": GENOME | PANEL}
    models = {"model": {}, "model_genome": both | {"modalities": GENOME}, "model_both": both}
    for name, extra in models.items():
        (root / name).mkdir()
        save_model(with_onset(store, **extra), root / name, store.vocabulary.hash)
    (root / "no_onset").mkdir()
    plain = random_model(vocabulary_size=len(store.vocabulary), context=32)
    save_model(plain, root / "no_onset", store.vocabulary.hash)
    ids = store.subject_ids[::2]
    scores = {"subject_id": ids} | {name: rng.normal(size=len(ids)) for name in NAMES}
    (root / "genome").mkdir()
    SCORES.write(
        pl.DataFrame(scores).with_columns(pl.col(NAMES).cast(pl.Float32)), root / "genome/scores.parquet"
    )
    described = {name: {"name": f"score {name}", "trait": None} for name in NAMES}
    described["PGS1"]["trait"] = "D"
    panel = {
        "subject_id": ids,
        "age_years": rng.uniform(0, 8, len(ids)),
        "protein": rng.normal(size=len(ids)),
    }
    pl.DataFrame(panel).write_parquet(root / "panel.parquet")
    (root / "genome" / "scores.json").write_text(json.dumps(described))
    return root
