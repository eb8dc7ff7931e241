"""Both sides are followed alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.ehr.meds.dataset import list_shards
from proband.realism.futures import (
    Futures,
    Points,
    join,
    leaving_times,
    read_points,
    read_whose,
    real_futures,
    simulated_futures,
    split_by_shard,
)
from proband.tokens.dataset import TokenStore
from simulated_futures import hand_futures
from small_world import HandStore, Record


def hand_points(store: HandStore, start: list[int], horizon: int) -> Points:
    ids = store.subject_ids[: len(start)]
    frame = pl.DataFrame({"source_subject_id": ids, "prediction_time": [None] * len(start)})
    return Points(frame, np.arange(len(start)), np.array(start), np.full(len(start), horizon))


def test_real_futures_end_at_exit_at_death_or_at_the_horizon() -> None:
    store = HandStore(
        [
            Record([2, 3, 4], [10, 20, 30], exit=40),
            Record([2, 3, 4], [10, 20, 90], exit=90),
            Record([2, 3, 7], [10, 20, 30], exit=30, died=True),
            Record([2, 7], [10, 80], exit=80, died=True),
        ]
    )
    real = real_futures(store, hand_points(store, [10, 10, 10, 10], 50))
    assert real.followed.tolist() == [30, 50, 20, 50]
    assert real.died.tolist() == [False, False, True, False]
    assert real.future.tolist() == [0, 0, 1, 2, 2]
    assert real.elapsed.tolist() == [10, 20, 10, 10, 20]
    assert real.token.tolist() == [3, 4, 3, 3, 7]


def test_cutting_keeps_what_happened_before() -> None:
    futures = hand_futures((0, 50, True, [(10, 2), (50, 7)]), (0, 50, False, [(20, 3)]))
    cut = futures.followed_until(np.array([40, 20]))
    assert cut.followed.tolist() == [40, 20]
    assert cut.died.tolist() == [False, False]
    assert cut.elapsed.tolist() == [10, 20]
    assert futures.followed_until(np.array([50, 60])).died.tolist() == [True, False]


def test_taking_and_joining_number_anew() -> None:
    futures = hand_futures((0, 9, False, [(1, 2)]), (1, 9, False, [(2, 3), (3, 4)]), (2, 9, True, [(4, 7)]))
    taken = futures.take(np.array([1, 2]))
    assert taken.point.tolist() == [1, 2]
    assert taken.future.tolist() == [0, 0, 1]
    both = join([futures.take(np.array([0])), taken])
    for name in Futures.__dataclass_fields__:
        assert getattr(both, name).tolist() == getattr(futures, name).tolist()


def test_who_died_leaves_by_the_kaplan_meier_law_of_those_still_there() -> None:
    # At 10 one of four leaves; at 20 one dies; at 30 one of two leaves; one stays to the horizon.
    store = HandStore([Record([2], [1], exit=1)] * 4)
    points = hand_points(store, [0, 0, 0, 0], 50)
    real = hand_futures((0, 10, False, []), (1, 20, True, []), (2, 30, False, []), (3, 50, False, []))
    drawn = np.array([leaving_times(real, points, seed) for seed in range(400)])
    assert (drawn[:, [0, 2, 3]] == [10, 30, 50]).all()
    assert set(drawn[:, 1]) == {30, 50}
    assert (drawn[:, 1] == 30).mean() == pytest.approx(0.5, abs=0.08)


def test_nobody_leaves_before_their_death() -> None:
    rng = np.random.default_rng(0)
    store = HandStore([Record([2], [1], exit=1)] * 300)
    points = hand_points(store, [0] * 300, 50)
    followed, died = rng.integers(1, 51, 300), rng.random(300) < 0.5
    real = hand_futures(*((at, int(followed[at]), bool(died[at]), []) for at in range(300)))
    leaving = leaving_times(real, points, 0)
    assert (leaving >= followed).all()
    assert (leaving[died] > followed[died]).any()
    assert (leaving[~died] == followed[~died]).all()


def test_simulated_futures_are_read_as_they_were_written(
    store: TokenStore, trajectories: dict[str, Path]
) -> None:
    whose = read_whose(trajectories["law"])
    points = read_points(whose, store)
    assert points.frame.height == len(points.row) == whose.height // 4
    shards = list_shards(trajectories["law"])
    parts = split_by_shard(whose, points, shards)
    assert len(parts) > 1
    assert pl.concat(parts).select(whose.columns).equals(whose)
    futures = join(
        [
            simulated_futures(shard, store, part, points.start)
            for shard, part in zip(shards, parts, strict=True)
        ]
    )
    assert futures.point.tolist() == np.repeat(np.arange(len(points.row)), 4).tolist()
    assert (futures.died == (whose["end"] == "death").to_numpy()).all()
    assert (futures.elapsed > 0).all()
    assert (futures.elapsed <= futures.followed[futures.future]).all()
    ends = np.bincount(futures.future, futures.token == store.vocabulary.death, minlength=len(futures))
    assert (ends == futures.died).all()


def test_other_subjects_are_refused(trajectories: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=r"subjects are not in the tokens.*the forecast read"):
        read_points(read_whose(trajectories["law"]), HandStore([Record([2], [1], exit=1)]))


def test_another_stages_folder_is_refused(store: TokenStore) -> None:
    with pytest.raises(DataError, match=r"another stage.*stage tokens.*forecast --trajectories"):
        read_whose(store.folder)
