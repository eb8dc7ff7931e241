from __future__ import annotations

import pytest

from proband.train.config import TrainConfig
from proband.train.optimizer import make_optimizer, rate_at
from small_world import random_model

CONFIG = TrainConfig(learning_rate=2.0, warm_up=0.2)


def test_the_rate_rises_then_falls_to_a_twentieth() -> None:
    assert rate_at(0.1, CONFIG) == pytest.approx(1.0)
    assert rate_at(0.2, CONFIG) == pytest.approx(2.0)
    assert rate_at(0.6, CONFIG) == pytest.approx(2.0 * (0.05 + 0.95 / 2))
    assert rate_at(1.0, CONFIG) == pytest.approx(0.1)
    assert rate_at(0.0, CONFIG) > 0
    rates = [rate_at(0.2 + 0.8 * k / 50, CONFIG) for k in range(51)]
    assert rates == sorted(rates, reverse=True)
    assert rate_at(0.0, TrainConfig(warm_up=0.0, learning_rate=2.0)) == pytest.approx(2.0)


def test_matrices_decay_and_vectors_do_not() -> None:
    model = random_model()
    groups = make_optimizer(model, CONFIG).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(parameter.ndim >= 2 for parameter in groups[0]["params"])
    assert all(parameter.ndim < 2 for parameter in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_peak_rate_is_the_presets_unless_given() -> None:
    assert TrainConfig(preset="small").peak_rate == 1e-3
    assert CONFIG.peak_rate == 2.0
