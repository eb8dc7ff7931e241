from __future__ import annotations

from typing import Any

import pytest
import torch

from proband.core.batch import EVENT, Batch
from proband.model.next_event.clock import Moment
from proband.model.transformer import Proband
from proband.model.trunk import width
from proband.train.config import TrainConfig
from proband.train.pretrain.optimizer import make_optimizer, rate_at
from small_world import GENOME, batch_of, model_config, random_model, states

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
    matrices, vectors, wide = make_optimizer(model, CONFIG).param_groups
    assert [group["weight_decay"] for group in (matrices, vectors, wide)] == [0.1, 0.0, 0.1]
    assert all(parameter.ndim >= 2 for parameter in (*wide["params"], *matrices["params"]))
    assert all(parameter.ndim < 2 for parameter in vectors["params"])
    grouped = [id(parameter) for group in (wide, matrices, vectors) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("fusion", ["prefix", "adapter", "cross_attention"])
def test_the_rate_falls_with_width_where_inputs_grow_with_it(fusion: str) -> None:
    extra: dict[str, Any] = {"fusion": fusion, "modalities": GENOME}
    narrow, broad = (random_model(dim=dim, num_heads=dim // 32, **extra) for dim in (96, 192))
    config = CONFIG.model_copy(update={"dim": 192})
    *others, wide = make_optimizer(broad, config).param_groups
    assert wide["scale"] == 0.5
    assert wide["scale"] * wide["weight_decay"] == config.weight_decay  # the decay per step stays
    assert [group["scale"] for group in others] == [1.0, 1.0]
    assert {group["scale"] for group in make_optimizer(narrow, CONFIG).param_groups} == {1.0}
    names = {id(parameter): name for name, parameter in broad.named_parameters()}
    scaled = {names[id(parameter)] for parameter in wide["params"]}
    shapes = {name: parameter.shape for name, parameter in narrow.named_parameters()}
    for name, parameter in broad.named_parameters():
        grown = parameter.ndim == 2 and parameter.shape[1] > shapes[name][1]
        # A table of vectors has the shape of a layer that reads the stream, but is looked up, not summed.
        looked_up = any(part in name for part in ("embedding", "gap", "leading", "absent"))
        assert (name in scaled) == (grown and not looked_up), name


def records() -> Batch:
    """Sixteen random records of 30 codes, scored everywhere."""
    draw = torch.Generator().manual_seed(0)
    gaps = torch.randint(0, 900, (16, 11), generator=draw)
    tokens = torch.randint(2, 32, (16, 12), generator=draw).tolist()
    ages = torch.nn.functional.pad(gaps, (1, 0)).cumsum(1).tolist()
    return batch_of(
        tokens,
        ages,
        target=[[EVENT] * 11 + [0]] * 16,
        next_tokens=[[*row[1:], 0] for row in tokens],
        gaps=[[*row, 0] for row in gaps.tolist()],
    )


def movement(dim: int, batch: Batch) -> tuple[float, float]:
    """How far six steps move the residual stream and the logits of codes, root mean square."""
    torch.manual_seed(0)
    config = TrainConfig(dim=dim)
    shape = model_config(dim=dim, num_heads=dim // 32, vocabulary_size=32)
    model = Proband(shape, torch.zeros(32, dtype=torch.bool))
    optimizer = make_optimizer(model, config)
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * group["scale"]
    gap, seen = torch.zeros(16, dtype=torch.int64), torch.zeros(16, 32, dtype=torch.bool)
    moment = Moment(batch.ages[:, -1], torch.zeros(16), batch.statics)

    def look() -> tuple[torch.Tensor, torch.Tensor]:
        state = states(model, batch)
        return state, model.log_codes(state[:, -1], gap, seen, moment).detach()[:, 2:]

    before = look()
    for _ in range(6):
        optimizer.zero_grad()
        model(batch).mean.backward()
        optimizer.step()
    moved = [float((new - old).square().mean().sqrt()) for old, new in zip(before, look(), strict=True)]
    return moved[0], moved[1]


def test_learning_moves_activations_as_far_at_every_width(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = records()
    narrow, middle, broad = (movement(dim, batch) for dim in (96, 192, 384))
    for moved in (middle, broad):
        assert moved[0] == pytest.approx(narrow[0], rel=0.35)
        assert moved[1] == pytest.approx(narrow[1], rel=0.15)
    monkeypatch.setattr(width, "BASE_WIDTH", 384)  # as if 384 needed no scaling
    unscaled = movement(384, batch)
    assert unscaled[0] > 3 * narrow[0]
    assert unscaled[1] > 1.3 * narrow[1]
