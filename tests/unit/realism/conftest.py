"""A known world with futures by its own law, and by laws that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import simulated_futures
from known_law import B
from proband.forecast.engine.request import Trajectory
from proband.forecast.risk import Points
from proband.tokens.dataset import TokenStore

PATHS = 4


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    return simulated_futures.world(tmp_path_factory.mktemp("law"), 8000)


@pytest.fixture(scope="session")
def points(store: TokenStore) -> Points:
    return simulated_futures.points_of(store)


def without_b(state: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """The law, but one code is never written down."""
    days, states = simulated_futures.law(state, rng)
    kept = [at for at, code in enumerate(states) if code != B]
    return [days[at] for at in kept], [states[at] for at in kept]


def replayed(store: TokenStore, points: Points, seed: int = 0) -> list[list[Trajectory]]:
    """Each path is what followed the prediction time of a train subject drawn at random."""
    rng = np.random.default_rng(seed)
    train = simulated_futures.points_of(store, split="train")
    horizon = simulated_futures.HORIZON_DAYS * 1440
    found = []
    for start in points.start:
        paths = []
        for path, at in enumerate(rng.integers(0, len(train.rows), PATHS)):
            tokens, ages = store.record(int(train.rows[at]))
            here = (ages > train.start[at]) & (ages <= train.start[at] + horizon)
            died = (
                here.any() and bool(store.died[train.rows[at]]) and tokens[here][-1] == store.vocabulary.death
            )
            minutes = ages[here] - train.start[at] + start
            paths.append(
                Trajectory(path, tokens[here].astype(np.int32), minutes, "death" if died else "horizon")
            )
        found.append(paths)
    return found


GENERATORS: dict[str, Callable] = {
    "law": simulated_futures.law,
    "double gaps": partial(simulated_futures.law, gap_scale=2),
    "without B": without_b,
}


@pytest.fixture(scope="session")
def trajectories(
    store: TokenStore, points: Points, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Trajectories folders by what made them."""
    root = tmp_path_factory.mktemp("trajectories")
    paths = {
        name: simulated_futures.law_paths(store, points, PATHS, 1, future)
        for name, future in GENERATORS.items()
    } | {"replay": replayed(store, points)}
    return {
        name: simulated_futures.write_futures(store, points, drawn, root / name.replace(" ", "_"))
        for name, drawn in paths.items()
    }
