from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from proband.core.errors import ConfigError
from proband.model.config import PRESETS, ModelConfig, OnsetTask, preset, size_of
from proband.model.next_event.gaps import fit_gap_edges
from proband.model.transformer import Proband
from small_world import GENOME, model_config


@pytest.mark.parametrize(("dim", "heads"), [(16, 3), (24, 4)])
def test_width_must_fit_the_heads(dim: int, heads: int) -> None:
    with pytest.raises(ConfigError, match=f"width does not fit the heads.*dim {dim}, {heads} heads"):
        model_config(dim=dim, num_heads=heads)


def test_fusion_and_modalities_belong_together() -> None:
    with pytest.raises(ConfigError, match=r"found fusion prefix, modalities none.*--genome"):
        model_config(fusion="prefix")
    with pytest.raises(ConfigError, match=r"found fusion none, modalities \['genome'\]"):
        model_config(modalities=GENOME)


@pytest.mark.parametrize("edges", [(2, 5), (1, 5, 5), (1, 9, 4)])
def test_gap_edges_must_make_bins(edges: tuple[int, ...]) -> None:
    message = rf"gap edges do not make bins.*found {', '.join(map(str, edges))}; expected ascending"
    with pytest.raises(ConfigError, match=message):
        model_config(gap_edges=edges)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="depht"):
        ModelConfig(vocabulary_size=8, depht=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"unknown preset.*found huge.*tiny or small or base or large"):
        preset("huge")


@pytest.mark.parametrize(
    ("name", "depth", "dim", "heads"),
    [("tiny", 4, 96, 3), ("small", 6, 192, 6), ("base", 12, 768, 12), ("large", 19, 1216, 19)],
)
def test_presets_are_depths(name: str, depth: int, dim: int, heads: int) -> None:
    assert preset(name) == {"depth": depth, "dim": dim, "num_heads": heads} == size_of(depth)._asdict()


def test_every_depth_has_a_size_that_works_and_grows() -> None:
    sizes = [size_of(depth) for depth in range(1, 25)]
    assert [size.dim for size in sizes] == sorted(size.dim for size in sizes)
    for size in sizes:
        width = model_config(**size._asdict()).head_dim
        assert width == (32 if size.dim < 512 else 64)
    assert size_of(10) == (10, 512, 8)  # where heads widen
    assert size_of(4, dim=192) == (4, 192, 6)
    assert size_of(4, dim=16, num_heads=2) == (4, 16, 2)
    assert size_of(1, dim=16).num_heads == 1


EDGES = fit_gap_edges(np.zeros(0, dtype=int), 1440)


def weights_of(name: str, vocabulary_size: int) -> tuple[int, int]:
    """All weights, and those of the blocks, without allocating them."""
    with torch.device("meta"):
        model = Proband(
            model_config(vocabulary_size=vocabulary_size, gap_edges=EDGES, **preset(name)),
            torch.zeros(vocabulary_size, dtype=torch.bool),
        )
    return tuple(sum(p.numel() for p in part.parameters()) for part in (model, model.blocks))  # type: ignore[return-value]


def test_the_table_of_sizes_in_the_docs_is_right() -> None:
    page = (Path(__file__).parents[3] / "docs" / "train.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|", page, re.MULTILINE
    )
    assert [row[0] for row in rows] == list(PRESETS)
    for name, *shape, blocks, whole in rows:
        assert [int(number) for number in shape] == list(preset(name).values())
        counted = weights_of(name, 2000)
        for shown, number in zip((whole, blocks), counted, strict=True):
            assert float(shown) == pytest.approx(number / 1e6, rel=0.01)


def test_a_first_occurrence_is_written_without_a_horizon() -> None:
    onset, label = OnsetTask(name="a", tokens=(2, 3)), OnsetTask(name="b", tokens=(), horizon_years=0.5)
    assert onset.model_dump(mode="json") == {"name": "a", "tokens": [2, 3]}
    for task in (onset, label):
        assert OnsetTask.model_validate(task.model_dump(mode="json")) == task
