"""Every mode starts at the pretrained trunk and ends in plain weights."""

from __future__ import annotations

import pytest
import torch

from proband.train.finetune.choices import MODES
from small_world import HISTORY, random_model, states


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
