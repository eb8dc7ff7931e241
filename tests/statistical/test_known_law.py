"""A trained model on a world whose law is known: its likelihood, its gap law, its risks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
import torch

import known_law
from known_law import CODES, NEXT, A, C, D, Geometric, KnownLaw, Renewal
from proband.core.batch import CENSORED, EVENT
from proband.core.units import MINUTES_PER_DAY
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.model.checkpoint import load_model
from proband.model.next_event.clock import Moment
from proband.model.transformer import Proband
from proband.tokens import tokens
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows
from proband.train import likelihood, train
from proband.train.config import OnsetOptions, TrainConfig

YEARS = 2.0  # short, so that many a silence is cut by the end of follow-up
CONFIG = TrainConfig(
    depth=1,
    dim=32,
    num_heads=2,
    context=64,
    epochs=25,
    dropout=0.0,
    batch_tokens=512,
    learning_rate=2e-3,
    onset=OnsetOptions(enabled=False),
)
START, END = "OBSERVATION_PERIOD//START", "OBSERVATION_PERIOD//END"

pytestmark = pytest.mark.slow


def fit(folder: Path, events: pl.DataFrame, config: TrainConfig = CONFIG) -> None:
    """Train on ``events``; ``folder`` gets meds, tokens and model."""
    known_law.write_meds(events, folder / "meds")
    tokens(folder / "meds", folder / "tokens", workers=1)
    train(folder / "tokens", folder / "model", config=config)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: one told of the end of follow-up, and one for which records end with their last event."""
    root = tmp_path_factory.mktemp("law")
    events = known_law.simulate(6000, 0, YEARS)
    fit(root / "whole", events)
    fit(root / "deaf", events.filter(pl.col("code") != END))
    return root


@pytest.fixture(scope="module")
def renewal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a world whose gaps have memory, which takes more records to learn."""
    root = tmp_path_factory.mktemp("renewal")
    events = known_law.simulate(6000, 1, YEARS, Renewal)
    config = CONFIG.model_copy(update={"epochs": 40.0, "patience": 12})
    fit(root / "whole", events, config)
    fit(root / "deaf", events.filter(pl.col("code") != END), config)
    return root


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models of people who enter late: one told when, one that takes them as followed from birth, and
    one that does not know that they were silent between their last event and entry."""
    root = tmp_path_factory.mktemp("late")
    events = known_law.simulate(5000, 2, 3.0, entry_years=(1.0, 2.0))
    fit(root / "whole", events)
    at_birth = pl.when(pl.col("code") == START).then(known_law.START).otherwise("time")
    fit(
        root / "immortal",
        events.with_columns(time=at_birth.cast(pl.Datetime("us"))).sort("subject_id", "time"),
    )
    with patch.object(Proband, "_log_silence", lambda self, log_mass, *_: torch.zeros(len(log_mass))):
        fit(root / "unaware", events)
    return root


def true_nats(store: TokenStore, gaps: known_law.GapLaw = Geometric) -> float:
    """Nats per held-out event under the law that made the records."""
    batch = load_batch(store, make_windows(store, store.rows_of("held_out"), 64))
    code = [CODES.index(name) if name in CODES else -1 for name in store.vocabulary.codes]
    total, events = 0.0, 0
    for row, at in (batch.target > 0).nonzero().tolist():
        state, days = code[int(batch.tokens[row, at])], int(batch.gaps[row, at]) // 1440
        total += math.log(gaps.survival(state, int(batch.waited[row, at]) // 1440))
        if batch.target[row, at] == EVENT:
            following = code[int(batch.next_tokens[row, at])]
            total -= math.log(gaps.survival(state, days - 1) - gaps.survival(state, days))
            total -= math.log(NEXT[state][following - A])
            events += 1
        elif batch.target[row, at] == CENSORED:
            total -= math.log(gaps.survival(state, days))
    return total / events


class Histories(NamedTuple):
    """Held-out histories that end in one state, as a model reads them.

    Attributes:
        hidden: The model's state at the end.
        seen: Which codes each has had.
        ages, statics: Age at the end in minutes, and static codes.
    """

    hidden: torch.Tensor
    seen: torch.Tensor
    ages: torch.Tensor
    statics: torch.Tensor


def after(model: Proband, store: TokenStore, state: int) -> Histories:
    """Histories of held-out subjects up to each ``state``."""
    batch = load_batch(store, make_windows(store, store.rows_of("held_out"), 64))
    rows, positions = (batch.tokens == store.vocabulary.index[CODES[state]]).nonzero(as_tuple=True)
    seen = model.first_positions(batch.tokens, batch.seen_before)[rows] <= positions[:, None]
    with torch.no_grad():
        hidden = model.hidden(batch.tokens, batch.ages, batch.statics, {})[0][rows, positions]
    return Histories(hidden, seen, batch.ages[rows, positions], batch.statics[rows])


def survival(folder: Path, store: TokenStore, state: int, days: int) -> float:
    """The model's P(gap > days) after ``state``, over held-out histories."""
    model = load_model(folder)
    hidden = after(model, store, state).hidden
    with torch.no_grad():
        found = model.bins.log_survival(model.when(hidden), torch.full((len(hidden),), days + 1))
    return float(found.exp().mean())


def next_death(folder: Path, store: TokenStore, state: int) -> float:
    """The model's P(the next event is death) after ``state``, given that it comes after 60 days."""
    model = load_model(folder)
    read = after(model, store, state)
    days = torch.full((len(read.hidden),), 60)
    with torch.no_grad():
        log_wait = model.bins.log_wait(model.when(read.hidden), days)
        moment = Moment(read.ages + days * MINUTES_PER_DAY, log_wait, read.statics)
        found = model.log_codes(read.hidden, model.bins.bin_of(days), read.seen, moment)
    return float(found.exp()[:, store.vocabulary.death].mean())


@pytest.mark.parametrize(("name", "gaps"), [("world", Geometric), ("renewal", Renewal)])
def test_the_likelihood_approaches_that_of_the_law(
    name: str, gaps: known_law.GapLaw, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(name)
    truth = true_nats(TokenStore(root / "whole" / "tokens"), gaps)
    found = likelihood(root / "whole" / "model", root / "whole" / "tokens")["total"]
    assert -0.005 * truth < found - truth < 0.01 * truth
    deaf = likelihood(root / "deaf" / "model", root / "whole" / "tokens")["total"]
    assert deaf - truth > 2 * (found - truth)


@pytest.mark.parametrize("state", [A, C])
@pytest.mark.parametrize(("name", "gaps"), [("world", Geometric), ("renewal", Renewal)])
def test_the_gap_law_is_recovered_only_if_silence_is_scored(
    name: str, gaps: known_law.GapLaw, state: int, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(name)
    store = TokenStore(root / "whole" / "tokens")
    for days in (60, 120, 180):
        truth = gaps.survival(state, days)
        assert survival(root / "whole" / "model", store, state, days) == pytest.approx(truth, abs=0.04)
    if state == C:  # the slowest state, whose silences are cut most
        assert survival(root / "deaf" / "model", store, state, 180) < gaps.survival(state, 180) - 0.08


def test_late_entry_is_scored_by_what_could_be_seen(late: Path) -> None:
    store = TokenStore(late / "whole" / "tokens")
    truth = true_nats(store)
    found = {
        name: likelihood(late / name / "model", late / "whole" / "tokens")["total"]
        for name in ("whole", "unaware")
    }
    assert -0.005 * truth < found["whole"] - truth < 0.01 * truth
    assert found["unaware"] > found["whole"] + 0.01


def test_who_must_survive_to_enter_hides_deaths_from_a_model_not_told(late: Path) -> None:
    store = TokenStore(late / "whole" / "tokens")
    truth = NEXT[C][-1]
    assert next_death(late / "whole" / "model", store, C) == pytest.approx(truth, abs=0.04)
    assert next_death(late / "immortal" / "model", store, C) < truth - 0.05


def test_long_silences_are_met_more_often_at_entry_and_a_model_must_know(late: Path) -> None:
    store = TokenStore(late / "whole" / "tokens")
    truth = Geometric.survival(C, 180)
    assert survival(late / "whole" / "model", store, C, 180) == pytest.approx(truth, abs=0.04)
    assert survival(late / "unaware" / "model", store, C, 180) > truth + 0.06


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
