"""Every mode starts at the pretrained trunk and ends in plain weights."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch
from torch import nn

from proband.model.trunk.width import WideLinear
from proband.train.finetune.choices import MODES
from small_world import HISTORY, random_model, states

PEFT = Path(__file__).parents[3] / "reference" / "finetune_modes.tsv"


@pytest.mark.parametrize("name", list(MODES))
def test_nothing_changes_until_it_is_trained(name: str) -> None:
    model, mode = random_model(), MODES[name]()
    before, keys = states(model, HISTORY), model.state_dict().keys()
    model.requires_grad_(False)
    mode.prepare(model, 4)
    assert torch.allclose(states(model, HISTORY), before, atol=1e-6)
    assert any(parameter.requires_grad for parameter in model.parameters()) == mode.changes_trunk
    mode.finish(model)
    assert model.state_dict().keys() == keys
    assert torch.allclose(states(model, HISTORY), before, atol=1e-6)


@pytest.mark.parametrize("name", ["adapters", "lora"])
def test_what_was_trained_is_kept_in_the_weights(name: str) -> None:
    model, mode = random_model(), MODES[name]()
    before, fixed = states(model, HISTORY), model.embedding.tokens.weight.clone()
    model.requires_grad_(False)
    mode.prepare(model, 2)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    trained = states(model, HISTORY)
    assert not torch.allclose(trained, before, atol=1e-3)
    mode.finish(model)
    assert torch.allclose(states(model, HISTORY), trained, atol=1e-5)
    assert torch.equal(model.embedding.tokens.weight, fixed)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def waves(rows: int, columns: int, start: float) -> torch.Tensor:
    return torch.sin(start + torch.arange(1, rows * columns + 1, dtype=torch.float64)).view(rows, columns)


@pytest.mark.parametrize("name", ["adapters", "lora"])
def test_a_matrix_is_trained_as_peft_trains_it(name: str) -> None:
    """Three steps from the matrices of tests/reference/make/finetune_modes.py."""
    layer = WideLinear(5, 3, bias=False, dtype=torch.float64)
    layer.weight.data = waves(3, 5, 0.0)
    model, mode = random_model(), MODES[name]()
    model.blocks = nn.ModuleList([layer])
    model.requires_grad_(False)
    mode.prepare(model, 2)
    if name == "lora":
        layer.parametrizations.weight[0].down.data = waves(2, 5, 0.3)
    steps = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.5)
    for _ in range(3):
        steps.zero_grad()
        (layer(waves(7, 5, 0.6)) - waves(7, 3, 0.9)).square().mean().backward()
        steps.step()
    mode.finish(model)
    theirs = pl.read_csv(PEFT, separator="\t").filter(mode=name)["weight"].to_torch().view(3, 5)
    assert (layer.weight - waves(3, 5, 0.0)).abs().max() > 0.1
    torch.testing.assert_close(layer.weight.detach(), theirs, rtol=0, atol=1e-9)
