from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from proband.core import seeds
from proband.core.seeds import generator, uniforms


@given(st.permutations(list(range(12))), st.integers(1, 11))
def test_a_draw_does_not_depend_on_batch_or_order(order: list[int], cut: int) -> None:
    subjects = np.arange(12) * 1001 - 5
    whole = uniforms(3, "gap", subjects, 7)
    mixed = np.concatenate(
        [uniforms(3, "gap", subjects[order[:cut]], 7), uniforms(3, "gap", subjects[order[cut:]], 7)]
    )
    assert np.array_equal(whole[order], mixed)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_draws_are_uniform_along_every_counter(which: int) -> None:
    counters: list[np.ndarray | int] = [5, 6, 7]
    counters[which] = np.arange(20_000)
    draws = uniforms(0, "gap", *counters)
    assert stats.kstest(draws, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.03


def test_the_uniformity_test_can_fail() -> None:
    assert stats.kstest(uniforms(0, "gap", np.arange(20_000)) ** 1.05, "uniform").pvalue < 1e-3


@pytest.mark.parametrize(("seed", "name", "swap"), [(1, "gap", False), (0, "code", False), (0, "gap", True)])
def test_seeds_names_and_the_places_of_counters_make_other_streams(seed: int, name: str, swap: bool) -> None:
    a, b = np.arange(1, 5001), np.full(5000, 3)
    first, second = uniforms(0, "gap", a, b), uniforms(seed, name, *((b, a) if swap else (a, b)))
    different = first != second
    assert different.sum() >= 4999  # where a = b = 3, swapping changes nothing
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06


def test_the_interval_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for bits in (0, 2**64 - 1):
        monkeypatch.setattr(seeds, "_mix", lambda state, bits=bits: np.asarray(np.uint64(bits)))
        assert 0 < uniforms(0, "gap", 1) < 1


def test_negative_and_broadcast_counters() -> None:
    draws = uniforms(0, "gap", np.array([[-1], [2**62]]), np.arange(3))
    assert draws.shape == (2, 3)
    assert len(np.unique(draws)) == 6


def test_generators_of_other_names_differ() -> None:
    assert generator(0, "a").random() != generator(0, "b").random()
    assert generator(0, "a").random() != generator(1, "a").random()
    assert generator(2**70, "a").random() == generator(2**70, "a").random()
