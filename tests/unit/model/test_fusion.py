from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from proband.core.batch import CENSORED, EVENT, ModalityInput
from proband.model.checkpoint import load_model, save_model
from proband.model.choices import FUSIONS
from proband.model.config import ModelConfig
from proband.model.fusion.adapter import AdapterFusion
from proband.model.fusion.layer import FusionLayer, PassThrough
from proband.model.transformer import Proband
from small_world import (
    AGES,
    DAY,
    GENOME,
    HISTORY,
    PANEL,
    TOKENS,
    batch_of,
    model_config,
    random_model,
    states,
)

SCORED = batch_of(
    TOKENS,
    AGES,
    statics=[[1], [2]],
    target=[[0, EVENT, EVENT, EVENT, EVENT, CENSORED], [EVENT, EVENT, EVENT]],
    next_tokens=[[0, 3, 2, 6, 4], [5, 5, 7]],
    gaps=[[0, 0, 3100, 1, 4999, 2000], [30, 1, 19969]],
)
VALUES = torch.tensor([[0.5, -1.0, 2.0], [1.0, float("nan"), 0.0]])
EVERY_FUSION = pytest.mark.parametrize("fusion", ["prefix", "adapter", "cross_attention"])


def genome(values: torch.Tensor = VALUES, observed: list[bool] | None = None) -> dict[str, ModalityInput]:
    return {"genome": ModalityInput.from_birth(values, torch.tensor(observed or [True, True]))}


def panel(
    days: list[int], values: list[float], observed: list[bool] | None = None
) -> dict[str, ModalityInput]:
    flags, minutes = torch.tensor(observed or [True, True])[:, None], torch.tensor(days)[:, None] * DAY
    return {"panel": ModalityInput(torch.tensor(values)[:, None, None], flags, minutes)}


def fresh(**changes: object) -> Proband:
    torch.manual_seed(5)
    return Proband(model_config(**changes), torch.zeros(8, dtype=torch.bool)).eval()


@EVERY_FUSION
@pytest.mark.parametrize("encoder", ["mlp", "set"])
def test_every_fusion_equals_none_at_step_zero_to_the_bit(fusion: str, encoder: str) -> None:
    modalities = {"genome": GENOME["genome"].model_copy(update={"encoder": encoder})} | PANEL
    none, fused = fresh(), fresh(fusion=fusion, modalities=modalities)
    given = genome() | panel([900, 0], [1.0, 2.0])
    assert torch.equal(states(none, HISTORY), states(fused, replace(HISTORY, modalities=given)))
    with torch.no_grad():
        assert none(SCORED).mean == fused(replace(SCORED, modalities=given)).mean


@EVERY_FUSION
@pytest.mark.parametrize("encoder", ["mlp", "set"])
def test_no_fusion_is_stuck_at_its_start(fusion: str, encoder: str) -> None:
    modalities = {"genome": GENOME["genome"].model_copy(update={"encoder": encoder})}
    model = fresh(fusion=fusion, modalities=modalities)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batch = replace(SCORED, modalities=genome())
    for _ in range(3):
        optimizer.zero_grad()
        model(batch).mean.backward()
        optimizer.step()
    found = states(model, batch) - states(model, replace(SCORED, modalities=genome(VALUES + 3)))
    assert found[0].abs().max() > 1e-6
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@EVERY_FUSION
def test_without_a_genome_it_stays_a_valid_model(fusion: str) -> None:
    model = random_model(fusion=fusion, modalities=GENOME)
    absent = replace(HISTORY, modalities=genome(torch.full((2, 3), float("nan")), [False, False]))
    assert torch.isfinite(states(model, absent)).all()
    assert torch.equal(states(model, absent), states(model, HISTORY))  # not given = absent for all
    seen = states(model, replace(HISTORY, modalities=genome()))
    assert not torch.allclose(states(model, absent)[0], seen[0], atol=1e-3)


@EVERY_FUSION
def test_the_genome_of_one_subject_does_not_reach_another(fusion: str) -> None:
    model = random_model(fusion=fusion, modalities=GENOME)
    other = VALUES.clone()
    other[0] += 3
    found = states(model, replace(HISTORY, modalities=genome(other)))
    expected = states(model, replace(HISTORY, modalities=genome()))
    assert torch.equal(found[1], expected[1])
    assert ((found[0] - expected[0]).abs().amax(-1) > 1e-4).all()  # and it reaches all of its own positions


@EVERY_FUSION
def test_exchanged_genomes_change_the_likelihood(fusion: str) -> None:
    model = random_model(fusion=fusion, modalities=GENOME)
    with torch.no_grad():
        own = model(replace(SCORED, modalities=genome())).mean
        exchanged = model(replace(SCORED, modalities=genome(VALUES[[1, 0]]))).mean
    assert abs(float(own - exchanged)) > 1e-3


@EVERY_FUSION
@pytest.mark.parametrize("day", [1, 900, 4001])
def test_a_measurement_reaches_only_positions_from_its_time_on(fusion: str, day: int) -> None:
    model = random_model(fusion=fusion, modalities=PANEL)
    low, high = (
        states(model, replace(HISTORY, modalities=panel([day, 0], [value, 1.0]))) for value in (-2.0, 2.0)
    )
    changed = (low - high).abs().amax(-1)[0]
    after = torch.tensor([age >= day for age in AGES[0]])
    assert (changed[~after] == 0).all()
    assert (changed[after] > 1e-4).all()
    nothing = states(model, replace(HISTORY, modalities=panel([day, 0], [0.0, 1.0], [False, True])))
    assert torch.equal(nothing[1], low[1])


@EVERY_FUSION
def test_the_time_of_a_measurement_not_made_tells_nothing(fusion: str) -> None:
    model = random_model(fusion=fusion, modalities=PANEL)
    found = [
        states(model, replace(HISTORY, modalities=panel([day, 0], [0.0, 1.0], [False, True])))
        for day in (5, 4000)
    ]
    assert torch.equal(*found)


@EVERY_FUSION
def test_modalities_side_by_side_each_count(fusion: str) -> None:
    model = random_model(fusion=fusion, modalities=GENOME | PANEL)
    both = genome() | panel([900, 0], [1.0, 2.0])
    all_in = states(model, replace(HISTORY, modalities=both))
    for name in both:
        rest = {other: item for other, item in both.items() if other != name}
        assert not torch.allclose(states(model, replace(HISTORY, modalities=rest)), all_in, atol=1e-3)


@EVERY_FUSION
def test_who_is_measured_later_looks_like_who_never_is(fusion: str) -> None:
    model = random_model(fusion=fusion, modalities=PANEL)
    later = states(model, replace(HISTORY, modalities=panel([4000, 31], [1.0, 1.0])))
    never = states(model, HISTORY)
    for row, length in ((0, 3), (1, 2)):  # tokens before days 4000 and 31
        assert torch.allclose(later[row, :length], never[row, :length], atol=1e-5)
        assert ((later[row, length:] - never[row, length:]).abs().amax(-1) > 1e-3)[: 4 - length].all()


@EVERY_FUSION
def test_the_newest_measurement_counts(fusion: str) -> None:
    model = random_model(fusion=fusion, modalities=PANEL)

    def measured(*made: tuple[int, float]) -> torch.Tensor:
        days, values = (torch.tensor(part) for part in zip(*made, strict=True))
        flags = torch.ones(2, len(made), dtype=torch.bool)
        item = ModalityInput(values[:, None].expand(2, -1, -1), flags, (days * DAY).expand(2, -1))
        return states(model, replace(HISTORY, modalities={"panel": item}))[0]

    both, first, second = measured((900, 1.0), (4001, -2.0)), measured((900, 1.0)), measured((900, -2.0))
    assert torch.allclose(both[:4], first[:4], atol=1e-5)  # days 0, 900, 900 and 4000
    assert ((both[4:] - first[4:]).abs().amax(-1) > 1e-3).all()
    assert not torch.allclose(both[4:], second[4:], atol=1e-3)  # the past of the stream was another


def test_a_new_fusion_is_one_class_and_one_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class LastBlockFusion(AdapterFusion):
        def layer(self, config: ModelConfig, number: int) -> FusionLayer:
            return super().layer(config, number) if number == config.depth - 1 else PassThrough()

    with pytest.raises(ValidationError, match="no such fusion; there are none, prefix, adapter, cross_att"):
        model_config(fusion="last", modalities=GENOME)
    monkeypatch.setitem(FUSIONS, "last", LastBlockFusion)
    model = random_model(fusion="last", modalities=GENOME)
    save_model(model, tmp_path, "a" * 64)
    given = replace(HISTORY, modalities=genome())
    found = states(load_model(tmp_path), given)
    assert torch.equal(found, states(model, given))
    assert not torch.equal(found, states(model, HISTORY))
