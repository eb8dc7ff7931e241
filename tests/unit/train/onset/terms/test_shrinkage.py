"""Shrinkage by cross-validation: effects stay, noise goes, a small tuning split costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from proband.train.onset.terms.ridge import Counts
from proband.train.onset.terms.shrinkage import CHOICES, Choice, fit_cross_validated, fit_of_width, mixture
from simulated_counts import simulated_counts

WIDE = (Choice(0.1), Choice(0.3), Choice(0.3, 0.3))


def few_strong(seed: int, n: int, exposure: float = 0.05) -> Counts:
    """40 inputs of 3 tasks: one or two of them have effects, the others none."""
    beta = np.zeros((40, 3))
    beta[0, 0], beta[1, 0], beta[2, 1], beta[3, 2] = 0.7, 0.3, 0.5, -0.4
    return simulated_counts(seed, n, beta, exposure)


def test_a_known_effect_comes_back_and_noise_gets_nothing() -> None:
    beta = np.zeros((12, 2))
    beta[0, 0], beta[3, 1] = 0.4, -0.3
    train, tuning = simulated_counts(0, 20_000, beta), simulated_counts(1, 4_000, beta)
    found, notes = fit_cross_validated(train, tuning, 2)
    assert float(found[0, 0]) == pytest.approx(0.4, rel=0.1)
    assert float(found[3, 1]) == pytest.approx(-0.3, rel=0.1)
    noise = found[torch.from_numpy(beta == 0)]
    assert noise.abs().max() < 0.04  # 3 standard errors
    assert noise.abs().median() < 0.004  # a fifth of one
    assert notes["gain"] > 50
    assert notes["none"] < 0.01
    assert notes["adaptive"] > 0.5


def test_of_noise_alone_little_is_left() -> None:
    """60 inputs, 300 onsets: a standard error of 0.06 where nothing shrinks."""
    nothing, size = np.zeros((60, 1)), []
    for seed in range(0, 20, 2):
        parts = simulated_counts(seed, 1_000, nothing), simulated_counts(seed + 1, 1_000, nothing)
        found, notes = fit_cross_validated(*parts, 1)
        size.append(float(found.square().mean().sqrt()))
        assert notes["gain"] < 5
    assert np.median(size) < 0.005
    assert max(size) < 0.02


def test_only_the_first_tasks_judge_and_others_follow_them() -> None:
    """The effect is on the second task alone, so that by the first none at all is best, for both."""
    beta = np.zeros((40, 2))
    beta[0, 1] = 0.5
    parts = simulated_counts(4, 2_000, beta), simulated_counts(5, 2_000, beta)
    both, _ = fit_cross_validated(*parts, 2)
    alone, notes = fit_cross_validated(*parts, 1)
    assert float(both[0, 1]) > 0.4
    assert float(alone[0, 1]) < 0.8 * float(both[0, 1])
    assert notes["gain"] < 1


def test_a_tuning_split_of_few_onsets_costs_nothing() -> None:
    """On new people the mean of choices is as good as the best one; that which 30 people choose is not."""
    lost_by_tuning, lost = [], []
    for seed in range(8):
        train, tuning, new = (
            few_strong(seed, 3_000),
            few_strong(100 + seed, 30),
            few_strong(200 + seed, 60_000),
        )
        ridges = [fit_of_width(train, tuning, 3, one.width)[0] for one in CHOICES if not one.penalty]
        each = [*(float(new.loss(beta).sum()) for beta in ridges), 0.0]
        by_tuning = [*(float(tuning.loss(beta).sum()) for beta in ridges), 0.0]
        found, _ = fit_cross_validated(train, tuning, 3)
        lost_by_tuning.append(each[int(np.argmin(by_tuning))] - min(each))
        lost.append(float(new.loss(found).sum()) - min(each))
    assert max(lost) < 0  # adaptive ridges are better than the best ridge here
    assert np.mean(lost_by_tuning) > 100


def test_tasks_are_shrunk_each_by_itself() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(3000, 6))).float()
    exposure = torch.full((3000, 2), 0.3)
    mean = exposure * torch.stack([(0.8 * x[:, 0]).exp(), torch.ones(3000)], dim=1)
    counts = Counts(x, torch.poisson(mean, torch.Generator().manual_seed(1)), exposure)
    beta, notes = fit_cross_validated(counts, counts.take(torch.zeros(3000, dtype=torch.bool)), 2, WIDE)
    assert float(beta[0, 0]) == pytest.approx(0.8, abs=0.1)
    assert float(beta[1:, 0].abs().max()) < 0.05
    assert float(beta[:, 1].abs().max()) < 0.05
    assert notes["gain"] == 0  # nobody in tuning
    assert 0.2 < notes["none"] < 0.5  # of the second task alone


def test_few_onsets_find_the_one_input_that_tells_most() -> None:
    """A hundred inputs, 40 onsets: ridges that let no noise in leave nothing of an effect of 1.2."""
    found = []
    for seed in range(5):
        x = torch.from_numpy(np.random.default_rng(seed).normal(size=(600, 100))).float()
        exposure = torch.full((600, 1), 0.035)
        onsets = torch.poisson(exposure * (1.2 * x[:, :1]).exp(), torch.Generator().manual_seed(seed))
        counts = Counts(x, onsets, exposure)
        beta, _ = fit_cross_validated(counts, counts.take(torch.zeros(600, dtype=torch.bool)), 1)
        found.append(beta[:, 0])
        assert float(beta[1:].abs().mean()) < 0.05
    assert float(torch.stack(found)[:, 0].mean()) > 0.7


def test_the_result_is_the_mean_of_the_choices_by_their_weights() -> None:
    """Losses far apart leave one choice; its coefficients come back as they are."""
    train, tuning = few_strong(1, 3_000, 0.3), few_strong(2, 3_000, 0.3)
    found, _ = fit_cross_validated(train, tuning, 3, (Choice(1e-4), Choice(0.3)))
    plain, _ = fit_of_width(train, tuning, 3, 0.3)
    torch.testing.assert_close(found, plain, atol=0.01, rtol=0)


LOST = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(0, 20))


@given(LOST)
def test_shares_are_those_of_the_largest_posterior(lost: np.ndarray) -> None:
    weights, shares = mixture(torch.from_numpy(lost))
    assert weights.sum(dim=0).numpy() == pytest.approx(1)
    assert float(shares.sum()) == pytest.approx(1)
    number = len(lost)

    def posterior(logits: np.ndarray) -> float:
        log_share = logits - np.logaddexp.reduce(logits)
        by_task = np.logaddexp.reduce(log_share[:, None] - lost, axis=0)
        return -float(by_task.sum() + log_share.sum() / number)

    best = minimize(posterior, np.zeros(number))
    assert posterior(np.log(shares.numpy() + 1e-300)) <= best.fun + 1e-3


def test_weights_by_hand() -> None:
    """One task, likelihoods 1 and 1/3: shares p and 1 - p with p = (3 p / (1 + 2 p) + 1/2) / 2."""
    weights, shares = mixture(torch.tensor([[0.0], [float(np.log(3))]], dtype=torch.float64))
    share = (1 + 3**0.5) / 4
    assert share == pytest.approx((3 * share / (1 + 2 * share) + 0.5) / 2)
    assert shares.tolist() == pytest.approx([share, 1 - share], abs=1e-6)
    assert float(weights[0]) == pytest.approx(3 * share / (1 + 2 * share), abs=1e-6)
