"""Integrated gradients: against hand-made functions, and of the trunk of a small model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from proband.core.files.manifest import read_manifest
from proband.explain import tables
from proband.explain.attribution import gradients, trunk
from proband.explain.attribution.baselines import drawn_genomes, drawn_tokens
from proband.explain.attribution.decomposition import bins_before
from proband.explain.attribution.gradients import integrated_gradients
from proband.explain.attribution.trunk import (
    Window,
    read,
    through_fusion,
    through_state,
    window_of,
)
from proband.explain.config import ExplainConfig
from proband.explain.inputs import Asked, read_asked
from proband.explain.tables import GRADIENTS
from proband.forecast.job import one_thread
from proband.tokens.modalities.modality import GENOME, modality_files
from proband.tokens.vocabulary import BIRTH_TOKEN

Run = Callable[..., Path]
FEW = 2


@pytest.fixture(autouse=True)
def few_baselines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(trunk, "BASELINES", FEW)
    monkeypatch.setattr(gradients, "_NODES", (16,))
    with one_thread():
        yield


@pytest.fixture(scope="module")
def asked(world: Path) -> Asked:
    files = modality_files(world / "genome")
    config = ExplainConfig(split="train")
    return read_asked(world / "model_both", world / "tokens", files, world / "task.yaml", config)


@pytest.fixture(scope="module")
def genotyped(asked: Asked) -> int:
    """A prediction of somebody with a genome and a record."""
    length = asked.store.history_lengths(asked.points.rows, asked.points.start)
    known = asked.tables[GENOME].observed[asked.points.rows] & (length > 4) & ~asked.prevalent.any(axis=1)
    return int(np.flatnonzero(known)[0])


@settings(max_examples=20)
@given(weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3), seed=st.integers(0, 99))
def test_of_a_function_known_by_hand(weights: list[float], seed: int) -> None:
    """f = w x + x0 x1, whose integral along a path is w d + (mean of x1) d0 + (mean of x0) d1."""
    rng = np.random.default_rng(seed)
    x, baselines = torch.from_numpy(rng.normal(size=3)), torch.from_numpy(rng.normal(size=(5, 3)))

    def function(points: Tensor) -> Tensor:
        plain = points @ torch.tensor(weights, dtype=points.dtype)
        return torch.stack([plain + points[:, 0] * points[:, 1], torch.ones(len(points)).to(points)], dim=1)

    found = integrated_gradients(function, x, baselines)
    step, middle = (x - baselines).numpy(), ((x + baselines) / 2).numpy()
    by_hand = np.array(weights) * step
    by_hand[:, 0] += middle[:, 1] * step[:, 0]
    by_hand[:, 1] += middle[:, 0] * step[:, 1]
    assert found.values[0] == pytest.approx(by_hand.mean(axis=0), abs=1e-9)
    assert not found.values[1].any()
    assert found.error < 1e-9


def test_codes_sum_to_what_the_state_changes(asked: Asked, genotyped: int) -> None:
    window = window_of(asked, genotyped)
    found = through_state(asked, genotyped, window, 0)
    tokens = window.batch.tokens.numpy()
    others = drawn_tokens(asked, (FEW, tokens.shape[1]), 0, 0, genotyped)
    others[:, tokens[0] <= BIRTH_TOKEN] = BIRTH_TOKEN
    own, baselines = (_log_hazard(asked, window, genotyped, one) for one in (tokens, others))
    difference = own[0] - baselines.mean(axis=0)
    assert np.abs(difference).max() > 1e-3
    assert found.values[0].sum(axis=1) == pytest.approx(difference, rel=0.05, abs=2e-3)
    assert found.items == list(dict.fromkeys(found.items))


def _log_hazard(asked: Asked, window: Window, point: int, tokens: np.ndarray) -> np.ndarray:
    """Log hazards just before the horizon of records of these codes, the summary held."""
    queries = asked.queries(asked.store, asked.points.rows[[point]], asked.points.start[[point]])
    state = read(asked, window.batch, vectors=asked.model.embedding.tokens(torch.from_numpy(tokens)))
    query = replace(queries.batch(np.zeros(len(tokens), dtype=np.int64)), state=state)
    last = int(bins_before(asked.horizons_years)[-1])
    return asked.head.calibrated(query)[:, list(asked.tasks), last].detach().double().numpy()


def test_own_vectors_give_the_state_that_hazards_read(asked: Asked, genotyped: int) -> None:
    window = window_of(asked, genotyped)
    state = read(asked, window.batch, vectors=asked.model.embedding.tokens(window.batch.tokens))
    rows, start = asked.points.rows[[genotyped]], asked.points.start[[genotyped]]
    expected = asked.queries(asked.store, rows, start).state
    assert state.detach().numpy() == pytest.approx(expected, abs=0.05)  # products may be in bfloat16


def test_scores_sum_to_what_the_fusion_changes_and_an_unread_score_gets_nothing(
    asked: Asked, genotyped: int
) -> None:
    encoder = asked.model.fusion.encoders[GENOME]
    before = encoder.values.weight.detach().clone()
    with torch.no_grad():
        encoder.values.weight[:, 1] = 0
    found = through_fusion(asked, genotyped, window_of(asked, genotyped), 0)
    with torch.no_grad():
        encoder.values.weight.copy_(before)
    assert found.items == ["PGS1", "PGS2", "PGS3"]
    assert found.error <= 0.02
    assert np.abs(found.values[..., 1]).max() < 1e-7
    assert np.abs(found.values[..., [0, 2]]).max() > 1e-5


def test_baselines_are_of_train_subjects(asked: Asked) -> None:
    rows = np.flatnonzero((asked.store.subjects["split"] == "train").to_numpy())
    seen = {int(token) for row in rows for token in asked.store.record(int(row))[0][1:]}
    drawn = drawn_tokens(asked, (50, 40), 0, 0, 0)
    assert set(np.unique(drawn).tolist()) <= seen
    assert len(np.unique(drawn)) > 3
    assert (drawn_tokens(asked, (50, 40), 0, 1, 0) != drawn).any()
    assert (drawn_tokens(asked, (50, 40), 0, 0, 0) == drawn).all()
    late = np.full(len(rows), np.iinfo(np.int64).max)
    genomes = asked.tables[GENOME].values_by(rows, late)
    one = drawn_genomes(asked, 3, 0, 0, 0).numpy()
    assert all((np.abs(genomes - row).max(axis=1) == 0).any() for row in one)


def test_the_stage_writes_them(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(config={"gradients": 2, "reread": 3})
    found = GRADIENTS.read(out / "gradients.parquet")
    notes = read_manifest(out, "explain")["notes"]["gradients"]
    assert found.select("subject_id", "prediction_time").unique().height == 2
    assert set(found["through"]) <= {"state", "fusion"}
    assert 0 <= notes["completeness_error"] <= 0.05
    assert -1 <= notes["with_left_out_correlation"] <= 1
    assert "completeness error at most" in capsys.readouterr().err
    codes = tables.WITHOUT.read(out / "without.parquet")
    own = found.filter(through="state").rename({"item": "code"})
    key = ["subject_id", "prediction_time", "outcome", "code"]
    assert own.join(codes, on=key, how="anti").is_empty()
    assert own.select(pl.col("gradient").abs().max()).item() > 0


def test_they_are_made_only_where_asked_for(run: Run) -> None:
    assert not (run() / "gradients.parquet").exists()
