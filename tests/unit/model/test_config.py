from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from proband.core.errors import ConfigError
from proband.model.config import PRESETS, ModelConfig, preset
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


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="depht"):
        ModelConfig(vocabulary_size=8, depht=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"unknown preset.*found huge.*tiny or small or base"):
        preset("huge")


@pytest.mark.parametrize(("name", "millions"), [("tiny", 0.5), ("small", 3)])
def test_presets_have_the_size_they_claim(name: str, millions: float) -> None:
    model = Proband(model_config(**PRESETS[name]), torch.zeros(8, dtype=torch.bool))
    blocks = sum(parameter.numel() for parameter in model.blocks.parameters())
    assert blocks == pytest.approx(millions * 1e6, rel=0.15)


def test_a_preset_can_be_changed_without_changing_it_for_all() -> None:
    preset("tiny")["depth"] = 99
    assert preset("tiny")["depth"] == PRESETS["tiny"]["depth"] != 99
