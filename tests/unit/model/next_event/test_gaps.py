from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from proband.model.next_event.gaps import GapBins, fit_gap_edges
from small_world import GAP_EDGES

BINS = GapBins(GAP_EDGES, 1440)
HAND_EDGES = (1, 36, 1244, 43830)
HAND = GapBins(HAND_EDGES, 1440)
LAST = int(BINS.edges[-1])


def random_mass(seed: int = 0, bins: GapBins = BINS) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(bins.num_bins, 0.5))


def law(mass: np.ndarray, bins: GapBins = BINS) -> np.ndarray:
    """P(gap = g) for all g, from the formula, one gap at a time."""
    edges = bins.edges.tolist()
    out = [mass[0]]
    for b in range(1, len(edges)):
        low, high = edges[b - 1], edges[b]
        out += [mass[b] * math.log((g + 1) / g) / math.log(high / low) for g in range(low, high)]
    return np.array(out)


def test_without_gaps_edges_are_evenly_spaced_in_log_time() -> None:
    assert fit_gap_edges(np.zeros(0, dtype=int), 1440, 4) == HAND_EDGES
    assert fit_gap_edges(np.zeros(2, dtype=int), 1440, 4) == HAND_EDGES
    assert fit_gap_edges(np.zeros(0, dtype=int), 1)[-1] == 120 * 365.25 * 1440


def test_edges_by_hand() -> None:
    # Half the measure is log time: the middle edge of two bins has as many gaps below as log time above.
    gaps = np.array([10, 20, 30, 40])
    assert fit_gap_edges(gaps, 1440, 3) == (1, 31, 43830)
    assert 0.5 * 2 / 4 + 0.5 * math.log(30) / math.log(43830) < 0.5  # below 30, what is at 30 left out
    assert 0.5 * 3 / 4 + 0.5 * math.log(31) / math.log(43830) > 0.5


def test_a_common_gap_has_a_bin_of_its_own() -> None:
    gaps = np.concatenate([np.full(300, 7), np.full(200, 365), np.arange(1, 501)])
    edges = fit_gap_edges(gaps, 1440, 32)
    assert {7, 8, 365, 366} <= set(edges)
    assert not {100, 101} <= set(edges)


@given(st.lists(st.integers(0, 10**9), max_size=40), st.sampled_from([1, 1440]), st.integers(3, 80))
def test_edges_always_make_bins_that_cover_120_years_and_follow_the_data(
    gaps: list[int], resolution: int, num_bins: int
) -> None:
    edges = fit_gap_edges(np.array(gaps, dtype=np.int64), resolution, num_bins)
    last = math.ceil(120 * 365.25 * 1440 / resolution)
    assert edges[0] == 1
    assert edges[-1] == last
    assert len(edges) <= num_bins
    assert all(low < high for low, high in itertools.pairwise(edges))
    inside = np.array([gap for gap in gaps if 0 < gap < last])
    for low, high in itertools.pairwise(edges):
        if high > low + 1 and len(inside):  # but for the common gap that stands last in its bin
            share = ((inside >= low) & (inside < high - 1)).mean()
            assert share <= 2 / (num_bins - 1) + 1e-9
            assert math.log((high - 1) / low) <= 2 * math.log(last) / (num_bins - 1) + 1e-9


def test_bins_of_gaps_by_hand() -> None:
    gaps = torch.tensor([0, 1, 35, 36, 1243, 1244, 43829, 43830, 10**9])
    assert HAND.bin_of(gaps).tolist() == [0, 1, 1, 2, 2, 3, 3, 3, 3]
    assert HAND.steps(torch.tensor([0, 1439, 1440, 2881])).tolist() == [0, 0, 1, 2]


def test_probabilities_by_hand() -> None:
    log_mass = torch.tensor([[0.4, 0.3, 0.2, 0.1]], dtype=torch.float64).log().expand(4, -1)
    found = HAND.log_probability(log_mass, torch.tensor([0, 1, 35, 36])).exp()
    expected = [0.4, 0.3 * math.log(2) / math.log(36), 0.3 * math.log(36 / 35) / math.log(36)]
    expected.append(0.2 * math.log(37 / 36) / math.log(1244 / 36))
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    survival = HAND.log_survival(log_mass, torch.tensor([0, 1, 2, 36])).exp()
    expected = [1, 0.6, 0.6 - 0.3 * math.log(2) / math.log(36), 0.3]
    assert survival.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_of_all_gaps_sum_to_one_and_survival_is_their_tail(dtype: torch.dtype) -> None:
    mass = random_mass()
    log_mass = torch.from_numpy(mass).to(dtype).log().expand(LAST, -1)
    gaps = torch.arange(LAST)
    probability = BINS.log_probability(log_mass, gaps).double().exp().numpy()
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    assert probability.sum() == pytest.approx(1, abs=tolerance)
    assert probability == pytest.approx(law(mass), rel=1e-4 if dtype == torch.float32 else 1e-7)
    tail = np.cumsum(probability[::-1])[::-1]
    assert BINS.log_survival(log_mass, gaps).double().exp().numpy() == pytest.approx(tail, rel=10 * tolerance)


@pytest.mark.parametrize("at_least", [0, 1, 7, 400, 9000])
def test_draws_follow_the_law_also_beyond_a_wait(at_least: int) -> None:
    mass = random_mass(3)
    n = 40_000
    uniform = torch.from_numpy((np.arange(n) + np.random.default_rng(at_least).random(n)) / n)
    whole, wait = torch.from_numpy(mass).expand(n, -1), torch.full((n,), at_least, dtype=torch.int64)
    draws = BINS.draw_until(whole, uniform, wait, torch.full((n,), 10**9))
    assert draws.inside.all()
    drawn = draws.steps.numpy()
    assert drawn.min() >= at_least
    expected = law(mass)
    expected[:at_least] = 0
    expected /= expected.sum()
    cells = np.digitize(np.arange(LAST), np.unique(np.quantile(drawn, np.linspace(0.02, 1, 30)))[:-1])
    wanted = np.bincount(cells, weights=expected) * n
    seen = np.bincount(cells[drawn], minlength=len(wanted))
    kept = wanted > 5
    chi2 = ((seen - wanted)[kept] ** 2 / wanted[kept]).sum()
    assert stats.chi2.sf(chi2, kept.sum() - 1) > 1e-3
    spoilt = np.bincount(cells[np.minimum(drawn + 3 + drawn // 20, LAST - 1)], minlength=len(wanted))
    assert ((spoilt - wanted)[kept] ** 2 / wanted[kept]).sum() > 2 * chi2 + 100  # the test can fail


@pytest.mark.parametrize(("at_least", "at_most"), [(0, 0), (0, 30), (5, 5), (7, 2000), (400, LAST + 50)])
def test_draws_up_to_a_limit_are_exact_and_tell_how_likely_it_is(at_least: int, at_most: int) -> None:
    mass = random_mass(4)
    n = 40_000
    uniform = torch.from_numpy((np.arange(n) + 0.5) / n)
    given = torch.from_numpy(mass).expand(n, -1), uniform
    limits = torch.full((n,), at_least), torch.full((n,), at_most)
    draws = BINS.draw_until(*given, *limits)
    gaps, probability = np.arange(LAST), law(mass)
    within = (gaps >= at_least) & (gaps <= at_most)
    share = probability[within].sum() / probability[at_least:].sum()
    assert draws.share.numpy() == pytest.approx(share, rel=1e-9)
    assert float(draws.inside.double().mean()) == pytest.approx(share, abs=2 / n)
    expected = (probability * within)[within.nonzero()].cumsum() / probability[within].sum()
    for chosen in (draws.inside, ~draws.inside):  # the gap does not depend on whether it is so short
        if chosen.sum() < 1000:
            continue
        steps = draws.steps[chosen].numpy()
        assert steps.min() >= at_least
        assert steps.max() <= at_most
        below = np.searchsorted(np.sort(steps), gaps[within], side="right") / len(steps)
        assert np.abs(below - expected).max() < 2 / len(steps) + 1e-9
    unlimited = BINS.draw_until(*given, limits[0], torch.full((n,), 10**9))
    assert torch.equal(unlimited.steps[draws.inside], draws.steps[draws.inside])


def test_nothing_is_drawn_where_the_limit_is_below_the_wait() -> None:
    mass = torch.from_numpy(random_mass(5))[None]
    draws = BINS.draw_until(mass, torch.tensor([0.01]).double(), torch.tensor([9]), torch.tensor([8]))
    assert not draws.inside.any()
    assert draws.share.tolist() == [0]
    assert draws.steps.tolist() == [9]


@given(
    st.integers(0, LAST + 10_000),
    st.floats(1e-12, 1 - 1e-12),
    st.integers(0, 15),
    st.sampled_from([0.0, 1e-300, 1e-9, 0.5]),
)
def test_a_draw_is_never_before_the_wait_whatever_the_mass(
    at_least: int, uniform: float, where: int, rest: float
) -> None:
    mass = np.full(BINS.num_bins, rest / BINS.num_bins)
    mass[min(where, BINS.num_bins - 1)] += 1 - rest
    given_mass, wait = torch.from_numpy(mass)[None], torch.tensor([at_least])
    for limit in (at_least, at_least + 3, 10**9):
        draws = BINS.draw_until(
            given_mass, torch.tensor([uniform], dtype=torch.float64), wait, torch.tensor([limit])
        )
        assert at_least <= int(draws.steps) <= min(limit, max(at_least, LAST - 1))
        assert 0 <= float(draws.share) <= 1


@pytest.mark.parametrize("where", [0, 1, -1])
def test_gradients_stay_finite_at_the_extremes(where: int) -> None:
    gaps = torch.tensor([0, 1, LAST - 1, LAST, LAST + 10**6])
    logits = torch.zeros(len(gaps), BINS.num_bins)
    logits[:, where] = 200.0  # all mass in one bin: every other has none in float32
    logits.requires_grad_()
    log_mass = logits.log_softmax(-1)
    value = BINS.log_probability(log_mass, gaps) + BINS.log_survival(log_mass, gaps)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_survival_is_exact_deep_in_the_tail() -> None:
    logits = torch.zeros(2, BINS.num_bins)
    logits[:, 1] = 60.0
    log_mass = logits.log_softmax(-1)
    found = BINS.log_survival(log_mass, torch.tensor([LAST - 1, LAST // 2]))
    tail = law(torch.softmax(logits[0].double(), -1).numpy())
    expected = [math.log(tail[LAST - 1 :].sum()), math.log(tail[LAST // 2 :].sum())]
    assert found.tolist() == pytest.approx(expected, abs=1e-3)
