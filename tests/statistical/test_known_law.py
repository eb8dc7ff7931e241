"""A trained model on a world whose law is known: its likelihood, its gap law, its risks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import known_law
from known_law import CODES, NEXT, RATES, A, C, D, KnownLaw
from proband.core.batch import CENSORED, EVENT
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.model.checkpoint import load_model
from proband.tokens import tokens
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows
from proband.train import likelihood, train
from proband.train.config import TrainConfig

YEARS = 2.0  # short, so that many a silence is cut by the end of follow-up
CONFIG = TrainConfig(
    depth=1, dim=32, num_heads=2, context=64, epochs=25, dropout=0.0, batch_tokens=512, learning_rate=2e-3
)
END = "OBSERVATION_PERIOD//END"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: one told of the end of follow-up, and one for which records end with their last event."""
    root = tmp_path_factory.mktemp("law")
    events = known_law.simulate(3000, 0, YEARS)
    for name, kept in (("whole", events), ("deaf", events.filter(pl.col("code") != END))):
        known_law.write_meds(kept, root / name / "meds")
        tokens(root / name / "meds", root / name / "tokens", workers=1)
        train(root / name / "tokens", root / name / "model", config=CONFIG)
    return root


def true_nats(store: TokenStore) -> float:
    """Nats per held-out event under the law that made the records."""
    batch = load_batch(store, make_windows(store, store.rows_of("held_out"), 64))
    code = [CODES.index(name) if name in CODES else -1 for name in store.vocabulary.codes]
    total, events = 0.0, 0
    for row, at in (batch.target > 0).nonzero().tolist():
        state, days = code[int(batch.tokens[row, at])], int(batch.gaps[row, at]) // 1440
        silent = math.log(1 - RATES[state])
        if batch.target[row, at] == EVENT:
            following = code[int(batch.next_tokens[row, at])]
            total -= math.log(RATES[state]) + (days - 1) * silent + math.log(NEXT[state][following - A])
            events += 1
        elif batch.target[row, at] == CENSORED:
            total -= days * silent
    return total / events


def survival(folder: Path, store: TokenStore, state: int, days: int) -> float:
    """The model's P(gap > days) after ``state``, over held-out histories."""
    model = load_model(folder)
    batch = load_batch(store, make_windows(store, store.rows_of("held_out"), 64))
    at = batch.tokens == store.vocabulary.index[CODES[state]]
    with torch.no_grad():
        hidden = model.hidden(batch.tokens, batch.ages, batch.statics, {})[0][at]
        found = model.bins.log_survival(model.when(hidden), torch.full((len(hidden),), days + 1))
    return float(found.exp().mean())


def test_the_likelihood_approaches_that_of_the_law(world: Path) -> None:
    store = TokenStore(world / "whole" / "tokens")
    truth = true_nats(store)
    found = likelihood(world / "whole" / "model", world / "whole" / "tokens")["total"]
    assert -0.005 * truth < found - truth < 0.01 * truth
    deaf = likelihood(world / "deaf" / "model", world / "whole" / "tokens")["total"]
    assert deaf - truth > 2 * (found - truth)


@pytest.mark.parametrize("state", [A, C])
def test_the_gap_law_is_recovered_only_if_silence_is_scored(world: Path, state: int) -> None:
    store = TokenStore(world / "whole" / "tokens")
    truth = (1 - RATES[state]) ** 180
    assert survival(world / "whole" / "model", store, state, 180) == pytest.approx(truth, abs=0.04)
    if state == C:  # the slowest state, whose silences are cut most
        assert survival(world / "deaf" / "model", store, state, 180) < truth - 0.08


def test_the_risks_of_a_trained_model_are_those_of_the_world(world: Path, tmp_path: Path) -> None:
    task = "outcomes:\n  d: {codes: X//D}\nprediction: {years_after_entry: 1}\nhorizons_years: [0.9]\n"
    (tmp_path / "task.yaml").write_text(task)
    store = TokenStore(world / "whole" / "tokens")
    law, days, truth = KnownLaw(), round(0.9 * 365.25), []
    forecast(
        world / "whole" / "model",
        world / "whole" / "tokens",
        tmp_path / "risk",
        task=tmp_path / "task.yaml",
        config=ForecastConfig(estimator="reach", paths=16),
    )
    table = pl.read_parquet(tmp_path / "risk" / "risk.parquet")
    rows = {int(subject): row for row, subject in enumerate(store.subject_ids)}
    known: dict[tuple[int, int], float] = {}
    for subject in table["subject_id"].to_list():
        codes, minutes = store.record(rows[subject])
        last = int(np.searchsorted(minutes, 365.25 * 1440, side="right")) - 1
        key = (CODES.index(store.vocabulary.codes[codes[last]]), int(365.25 - minutes[last] / 1440))
        if key not in known:
            known[key] = known_law.exact_risk(law, key[0], days, key[1], D)
        truth.append(known[key])
    assert float(table["risk"].mean()) == pytest.approx(np.mean(truth), rel=0.1)  # type: ignore[arg-type]
    assert np.corrcoef(table["risk"].to_numpy(), truth)[0, 1] > 0.5
