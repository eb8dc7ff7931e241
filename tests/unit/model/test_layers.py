from __future__ import annotations

import pytest
import torch
from torch import nn

from proband.model.attention import Rotary, rotate
from proband.model.layers import Dropout, RMSNorm


def test_the_norm_is_pytorchs_in_value_and_gradient() -> None:
    torch.manual_seed(0)
    own, reference = RMSNorm(24), nn.RMSNorm(24)
    with torch.no_grad():
        reference.weight.normal_()
        own.weight.copy_(reference.weight)
    x = torch.randn(5, 7, 24) * torch.logspace(-6, 3, 7)[:, None]
    grad = torch.randn_like(x)
    results = []
    for norm in (own, reference):
        given = x.clone().requires_grad_()
        found = norm(given)
        results.append([found, *torch.autograd.grad(found, [given, norm.weight], grad)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=1e-5)
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: RMSNorm(4, dtype=torch.float64)(value), x)


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    torch.manual_seed(0)
    layer = Dropout(0.3)
    x = torch.ones(1001, 333, requires_grad=True)
    found = layer(x)
    assert float((found == 0).double().mean()) == pytest.approx(0.3, abs=0.003)
    assert found[found != 0].unique().tolist() == pytest.approx([1 / 0.7], rel=1e-4)
    assert float(found.detach().double().mean()) == pytest.approx(1, abs=0.005)
    (grad,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(grad, found.detach())  # what is dropped learns nothing
    kept = (found.detach() != 0).double()
    for neighbour in (kept[:, 1:], kept[1:, :]):  # four draws come from one random number
        other = kept[:, :-1] if neighbour.shape[1] < 333 else kept[:-1]
        assert abs(float(torch.corrcoef(torch.stack([neighbour.flatten(), other.flatten()]))[0, 1])) < 0.01


def test_dropout_is_a_function_of_the_seed_and_absent_from_evaluation() -> None:
    layer, x = Dropout(0.5), torch.ones(9, 7)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return layer(x)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_turning_is_the_same_in_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = Rotary(8)(torch.arange(5).expand(2, -1), torch.randint(0, 40_000_000, (2, 5)))
    x = torch.randn(2, 5, 2, 3, 8)
    eager = rotate(x, turn)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(rotate(x, turn), eager)
    torch.testing.assert_close(eager.norm(dim=-1), x.norm(dim=-1))
    assert not torch.allclose(eager[:, 1:], x[:, 1:])
