"""Books of pages: what a path reads, what it gives back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from proband.core.errors import ConfigError
from proband.forecast.engine.kv_cache import Cache
from proband.forecast.engine.memory import MOST_SLOTS, ROWS, plan_memory
from proband.model.kernels.pages import PAGE
from small_world import random_model

MODEL = random_model(context=48, depth=1)
PLAN = {"longest": 40, "paths_per_history": 6, "most_paths": 6, "max_events": 200, "sums": 6}
SIZES = (0.001, 0.002, 1.0)


def make_cache() -> tuple[Cache, int]:
    budget = plan_memory(MODEL, **PLAN, memory_gib=1.0)
    cache = Cache(MODEL, budget, torch.device("cpu"))
    return cache, len(cache._free)


def keep(cache: Cache, length: int) -> np.ndarray:
    keys = torch.randn(1, MODEL.config.num_heads, MODEL.config.num_latents + length, MODEL.config.head_dim)
    return cache.keep_history([(keys, keys)], 0, length)


def tokens_read(cache: Cache, slot: int) -> int:
    window = cache.window(slot + 1)
    pages = slice(window.begin[slot], window.count[slot])
    return int(window.used[slot, pages].astype(int).sum() - window.skip[slot])


def test_a_path_reads_its_history_then_the_newest_tokens_and_gives_all_pages_back() -> None:
    cache, total = make_cache()
    history = keep(cache, 40)
    assert len(history) == 1 + math.ceil(40 / PAGE)  # leading positions apart
    cache.start(slice(0, 2), history, 40)
    for number in range(1, 201):
        cache.append(np.arange(2))
        assert tokens_read(cache, 0) == min(40 + number, MODEL.config.context)
        held = total - len(cache._free) - len(history)
        assert held <= 2 * (MODEL.config.context // PAGE + 2)
    window = cache.window(2)
    assert window.table[0, 0] == history[0]
    assert window.begin[0] > len(history)  # the history has left, the leading positions have not
    assert not set(window.table[0, window.begin[0] : window.count[0]]) & set(
        window.table[1, window.begin[1] : window.count[1]]
    )
    cache.end(np.array([0, 1]))
    cache.free_history(history)
    assert sorted(cache._free) == list(range(total))


def test_paths_share_the_pages_of_their_history_and_move_by_their_lists() -> None:
    cache, _ = make_cache()
    history = keep(cache, 5)
    cache.start(slice(0, 3), history, 5)
    cache.append(np.arange(3))
    last = cache.window(3).table[2].copy()
    assert (cache.window(3).table[:, :2] == history).all()
    cache.end(np.array([0]))
    cache.move(np.array([0]), np.array([2]))
    window = cache.window(3)
    assert window.table[0].tolist() == last.tolist()
    assert window.count.tolist() == [3, 3, 0]


def test_a_path_that_stays_gets_no_room_and_reads_nothing() -> None:
    cache, _ = make_cache()
    cache.start(slice(0, 2), keep(cache, 5), 5)
    cache.append(np.array([1]))
    assert [tokens_read(cache, slot) for slot in (0, 1)] == [5, 6]
    assert cache.window(2, np.array([True, False])).count.tolist() == [0, 3]
    cache.append(np.array([0, 1]))
    assert [tokens_read(cache, slot) for slot in (0, 1)] == [6, 7]


def test_slots_follow_from_the_memory() -> None:
    plans = [plan_memory(MODEL, **PLAN, memory_gib=gib) for gib in SIZES]
    assert plans[0].num_slots < plans[1].num_slots < plans[2].num_slots == MOST_SLOTS
    for plan, gib in zip(plans, SIZES, strict=True):
        assert plan.num_slots % ROWS == 0
        assert plan.num_pages * 2 * 4 * MODEL.config.dim * PAGE <= gib * 2**30
    with pytest.raises(ConfigError, match=r"memory is too small for the model; in --memory.*at least"):
        plan_memory(MODEL, **PLAN, memory_gib=1e-5)


def test_paths_that_may_be_added_have_room_for_their_sums() -> None:
    plan = PLAN | {"most_paths": 4096, "sums": 100}
    budget = plan_memory(MODEL, **plan, memory_gib=0.1)
    assert budget.num_slots < plan_memory(MODEL, **PLAN | {"sums": 100}, memory_gib=0.1).num_slots
    assert budget.num_histories * 8 * plan["sums"] * plan["most_paths"] < 0.1 * 2**30
    with pytest.raises(ConfigError, match="fewer --workers, --paths or --max-paths"):
        plan_memory(MODEL, **plan, memory_gib=0.01)
