from __future__ import annotations

import os
from pathlib import Path

import pytest

from proband.core.engine import available_cores, map_shards
from proband.core.errors import DataError


def refuse_three(shard: int) -> int:
    if shard == 3:
        raise DataError("three", where="a shard")
    return 10 * shard


def process_of(shard: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order_of_the_shards(workers: int) -> None:
    assert map_shards(abs, [-5, 4, -3, 2], workers=workers) == [5, 4, 3, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_shard_is_the_error_of_the_stage(workers: int) -> None:
    with pytest.raises(DataError, match="three; in a shard"):
        map_shards(refuse_three, [1, 2, 3, 4], workers=workers)


def test_one_worker_runs_here_and_several_do_not() -> None:
    assert map_shards(process_of, [1, 2], workers=1) == [os.getpid()] * 2
    assert os.getpid() not in map_shards(process_of, [1, 2], workers=2)


def test_never_more_processes_than_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pool(*_: object, **__: object) -> None:
        raise AssertionError("a pool for one shard")

    monkeypatch.setattr("joblib.Parallel", no_pool)
    assert map_shards(abs, [-1], workers=8) == [1]
    assert map_shards(abs, [], workers=8) == []
    assert available_cores() >= 1


def working_folder(_: int) -> str:
    return os.getcwd()


def test_workers_follow_the_caller_into_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(map_shards(working_folder, [1, 2, 3], workers=2)) == {str(tmp_path / name)}
