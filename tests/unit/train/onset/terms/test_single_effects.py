"""Single effects among inputs that go together come back from a known law; of no effects there are none."""

import pytest
import torch

from proband.train.onset.terms import single_effects
from proband.train.onset.terms.linear import OF_MANY
from proband.train.onset.terms.ridge import Counts
from proband.train.onset.terms.shrinkage import Choice, fit_cross_validated
from proband.train.onset.terms.single_effects import fit_single_effects

PEOPLE, GROUPS, IN_GROUP = 4000, 8, 25
SIZES = {0: 0.4, 30: -0.3}
"""Input -> its effect, in two of the groups."""


def inputs(seed: int) -> torch.Tensor:
    """Standard normal inputs in groups within which any two are correlated by 0.8."""
    rng = torch.Generator().manual_seed(seed)
    shared = torch.randn(PEOPLE, GROUPS, 1, generator=rng).expand(-1, -1, IN_GROUP)
    own = torch.randn(PEOPLE, GROUPS, IN_GROUP, generator=rng)
    return (0.8**0.5 * shared + 0.2**0.5 * own).flatten(1)


def lived(beta: torch.Tensor, seed: int) -> Counts:
    """Onsets of two tasks: the first by a law with these effects, the second without any."""
    x = inputs(seed)
    rate = 0.1 * torch.stack([(x @ beta).exp(), torch.ones(len(x))], dim=1)
    onsets = torch.poisson(rate, generator=torch.Generator().manual_seed(seed + 100))
    return Counts(x, onsets, torch.full_like(rate, 0.1))


def sparse() -> torch.Tensor:
    beta = torch.zeros(GROUPS * IN_GROUP)
    for place, size in SIZES.items():
        beta[place] = size
    return beta


def missed(found: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """Share of the variance of what the law says that coefficients miss, among new people."""
    x = inputs(77)
    return (x @ (found - beta)).var() / (x @ beta).var()


def test_sparse_effects_among_correlated_inputs_come_back() -> None:
    x, law = inputs(78), inputs(78) @ sparse()
    found = [fit_single_effects(lived(sparse(), seed), 10)[:, 0] for seed in range(1, 6)]
    assert sum(missed(one, sparse()).item() for one in found) / 5 < 0.12
    slopes = [((x @ one) @ law / (x @ one).square().sum()).item() for one in found]
    assert sum(slopes) / 5 == pytest.approx(1, abs=0.15)
    for one in found:
        of_others = x[:, 2 * IN_GROUP :] @ one[2 * IN_GROUP :]  # groups without effects
        assert of_others.std() < 0.05


def test_where_nothing_has_an_effect_nothing_is_found() -> None:
    for seed in range(3):
        found = fit_single_effects(lived(sparse(), seed), 10)[:, 1]
        assert (inputs(78) @ found).std() < 0.05


def test_cross_validation_takes_single_effects_for_sparse_laws_alone() -> None:
    dense = 0.03 * torch.randn(GROUPS * IN_GROUP, generator=torch.Generator().manual_seed(9))
    for beta, is_sparse in ((sparse(), True), (dense, False)):
        train, tuning = (lived(beta, seed).first(1) for seed in (2, 3))
        found, _, _, notes = fit_cross_validated(train, tuning, 1, OF_MANY)
        assert (notes["single_effects"] > 0.5) == is_sparse
        if is_sparse:
            ridges = (Choice(0.04), Choice(0.04, 1.2))
            before, *_ = fit_cross_validated(train, tuning, 1, ridges)
            assert missed(found[:, 0], beta) < missed(before[:, 0], beta)


def test_of_more_inputs_than_a_covariance_is_held_for_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_effects, "MOST_INPUTS", 100)
    assert not fit_single_effects(lived(sparse(), 1), 10).any()
