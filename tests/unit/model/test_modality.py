from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from proband.core.batch import ModalityInput
from proband.core.errors import CheckpointError
from proband.model.checkpoint import load_model, save_model
from proband.model.config import ModalityConfig
from proband.model.modality import ENCODERS, ModalityEncoder
from proband.model.modality.pooled_set import SetEncoder
from small_world import random_model

NAN = float("nan")


KINDS = pytest.mark.parametrize("kind", sorted(ENCODERS))


def encoder(kind: str = "mlp", **changes: float) -> ModalityEncoder:
    torch.manual_seed(0)
    made = ENCODERS[kind](ModalityConfig(width=3, hidden=8, **changes), 2, 4, zero_init=True)
    torch.nn.init.normal_(made.output.weight)
    torch.nn.init.constant_(made.absent, 7.0)
    return made


def item(*rows: list[float], observed: list[bool] | None = None) -> ModalityInput:
    return ModalityInput.from_birth(torch.tensor(rows), torch.tensor(observed or [True] * len(rows)))


@KINDS
def test_latents_start_at_zero_if_asked(kind: str) -> None:
    for zero_init in (True, False):
        fresh = ENCODERS[kind](ModalityConfig(width=3), 2, 4, zero_init=zero_init).eval()
        found = fresh(item([1.0, 2.0, NAN], [0.0, 0.0, 0.0], observed=[True, False]))
        assert ((found == 0) if zero_init else (found != 0)).all()


@KINDS
def test_standardised_values_are_what_counts(kind: str) -> None:
    plain, scaled = encoder(kind).eval(), encoder(kind).eval()
    scaled.standardise_with(torch.tensor([10.0, -5.0, 0.0]), torch.tensor([2.0, 100.0, 1.0]))
    assert torch.allclose(plain(item([1.0, -2.0, 3.0])), scaled(item([12.0, -205.0, 3.0])), atol=1e-6)


@KINDS
def test_a_constant_or_never_seen_score_is_switched_off(kind: str) -> None:
    made = encoder(kind).eval()
    made.standardise_with(torch.tensor([5.0, NAN, 0.0]), torch.tensor([0.0, NAN, 1.0]))
    assert torch.equal(made(item([5.0, 1.0, 1.0])), made(item([9.0, -80.0, 1.0])))


@KINDS
def test_missing_is_not_the_same_as_average(kind: str) -> None:
    made = encoder(kind).eval()
    found = made(item([NAN, 1.0, 1.0], [0.0, 1.0, 1.0]))
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[0], found[1])


@KINDS
def test_absent_subjects_get_the_absent_latents_whatever_their_values(kind: str) -> None:
    made = encoder(kind).eval()
    found = made(item([NAN, NAN, NAN], [3.0, 1.0, 2.0], observed=[False, False]))
    assert torch.equal(found, torch.full((2, 1, 2, 4), 7.0))


@KINDS
@pytest.mark.parametrize("absent", [NAN, 4.0])
def test_gradients_are_finite_with_missing_values(kind: str, absent: float) -> None:
    made = encoder(kind).train()
    made(item([absent, 1.0, NAN], [NAN, NAN, NAN], observed=[True, False])).sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in made.parameters())


def test_training_hides_about_the_set_share_of_subjects() -> None:
    made = encoder(drop_modality=0.3, drop_values=0.0).train()
    hidden = (made(item(*[[1.0, 1.0, 1.0]] * 4000)) == 7).all(dim=(1, 2, 3)).float().mean()
    assert float(hidden) == pytest.approx(0.3, abs=0.03)


def test_a_set_has_no_order() -> None:
    made = encoder("set").eval()
    assert isinstance(made, SetEncoder)
    rows = torch.tensor([[1.0, -2.0, NAN], [0.5, 0.1, 3.0]])
    expected = made(ModalityInput.from_birth(rows, torch.tensor([True, True])))
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        for table in (made.columns, made.slopes):
            table.weight.copy_(table.weight[order].clone())
    found = made(ModalityInput.from_birth(rows[:, order], torch.tensor([True, True])))
    assert torch.allclose(found, expected, atol=1e-6)
    mixed = made(ModalityInput.from_birth(rows, torch.tensor([True, True])))
    assert not torch.allclose(mixed, expected, atol=1e-3)


def test_a_set_pools_only_what_is_there() -> None:
    made = encoder("set").eval()
    assert isinstance(made, SetEncoder)
    with torch.no_grad():
        before = made(item([1.0, 2.0, NAN], [NAN, NAN, NAN]))
        made.columns.weight[2] += 5
        after = made(item([1.0, 2.0, NAN], [NAN, NAN, NAN]))
        made.columns.weight[1] += 5
        changed = made(item([1.0, 2.0, NAN], [NAN, NAN, NAN]))
    assert torch.equal(before, after)
    assert torch.equal(after[1], changed[1])  # an empty set
    assert not torch.allclose(after[0], changed[0], atol=1e-3)


def test_a_new_encoder_is_one_class_and_one_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class First(ModalityEncoder):
        def encode(self, standard: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
            return self.output(standard[:, :1].expand(-1, self.config.hidden)).view(-1, *self.shape)

    with pytest.raises(ValidationError, match="no such encoder; there are mlp, set"):
        ModalityConfig(width=2, encoder="first")
    monkeypatch.setitem(ENCODERS, "first", First)
    modalities = {"panel": ModalityConfig(width=2, encoder="first", timed=True)}
    model = random_model(fusion="adapter", modalities=modalities)
    save_model(model, tmp_path, "a" * 64)
    given = ModalityInput(torch.tensor([[[1.0, 5.0]]]), torch.tensor([[True]]), torch.tensor([[0]]))
    arguments = torch.tensor([[1, 2]]), torch.tensor([[0, 9]]), torch.zeros(1, 1, dtype=torch.int64)
    found = load_model(tmp_path).hidden(*arguments, {"panel": given})[0]
    assert torch.equal(found, model.hidden(*arguments, {"panel": given})[0])
    assert not torch.equal(found, model.hidden(*arguments, {})[0])
    monkeypatch.delitem(ENCODERS, "first")
    with pytest.raises(CheckpointError, match="unreadable model"):
        load_model(tmp_path)


def test_training_hides_about_the_set_share_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder(drop_modality=0.0, drop_values=0.2).train()
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        made,
        "encode",
        lambda standard, missing: seen.append(missing) or made.absent.expand(len(missing), -1, -1),
    )
    made(item(*[[1.0, NAN, 1.0]] * 4000))
    share = seen[0].float().mean(0)
    assert float(share[1]) == 1
    assert share[[0, 2]].tolist() == pytest.approx([0.2, 0.2], abs=0.03)


def test_a_hidden_subject_is_hidden_at_all_its_measurements() -> None:
    made = encoder(drop_modality=0.5, drop_values=0.0).train()
    given = ModalityInput(
        torch.ones(200, 3, 3), torch.ones(200, 3, dtype=torch.bool), torch.zeros(200, 3).long()
    )
    hidden = (made(given) == 7).all(dim=(2, 3))
    assert (hidden.all(dim=1) | ~hidden.any(dim=1)).all()
    assert 0.3 < float(hidden[:, 0].float().mean()) < 0.7
