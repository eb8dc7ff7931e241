from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from proband.train.onset.terms import ridge
from proband.train.onset.terms.by_time import CountsByBin
from proband.train.onset.terms.ridge import Counts, fit_ridge
from simulated_counts import simulated_counts


def test_a_ridge_solves_its_equation() -> None:
    counts = simulated_counts(6, 3_000, np.array([[0.5], [-0.2]]))
    penalty = torch.tensor([[3.0], [200.0]])
    found = fit_ridge(counts, penalty, torch.zeros(2, 1))
    mean = counts.exposure * (counts.x @ found).exp()
    mean = mean * (counts.onsets.sum() + 1) / (mean.sum() + 1)
    gradient = counts.x.T @ (mean - counts.onsets) + penalty * found
    assert gradient.abs().max() < 1.0  # of about a thousand onsets
    stronger = fit_ridge(counts, 100 * penalty, torch.zeros(2, 1))
    assert (stronger.abs() < found.abs()).all()


def test_effects_are_not_shrunk_for_want_of_a_level() -> None:
    """Exposures as of a table that fits the onsets of all: too large by the mean of exp(x beta)."""
    counts = simulated_counts(9, 20_000, np.array([[0.9]]), exposure=0.1)
    marginal = counts.exposure * counts.onsets.sum() / counts.exposure.sum()
    found = fit_ridge(replace(counts, exposure=marginal), torch.ones(1, 1), torch.zeros(1, 1))
    assert float(found) == pytest.approx(0.9, abs=0.06)  # 4 standard errors; 0.7 without a level


def test_rows_that_are_thinned_stand_for_all() -> None:
    counts = simulated_counts(4, 10_000, np.array([[0.5]]))
    assert torch.equal(counts.thinned(10_000).x, counts.x)
    some = counts.thinned(3_000)
    assert len(some.x) == 3_000
    assert float(some.exposure.sum()) == pytest.approx(float(counts.exposure.sum()))
    assert float(some.onsets.sum()) == pytest.approx(float(counts.onsets.sum()), rel=0.1)


def test_coordinates_do_not_change_the_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of inputs that nearly repeat each other, whitened and scaled coordinates lead to the same loss."""
    beta = np.array([[0.4, 0.0], [0.0, -0.3], [0.2, 0.1]])
    plain = simulated_counts(7, 3_000, beta)
    x = torch.cat([plain.x, plain.x + 0.2 * simulated_counts(8, 3_000, beta).x], dim=1)
    counts = replace(plain, x=x)
    penalty = torch.full((6, 2), 30.0)

    def lowest() -> float:
        found = fit_ridge(counts, penalty, torch.zeros(6, 2))
        return float(counts.loss(found).sum() + (penalty / 2 * found.square()).sum())

    whitened = lowest()
    monkeypatch.setattr(ridge, "_MOST_NUMBERS", 0)
    assert lowest() == pytest.approx(whitened, abs=0.05)
    assert whitened < -50  # of no coefficients: 0


@pytest.mark.parametrize("kind", [Counts, CountsByBin])
def test_the_gradient_is_that_of_autograd(kind: type[Counts]) -> None:
    rng = np.random.default_rng(1)
    x, onsets, exposure = (torch.from_numpy(rng.uniform(size=size)) for size in ((50, 3), *[(50, 2, 4)] * 2))
    tau = torch.from_numpy(rng.normal(size=(2, 4)))
    by_bin = CountsByBin.of(x, onsets, exposure, tau)
    counts = by_bin if kind is CountsByBin else Counts(x, by_bin.onsets, by_bin.exposure)
    beta = torch.from_numpy(rng.normal(size=(3, 2))).requires_grad_(True)
    loss = counts.loss(beta)
    (gradient,) = torch.autograd.grad(loss.sum(), beta)
    found = counts.loss_and_gradient(beta.detach())
    torch.testing.assert_close(found, (loss.detach(), gradient))


@pytest.mark.parametrize("penalty", [1.0, 100.0])
def test_the_step_tried_first_is_the_whole_one(monkeypatch: pytest.MonkeyPatch, penalty: float) -> None:
    """From no coefficients to the lowest loss in six evaluations; searching for the first step took eight."""
    beta = np.random.default_rng(1).normal(0, 0.1, (60, 8))
    counts = simulated_counts(3, 4_000, beta)
    evaluate, number = Counts.loss_and_gradient, itertools.count()

    def counted(self: Counts, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        next(number)
        return evaluate(self, at)

    monkeypatch.setattr(Counts, "loss_and_gradient", counted)
    found = fit_ridge(counts, torch.full((60, 8), penalty), torch.zeros(60, 8))
    assert next(number) <= 6
    _, gradient = evaluate(counts, found)
    assert (gradient + penalty * found).abs().max() < 1.0  # of a thousand onsets and more
