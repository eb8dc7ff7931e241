"""Shrinkage by cross-validation: effects stay, noise goes, a small tuning split costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import softmax

from proband.train.onset.terms import shrinkage
from proband.train.onset.terms.ridge import Counts, fit_ridge
from proband.train.onset.terms.shrinkage import (
    CHOICES,
    Choice,
    _out_of_fold,
    fit_cross_validated,
    fit_grouped,
    fit_of_width,
    fit_shared,
    folds_of,
    stacked,
)
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
    found, _, _, notes = fit_cross_validated(train, tuning, 2)
    assert float(found[0, 0]) == pytest.approx(0.4, rel=0.1)
    assert float(found[3, 1]) == pytest.approx(-0.3, rel=0.1)
    noise = found[torch.from_numpy(beta == 0)]
    assert noise.abs().max() < 0.04  # 3 standard errors
    assert noise.abs().median() < 0.004  # a fifth of one
    assert notes["gain"] > 50
    assert notes["none"] < 0.01
    assert notes["adaptive"] > 0.5


def test_folds_tell_how_far_other_samples_would_move_a_prediction() -> None:
    """The jackknife over folds against the spread over sixteen samples of one law."""
    beta = np.zeros((20, 2))
    beta[:4] = 0.3
    inputs = torch.from_numpy(np.random.default_rng(5).normal(size=(200, 20))).float()
    predicted, variance = [], []
    for seed in range(0, 32, 2):
        parts = (simulated_counts(seed, 3_000, beta), simulated_counts(seed + 1, 300, beta))
        fitted = fit_cross_validated(*parts, 2)
        predicted.append(inputs @ fitted.beta)
        without = torch.einsum("nw,fwt->fnt", inputs, fitted.folds)
        variance.append(0.8 * (without - without.mean(dim=0)).square().sum(dim=0))
    spread = torch.stack(predicted).var(dim=0).mean().sqrt()
    error = torch.stack(variance).mean().sqrt()
    assert 0.75 < float(error / spread) < 1.3
    assert float(spread) > 0.03


@pytest.mark.parametrize("fit", [fit_of_width, fit_cross_validated])
def test_what_is_found_without_a_fold_knows_nothing_of_its_onsets(fit: Callable) -> None:
    """Other onsets in the first fold change nothing of it, but what is told against the mean over folds."""
    given = 0.04 if fit is fit_of_width else (Choice(0.04),)
    train, other = (simulated_counts(seed, 1_000, np.zeros((20, 3))) for seed in (0, 1))
    own = folds_of(torch.arange(1_000), 1_000)[:, None] == 0
    changed = replace(train, onsets=torch.where(own, other.onsets, train.onsets))
    nobody = train.take(torch.zeros(1_000, dtype=torch.bool))
    before, after = (fit(counts, nobody, 3, given) for counts in (train, changed))

    def direction(found: torch.Tensor) -> torch.Tensor:
        return found / found.norm(dim=0)  # weights of choices may differ

    assert torch.allclose(direction(before.without[0]), direction(after.without[0]), atol=1e-3)
    moved = direction(before.beta + before.folds[0]) - direction(after.beta + after.folds[0])
    assert float(moved.abs().max()) > 0.05


def test_folds_of_some_of_the_people_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the rows is read: of as many people the error is made smaller, of rows of a few it stays."""
    beta = np.zeros((10, 1))
    beta[:2] = 0.4
    train, tuning = simulated_counts(0, 6_000, beta), simulated_counts(1, 300, beta)
    whole = fit_cross_validated(train, tuning, 1).folds
    monkeypatch.setattr(shrinkage, "_LEAST_ROWS", 2_000)
    monkeypatch.setattr(shrinkage, "_MOST_NUMBERS", 1)
    people = fit_cross_validated(train, tuning, 1).folds
    rows = fit_cross_validated(replace(train, people=2_000), tuning, 1).folds
    assert torch.allclose(rows, people * 3**0.5, atol=1e-6)
    assert 0.5 < float(people.std() / whole.std()) < 1.8
    assert whole.mean(dim=0).abs().max() < 1e-6


def test_of_noise_alone_little_is_left() -> None:
    """60 inputs, 300 onsets: a standard error of 0.06 where nothing shrinks."""
    nothing, size = np.zeros((60, 1)), []
    for seed in range(0, 20, 2):
        parts = simulated_counts(seed, 1_000, nothing), simulated_counts(seed + 1, 1_000, nothing)
        found, _, _, notes = fit_cross_validated(*parts, 1)
        size.append(float(found.square().mean().sqrt()))
        assert notes["gain"] < 5
    assert np.median(size) < 0.005
    assert max(size) < 0.02


def test_only_the_first_tasks_judge_and_others_follow_them() -> None:
    """The effect is on the second task alone, so that by the first none at all is best, for both."""
    beta = np.zeros((40, 2))
    beta[0, 1] = 0.5
    parts = simulated_counts(4, 2_000, beta), simulated_counts(5, 2_000, beta)
    both, *_ = fit_cross_validated(*parts, 2)
    alone, _, _, notes = fit_cross_validated(*parts, 1)
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
        found, *_ = fit_cross_validated(train, tuning, 3)
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
    beta, _, _, notes = fit_cross_validated(counts, counts.take(torch.zeros(3000, dtype=torch.bool)), 2, WIDE)
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
        beta, *_ = fit_cross_validated(counts, counts.take(torch.zeros(600, dtype=torch.bool)), 1)
        found.append(beta[:, 0])
        assert float(beta[1:].abs().mean()) < 0.05
    assert float(torch.stack(found)[:, 0].mean()) > 0.7


def test_the_result_is_the_mean_of_the_choices_by_their_weights() -> None:
    """Of a wide ridge, and of two choices that are as good as nothing: it comes back, a little smaller."""
    train, tuning = few_strong(1, 3_000, 0.3), few_strong(2, 3_000, 0.3)
    found, *_ = fit_cross_validated(train, tuning, 3, (Choice(1e-4), Choice(0.3)))
    plain, *_ = fit_of_width(train, tuning, 3, 0.3)
    times = (found * plain).sum(dim=0) / plain.square().sum(dim=0)
    torch.testing.assert_close(found, times * plain, atol=0.01, rtol=0)
    assert ((times > 0.7) & (times < 1.01)).all()


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_weights_are_those_of_the_largest_posterior(number: int, seed: int) -> None:
    """Choices are slopes along one input, whose true one is 0.5 for each of three tasks."""
    slopes = np.random.default_rng(seed).uniform(-0.5, 1.5, (number, 3))
    counts = simulated_counts(3, 500, np.full((1, 3), 0.5))
    linear = torch.stack([counts.x * torch.from_numpy(each).float() for each in slopes])
    weights, common = stacked([(linear, counts)])
    assert weights.sum(dim=0).numpy() == pytest.approx(1)
    assert float(common.sum()) == pytest.approx(1)

    def posterior(flat: np.ndarray) -> float:
        own, shared = flat[: -len(slopes)].reshape(len(slopes), 3), flat[-len(slopes) :]
        chosen = softmax(shared[:, None] + own, axis=0)
        mean = torch.einsum("cnt,ct->nt", linear.double(), torch.from_numpy(chosen))
        lost = Counts(counts.x.double(), counts.onsets.double(), counts.exposure.double()).loss_of(mean)
        return float(lost.sum()) + float((own**2).sum()) / 2 + float((shared**2).sum()) / 18

    start = np.zeros(4 * len(slopes))
    best = minimize(posterior, start, method="L-BFGS-B")
    found = np.log(weights.double().numpy() + 1e-300)
    shared = np.log(common.double().numpy() + 1e-300)
    own = found - shared[:, None]
    # Log weights are known up to a constant of each task; the least squares are those of mean 0.
    own, shared = own - own.mean(axis=0), shared - shared.mean()
    assert posterior(np.append(own, shared)) <= best.fun + 0.05


def test_choices_that_err_in_opposite_ways_are_both_taken() -> None:
    """Each by itself loses as much as the other; a mean that one of them wins would lose more."""
    beta = np.full((2, 1), 0.5)
    counts = simulated_counts(5, 4_000, beta)
    one, other = (counts.x @ torch.tensor([[0.5 + sign * 0.4], [0.5 - sign * 0.4]]) for sign in (1, -1))
    weights, common = stacked([(torch.stack([torch.zeros_like(one), one, other]), counts)])
    assert weights[:, 0].tolist() == pytest.approx([0, 0.5, 0.5], abs=0.08)
    assert common.tolist() == pytest.approx([0, 0.5, 0.5], abs=0.2)


def test_an_input_that_tells_of_other_tasks_is_shrunk_less() -> None:
    """Ten tasks, fifty inputs: the same one has an effect on each, too weak to stand out in any."""
    beta = np.zeros((50, 10))
    beta[7] = 0.25
    train = simulated_counts(6, 2_000, beta, 0.05)
    plain = fit_ridge(train, torch.full((50, 10), 0.05**-2), torch.zeros(50, 10))
    found = fit_shared(train, plain, 0.05, 10)
    assert float(found[7].mean()) > 1.3 * float(plain[7].mean())
    noise = torch.arange(50) != 7
    assert float(found[noise].square().mean()) < 0.9 * float(plain[noise].square().mean())
    alone = fit_shared(train, plain, 0.05, 1)  # by the first task, for all
    assert float(alone[7].mean()) < float(found[7].mean())


def of_groups(seed: int, effects: np.ndarray) -> tuple[Counts, Counts]:
    """Twelve groups of five inputs, one task, train and tuning people."""
    groups = torch.arange(12).repeat_interleave(5)
    parts = (simulated_counts(seed + each, size, effects, 0.05) for each, size in ((0, 3_000), (1, 500)))
    train, tuning = (replace(part, groups=groups) for part in parts)
    return train, tuning


def test_an_input_whose_group_tells_is_shrunk_less() -> None:
    """Of the inputs of one code each has an effect, too weak to stand out; others have none."""
    beta = np.zeros((60, 1))
    beta[5:10] = 0.25
    train, _ = of_groups(8, beta)
    plain = fit_ridge(train, torch.full((60, 1), 0.05**-2), torch.zeros(60, 1))
    found = fit_grouped(train, plain, 0.05)
    assert float(found[5:10].mean()) > 1.3 * float(plain[5:10].mean())
    noise = torch.from_numpy(beta == 0)
    assert float(found[noise].square().mean()) < 0.7 * float(plain[noise].square().mean())


def test_a_group_is_taken_where_it_tells_and_costs_little_where_none_does() -> None:
    """Nats of 40,000 new people, with it less without: over 20 seeds -85 +- 9, 4 +- 2, 0.6 +- 0.2."""
    alone = (Choice(0.04), Choice(0.04, 1.2))
    both = (*alone, Choice(0.03, grouped=True), Choice(0.03, 1.2, grouped=True))
    gains = {}
    for kind, places in {"one group": range(5, 10), "apart": range(0, 60, 12), "none": ()}.items():
        beta, lost = np.zeros((60, 1)), []
        beta[list(places)] = 0.25
        new = simulated_counts(99, 40_000, beta, 0.05)
        for seed in range(0, 12, 2):
            fits = [fit_cross_validated(*of_groups(seed, beta), 1, choices) for choices in (alone, both)]
            lost.append([float(new.loss(fit.beta)) for fit in fits])
        gains[kind] = float(np.diff(lost).mean())
    assert gains["one group"] < -50
    assert abs(gains["apart"]) < 10
    assert abs(gains["none"]) < 2


def test_groups_stay_with_their_inputs() -> None:
    counts, _ = of_groups(0, np.zeros((60, 1)))
    for part in (counts.take(torch.arange(3_000) < 9), counts.first(1), counts.thinned(7)):
        assert torch.equal(part.groups, counts.groups)


def test_predictors_out_of_fold_are_of_coefficients_that_were_not_fitted_to_them() -> None:
    """One input for each row: fitted to the row itself a coefficient follows its onset, else it is 0."""
    rows = 40
    onsets = torch.from_numpy(np.random.default_rng(0).poisson(1.0, (rows, 1))).float()
    counts = Counts(torch.eye(rows), onsets, torch.ones(rows, 1))
    _, (linear, read) = _out_of_fold(counts, (Choice(10.0),))
    assert len(read.x) == rows
    assert linear.shape == (2, rows, 1)
    assert linear.abs().max() < 1e-6
