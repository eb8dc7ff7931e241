from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from proband.explain import explain
from proband.explain.attribution.attention import NOTHING, attention_frame
from proband.explain.config import ExplainConfig
from proband.explain.inputs import Asked, read_asked
from proband.explain.tables import ATTENTION
from proband.forecast.job import one_thread
from proband.model.checkpoint import save_model
from proband.model.fusion.cross_attention import CrossAttention
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import modality_files
from small_world import GENOME
from valued_world import with_onset


@pytest.fixture(scope="module")
def attending(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose blocks attend to the genome."""
    store = TokenStore(world / "tokens")
    folder = tmp_path_factory.mktemp("attending")
    model = with_onset(store, fusion="cross_attention", modalities=GENOME)
    save_model(model, folder, store.vocabulary.hash)
    return folder


@pytest.fixture(scope="module")
def asked(world: Path, attending: Path) -> Asked:
    files = modality_files(world / "genome")
    return read_asked(attending, world / "tokens", files, world / "task.yaml", ExplainConfig(split="train"))


def test_shares_sum_to_one_at_every_position_up_to_the_prediction(asked: Asked) -> None:
    index = np.arange(min(6, len(asked.points.rows)))
    with one_thread():
        frame = attention_frame(asked, index)
    key = ["subject_id", "prediction_time", "block", "position"]
    sums = frame.group_by(key).agg(pl.col("share").sum(), pl.col("modality").unique().sort())
    assert sums["share"].to_list() == pytest.approx([1.0] * sums.height, abs=1e-5)
    assert sums["modality"].to_list() == [sorted([NOTHING, *GENOME])] * sums.height
    for at in index:
        row, until = int(asked.points.rows[at]), int(asked.points.start[at])
        own = frame.filter(subject_id=asked.points.frame["subject_id"][int(at)])
        tokens, ages = asked.store.history(row, until)
        assert own["position"].n_unique() == min(len(tokens), asked.model.config.context)
        assert own["age_years"].max() == pytest.approx(ages[-1] / 525_960)


def test_weights_are_those_by_which_the_layer_reads(asked: Asked) -> None:
    torch.manual_seed(0)
    layer = next(one for one in asked.model.fusion.layers if isinstance(one, CrossAttention))
    heads, dim = layer.num_heads, asked.model.config.dim
    keys, values = torch.randn(2, 1, heads, 4, dim // heads)
    since = torch.tensor([[0, 0, 0, 500]])
    prepared = (keys, values, since, torch.full((1, 4), 10_000))
    x, ages = torch.randn(1, 3, dim), torch.tensor([[0, 100, 600]])
    with torch.no_grad():
        weights = layer.weights(x, ages, prepared)
        read = (weights @ values).transpose(1, 2).flatten(2)
        assert torch.allclose(x + layer.gate.tanh() * layer.output(read), layer(x, ages, prepared), atol=1e-5)
    assert torch.equal(weights[0, :, :2, 3], torch.zeros(heads, 2))  # not known at ages 0 and 100
    assert (weights[0, :, 2, 3] > 0).all()
    assert weights.shape == (1, heads, 3, 4)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(1, heads, 3))


def test_a_model_of_another_fusion_has_no_rows(world: Path) -> None:
    files = modality_files(world / "genome")
    config = ExplainConfig(split="train")
    other = read_asked(world / "model_genome", world / "tokens", files, world / "task.yaml", config)
    assert attention_frame(other, np.arange(2)).is_empty()


def test_the_stage_writes_what_was_read_closely(world: Path, attending: Path, tmp_path: Path) -> None:
    config = ExplainConfig(reread=2, donors=2, alignment="none")
    given = {"task": world / "task.yaml", "genome": world / "genome", "config": config}
    explain(attending, world / "tokens", tmp_path / "why", **given)
    frame = ATTENTION.read(tmp_path / "why" / "attention.parquet")
    assert frame.select("subject_id", "prediction_time").n_unique() == 2
