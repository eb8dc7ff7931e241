from __future__ import annotations

import pytest
import torch
from torch import nn

from proband.model.kernels.layers import gated
from proband.model.trunk.block import SwiGLU
from proband.model.trunk.layers import Dropout, RMSNorm


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


@pytest.mark.parametrize("dim", [12, 24, 96, 100])
def test_a_cpus_layers_for_inference_are_those_of_training(dim: int) -> None:
    torch.manual_seed(0)
    norm, feed = RMSNorm(dim), SwiGLU(dim)
    norm.weight.data.normal_()
    x = torch.randn(3, 7, dim) * torch.logspace(-6, 3, 7)[:, None]
    expected = norm(x), feed(x)
    with torch.no_grad():
        found = norm(x), feed(x)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other.detach(), rtol=3e-6, atol=1e-6)
        halves = torch.randn(5, 2 * 24)
        for row in range(5):  # whichever rows stand beside it
            assert torch.equal(gated(halves[row : row + 1])[0], gated(halves)[row])
            assert torch.equal(norm(x[1, row]), norm(x)[1, row])


def test_gates_far_from_zero_are_shut_or_open() -> None:
    far = torch.tensor([[-1e4, -90.0, 90.0, 1e4] * 6])
    found = gated(torch.cat([far, torch.ones(1, 24)], dim=1))
    assert torch.equal(found, far.clamp(min=0))
