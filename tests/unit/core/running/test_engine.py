from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proband.core.errors import ConfigError, DataError
from proband.core.files.manifest import read_manifest
from proband.core.running import engine
from proband.core.running.engine import available_cores, map_shards


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


def kill_itself(shard: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return shard


def test_a_killed_worker_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"a worker process was killed.*SIGKILL.*fewer --workers"):
        map_shards(kill_itself, [1, 2], workers=2)
    assert map_shards(abs, [-1, 2], workers=2) == [1, 2]


_ORPHANS = """
import os, signal, sys, time
from pathlib import Path
from proband.core.running.engine import map_shards

def work(path):
    path.write_text(str(os.getpid()))
    if all(other.exists() for other in PATHS):
        os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)

PATHS = [Path(word) for word in sys.argv[1:]]
map_shards(work, PATHS, workers=2)
"""


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    script = tmp_path / "orphans.py"
    script.write_text(_ORPHANS)
    subprocess.run([sys.executable, script, *paths], check=False, stderr=subprocess.DEVNULL, timeout=50)
    workers = [Path("/proc") / path.read_text() for path in paths]
    ends = time.monotonic() + 10
    while any(worker.exists() for worker in workers) and time.monotonic() < ends:
        time.sleep(0.05)
    assert [worker.name for worker in workers if worker.exists()] == []


def test_a_worker_whose_parent_is_gone_before_it_starts_ends() -> None:
    code = "import sys, time; from proband.core.running import engine; engine.begin_worker(1); time.sleep(50)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=40).returncode == 1


def test_one_worker_runs_here_and_several_do_not() -> None:
    assert map_shards(process_of, [1, 2], workers=1) == [os.getpid()] * 2
    assert os.getpid() not in map_shards(process_of, [1, 2], workers=2)


def threads_of(shard: int) -> int:
    import polars as pl

    return pl.thread_pool_size()


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLARS_MAX_THREADS", raising=False)
    monkeypatch.setattr(engine, "available_cores", lambda: 7)
    assert map_shards(threads_of, [1, 2, 3], workers=2) == [3, 3, 3]
    assert "POLARS_MAX_THREADS" not in os.environ


def test_never_more_processes_than_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pool(*_: object, **__: object) -> None:
        raise AssertionError("a pool for one shard")

    monkeypatch.setattr("joblib.Parallel", no_pool)
    assert map_shards(abs, [-1], workers=8) == [1]
    assert map_shards(abs, [], workers=8) == []
    assert available_cores() >= 1


def test_fewer_cores_may_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert available_cores() == 1
    assert map_shards(process_of, [1, 2, 3]) == [os.getpid()] * 3


def working_folder(_: int) -> str:
    return os.getcwd()


def test_workers_follow_the_caller_into_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(map_shards(working_folder, [1, 2, 3], workers=2)) == {str(tmp_path / name)}


def thread_and_process(_: int) -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def test_threads_stay_in_this_process() -> None:
    found = map_shards(thread_and_process, range(20), workers=2, threads=True)
    assert {process for process, _ in found} == {os.getpid()}
    assert threading.get_ident() not in {thread for _, thread in found}


needs_spark = pytest.mark.skipif(
    not importlib.util.find_spec("pyspark") or not shutil.which("java"),
    reason="Spark: pip install 'proband[spark]', and a Java runtime (apt-get install default-jre-headless)",
)


@pytest.fixture(scope="module")
def on_spark() -> Iterator[str]:
    """A master URL, with one session kept over the tests, as a notebook keeps its own."""
    from proband.core.running.engine import spark_session

    session, is_ours = spark_session("local[2]")
    assert is_ours
    yield "local[2]"
    session.stop()


@pytest.mark.slow  # tokens are compared on Spark among the fast tests
@needs_spark
def test_spark_keeps_the_order_and_runs_elsewhere(on_spark: str) -> None:
    assert map_shards(abs, [-5, 4, -3], spark=on_spark) == [5, 4, 3]
    assert os.getpid() not in map_shards(lambda _: os.getpid(), [1, 2], spark=on_spark)
    assert map_shards(abs, [], spark=on_spark) == []


@pytest.mark.slow  # tokens are compared on Spark among the fast tests
@needs_spark
def test_an_error_on_spark_is_the_error_of_the_stage(on_spark: str) -> None:
    with pytest.raises(
        DataError, match=r"^no finished output of a proband stage; in nowhere; .*stage .* first$"
    ):
        map_shards(read_manifest, [Path("nowhere")], spark=on_spark)


@pytest.mark.slow  # tokens are compared on Spark among the fast tests
@needs_spark
def test_a_session_that_was_there_stays(on_spark: str) -> None:
    from pyspark.sql import SparkSession

    map_shards(abs, [-1], spark=on_spark)
    active = SparkSession.getActiveSession()
    assert active is not None
    assert active.conf.get("spark.sql.session.timeZone") == "UTC"
    assert active.sparkContext.master == on_spark


def test_without_spark_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ConfigError, match=r"Spark is not installed; in local\[2\]; remedy: pip install"):
        map_shards(abs, [-1], spark="local[2]")


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (None, r"Spark needs Java; in local\[2\]; found .*java: No such file .*; remedy: install Java 17 or"),
        ("1.8.0_402", r"Java is too old for Spark; .*version 8; expected 17 or later; remedy: set JAVA_HOME"),
        ("11.0.22", r"Java is too old for Spark; .*version 11; expected 17 or later"),
    ],
)
def test_a_java_that_spark_cannot_use_is_one_line(
    version: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("pyspark.sql")
    module.SparkSession = types.SimpleNamespace(getActiveSession=lambda: None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyspark", types.ModuleType("pyspark"))
    monkeypatch.setitem(sys.modules, "pyspark.sql", module)
    java = tmp_path / "bin" / "java"
    if version:
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2022-01-01' >&2\n")
        java.chmod(0o700)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=told):
        map_shards(abs, [-1], spark="local[2]")


def test_a_spark_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Builder:
        def __getattr__(self, _: str) -> Callable[..., Builder]:
            return lambda *_: self

        def getOrCreate(self) -> None:  # noqa: N802
            raise RuntimeError("JAVA_GATEWAY_EXITED\n at some.java.Class")

    class Session:
        builder = Builder()

        @staticmethod
        def getActiveSession() -> None:  # noqa: N802
            return None

    monkeypatch.setitem(sys.modules, "pyspark", types.ModuleType("pyspark"))
    module = types.ModuleType("pyspark.sql")
    module.SparkSession = Session  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyspark.sql", module)
    monkeypatch.setattr(engine, "_require_java", lambda _: None)
    with pytest.raises(
        ConfigError, match="Spark does not start; in spark://x:1; found JAVA_GATEWAY_EXITED; remedy"
    ):
        map_shards(abs, [-1], spark="spark://x:1")
