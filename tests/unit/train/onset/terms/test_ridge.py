from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from proband.train.onset.terms import ridge
from proband.train.onset.terms.ridge import Counts, fit_adaptive_ridge, fit_cross_validated, fit_ridge


def simulated(seed: int, n: int, beta: np.ndarray, exposure: float = 0.3) -> Counts:
    """Onsets of independent standard normal inputs; ``beta`` is (inputs, tasks)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(beta)))
    mean = exposure * np.exp(x @ beta)
    parts = (x, rng.poisson(mean), np.full_like(mean, exposure))
    return Counts(*(torch.from_numpy(part.astype(np.float32)) for part in parts))


def test_a_known_effect_comes_back_and_noise_gets_nothing() -> None:
    beta = np.zeros((12, 2))
    beta[0, 0], beta[3, 1] = 0.4, -0.3
    found, chosen = fit_adaptive_ridge(simulated(0, 20_000, beta), simulated(1, 4_000, beta), 2)
    assert float(found[0, 0]) == pytest.approx(0.4, rel=0.1)
    assert float(found[3, 1]) == pytest.approx(-0.3, rel=0.1)
    noise = found[torch.from_numpy(beta == 0)]
    assert noise.abs().max() < 0.04  # 3 standard errors
    assert noise.abs().median() < 0.002
    assert chosen["gain"] > 50
    assert chosen["penalty"] > 0


def test_of_noise_alone_mostly_nothing_is_chosen() -> None:
    nothing, gains = np.zeros((60, 1)), []
    for seed in range(0, 20, 2):
        found, chosen = fit_adaptive_ridge(
            simulated(seed, 1_000, nothing), simulated(seed + 1, 1_000, nothing), 1
        )
        gains.append(chosen["gain"])
        assert found.any() == (chosen["width"] > 0)
        assert found.abs().max() < 0.1  # of a standard error of 0.06, the largest of 60
    assert gains.count(0.0) >= len(gains) / 2
    assert max(gains) < 5


def test_only_the_first_tasks_judge() -> None:
    """The effect is on the second task alone, so that by the first nothing is gained."""
    beta = np.zeros((40, 2))
    beta[0, 1] = 0.5
    parts = simulated(4, 2_000, beta), simulated(5, 2_000, beta)
    assert fit_adaptive_ridge(*parts, 2)[1]["gain"] > 10
    assert fit_adaptive_ridge(*parts, 1)[1]["gain"] < 1


def test_a_ridge_solves_its_equation() -> None:
    counts = simulated(6, 3_000, np.array([[0.5], [-0.2]]))
    penalty = torch.tensor([[3.0], [200.0]])
    found = fit_ridge(counts, penalty, torch.zeros(2, 1))
    mean = counts.exposure * (counts.x @ found).exp()
    mean = mean * (counts.onsets.sum() + 1) / (mean.sum() + 1)
    gradient = counts.x.T @ (mean - counts.onsets) + penalty * found
    assert gradient.abs().max() < 1.0  # of about a thousand onsets
    stronger = fit_ridge(counts, 100 * penalty, torch.zeros(2, 1))
    assert (stronger.abs() < found.abs()).all()


def test_cross_validation_takes_what_helps_and_leaves_out_noise() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(3000, 6))).float()
    exposure = torch.full((3000, 2), 0.3)
    mean = exposure * torch.stack([(0.8 * x[:, 0]).exp(), torch.ones(3000)], dim=1)
    counts = Counts(x, torch.poisson(mean, torch.Generator().manual_seed(1)), exposure)
    beta, notes = fit_cross_validated(counts, counts, 2, widths=(0.1, 0.3))
    assert float(beta[0, 0]) == pytest.approx(0.8, abs=0.1)
    assert float(beta[1:].abs().max()) < 0.05
    assert float(beta[:, 1].abs().max()) < 0.15
    assert notes["gain"] > 10
    assert notes["width"] == pytest.approx(0.15)  # 0.3 for the first task, none for the second


def test_few_onsets_find_the_one_input_that_tells_most() -> None:
    """A hundred inputs, 40 onsets: ridges that let no noise in leave nothing of an effect of 1.2."""
    found = []
    for seed in range(5):
        x = torch.from_numpy(np.random.default_rng(seed).normal(size=(600, 100))).float()
        exposure = torch.full((600, 1), 0.035)
        onsets = torch.poisson(exposure * (1.2 * x[:, :1]).exp(), torch.Generator().manual_seed(seed))
        beta, _ = fit_cross_validated(Counts(x, onsets, exposure), Counts(x, onsets, exposure), 1)
        found.append(beta[:, 0])
        assert float(beta[1:].abs().mean()) < 0.05
    assert float(torch.stack(found)[:, 0].mean()) > 0.7


def test_effects_are_not_shrunk_for_want_of_a_level() -> None:
    """Exposures as of a table that fits the onsets of all: too large by the mean of exp(x beta)."""
    counts = simulated(9, 20_000, np.array([[0.9]]), exposure=0.1)
    marginal = counts.exposure * counts.onsets.sum() / counts.exposure.sum()
    found = fit_ridge(replace(counts, exposure=marginal), torch.ones(1, 1), torch.zeros(1, 1))
    assert float(found) == pytest.approx(0.9, abs=0.06)  # 4 standard errors; 0.7 without a level


def test_cross_validation_of_noise_alone_gives_nothing() -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(400, 20))).float()
    exposure = torch.full((400, 1), 0.05)
    onsets = torch.poisson(exposure, torch.Generator().manual_seed(2))
    beta, notes = fit_cross_validated(Counts(x, onsets, exposure), Counts(x, onsets, exposure), 1, (0.3,))
    assert (beta == 0).all()
    assert notes == {"width": 0.0, "adaptive": 0.0, "gain": 0.0}


def test_rows_that_are_thinned_stand_for_all() -> None:
    counts = simulated(4, 10_000, np.array([[0.5]]))
    assert torch.equal(counts.thinned(10_000).x, counts.x)
    some = counts.thinned(3_000)
    assert len(some.x) == 2_500
    assert float(some.exposure.sum()) == pytest.approx(float(counts.exposure.sum()))
    assert float(some.onsets.sum()) == pytest.approx(float(counts.onsets.sum()), rel=0.1)


def test_coordinates_do_not_change_the_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of inputs that nearly repeat each other, whitened and scaled coordinates lead to the same loss."""
    beta = np.array([[0.4, 0.0], [0.0, -0.3], [0.2, 0.1]])
    plain = simulated(7, 3_000, beta)
    x = torch.cat([plain.x, plain.x + 0.2 * simulated(8, 3_000, beta).x], dim=1)
    counts = replace(plain, x=x)
    penalty = torch.full((6, 2), 30.0)

    def lowest() -> float:
        found = fit_ridge(counts, penalty, torch.zeros(6, 2))
        return float(counts.loss(found).sum() + (penalty / 2 * found.square()).sum())

    whitened = lowest()
    monkeypatch.setattr(ridge, "_MOST_NUMBERS", 0)
    assert lowest() == pytest.approx(whitened, abs=0.05)
    assert whitened < -50  # of no coefficients: 0
