from __future__ import annotations

import pytest
import torch

from proband.core.batch import ModalityInput
from proband.model.config import ModalityConfig
from proband.model.modality import ModalityEncoder

NAN = float("nan")


def encoder(**changes: float) -> ModalityEncoder:
    torch.manual_seed(0)
    made = ModalityEncoder(ModalityConfig(width=3, hidden=8, **changes), 2, 4)
    torch.nn.init.normal_(made.output.weight)
    torch.nn.init.constant_(made.absent, 7.0)
    return made


def item(*rows: list[float], observed: list[bool] | None = None) -> ModalityInput:
    return ModalityInput(torch.tensor(rows), torch.tensor(observed or [True] * len(rows)))


def test_latents_start_at_zero() -> None:
    fresh = ModalityEncoder(ModalityConfig(width=3), 2, 4).eval()
    assert torch.equal(fresh(item([1.0, 2.0, NAN])), torch.zeros(1, 2, 4))


def test_standardised_values_are_what_counts() -> None:
    plain, scaled = encoder().eval(), encoder().eval()
    scaled.standardise_with(torch.tensor([10.0, -5.0, 0.0]), torch.tensor([2.0, 100.0, 1.0]))
    assert torch.allclose(plain(item([1.0, -2.0, 3.0])), scaled(item([12.0, -205.0, 3.0])), atol=1e-6)


def test_a_constant_or_never_seen_score_is_switched_off() -> None:
    made = encoder().eval()
    made.standardise_with(torch.tensor([5.0, NAN, 0.0]), torch.tensor([0.0, NAN, 1.0]))
    assert torch.equal(made(item([5.0, 1.0, 1.0])), made(item([9.0, -80.0, 1.0])))


def test_missing_is_not_the_same_as_average() -> None:
    made = encoder().eval()
    found = made(item([NAN, 1.0, 1.0], [0.0, 1.0, 1.0]))
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[0], found[1])


def test_absent_subjects_get_the_absent_latents_whatever_their_values() -> None:
    made = encoder().eval()
    found = made(item([NAN, NAN, NAN], [3.0, 1.0, 2.0], observed=[False, False]))
    assert torch.equal(found, torch.full((2, 2, 4), 7.0))


@pytest.mark.parametrize("absent", [NAN, 4.0])
def test_gradients_are_finite_with_missing_values(absent: float) -> None:
    made = encoder().train()
    made(item([absent, 1.0, NAN], [NAN, NAN, NAN], observed=[True, False])).sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in made.parameters())


def test_training_hides_about_the_set_share_of_subjects() -> None:
    made = encoder(drop_modality=0.3, drop_values=0.0).train()
    hidden = (made(item(*[[1.0, 1.0, 1.0]] * 4000)) == 7).all(dim=(1, 2)).float().mean()
    assert float(hidden) == pytest.approx(0.3, abs=0.03)
