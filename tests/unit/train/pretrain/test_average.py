from __future__ import annotations

import torch
from torch import nn

from proband.train.pretrain.average import DECAY, WeightAverage


def model_at(value: float) -> nn.Linear:
    model = nn.Linear(2, 3)
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


def test_the_mean_follows_the_weights_with_hand_numbers() -> None:
    model = model_at(0.0)
    average = WeightAverage(model)
    nn.init.constant_(model.weight, 11.0)
    average.update(1)  # decay (1 + 1) / (10 + 1)
    assert torch.allclose(average.values["weight"], torch.full((3, 2), 11.0 * 9 / 11))
    assert torch.equal(average.values["bias"], torch.zeros(3))
    average.update(1_000_000)  # decay 0.99
    expected = DECAY * 9.0 + (1 - DECAY) * 11.0
    assert torch.allclose(average.values["weight"], torch.full((3, 2), expected))


def test_noise_of_single_steps_leaves_the_mean() -> None:
    model, generator = model_at(0.0), torch.Generator().manual_seed(0)
    average = WeightAverage(model)
    for step in range(1, 3000):
        with torch.no_grad():
            model.weight.copy_(5.0 + torch.randn(3, 2, generator=generator))
        average.update(step)
    assert (average.values["weight"] - 5.0).abs().max() < 0.3  # sd 0.07; a single step's is 1


def test_in_place_gives_the_model_the_mean_and_its_own_weights_back_to_the_bit() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 4)
    average = WeightAverage(model)
    mean = average.values["weight"].clone()
    nn.init.normal_(model.weight)
    own = model.weight.detach().clone()
    try:
        with average.in_place():
            assert torch.equal(model.weight, mean)
            raise RuntimeError("an evaluation that fails")
    except RuntimeError:
        pass
    assert torch.equal(model.weight, own)
    assert torch.equal(average.values["weight"], mean)
