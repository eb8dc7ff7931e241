"""Map one function over shards: in this process, in a local pool, or on Spark.

Stages write their work as ``function(shard) -> result`` with picklable arguments; where it runs is decided
here alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from proband.core.errors import ConfigError, ProbandError, first_line
from proband.core.running.progress import be_worker, duration, heartbeat, track

Shard = TypeVar("Shard")
Result = TypeVar("Result")
_PARENT_SECONDS = 0.2
"""How often a worker looks whether its parent lives: less than a new run takes to start."""
_LEAST_JAVA = 17
"""That of Spark 4 (https://spark.apache.org/docs/4.0.0/)."""


def available_cores() -> int:
    """Cores this process may use, at least 1: by its affinity, the limits of its container (cgroups) and
    LOKY_MAX_CPU_COUNT (https://joblib.readthedocs.io/en/stable/generated/joblib.cpu_count.html)."""
    from joblib.externals.loky import cpu_count

    return int(cpu_count())


def map_shards(
    function: Callable[[Shard], Result],
    shards: Sequence[Shard],
    *,
    description: str = "Working",
    workers: int | None = None,
    threads: bool = False,
    spark: str | None = None,
) -> list[Result]:
    """Apply ``function`` to every shard and return the results in the shards' order.

    Args:
        function: A module-level (picklable) function of one shard.
        shards: Picklable descriptions of the work, such as paths.
        description: Label of the progress bar.
        workers: Processes; default one per core, never more than shards. 1 runs in this process.
        threads: The workers are threads instead: for functions that release the GIL.
        spark: Master URL of a Spark cluster (``local[2]``, ``yarn``, ...) that runs one task per shard; it
            needs proband installed, and the paths in the shards within reach. Overrides ``workers``.

    Raises:
        ConfigError: Spark is asked for but not installed, or does not start; or a worker process was killed.
        Whatever ``function`` raises; the remaining shards are cancelled.

    >>> map_shards(abs, [-1, 2, -3], workers=1)
    [1, 2, 3]
    """
    if spark and shards:
        start = time.monotonic()
        what = f"{description} {len(shards)} shards on Spark"
        with heartbeat(lambda: f"{what}, {duration(time.monotonic() - start)} elapsed"):
            return _map_on_spark(function, shards, spark)
    workers = 1 if len(shards) < 2 else min(workers or available_cores(), len(shards))
    if workers == 1:
        return [function(shard) for shard in track(shards, description, len(shards))]
    # joblib's loky: no forked locks, and unlike spawn it does not run the caller's script again, so that
    # notebooks and scripts without a __main__ guard work.
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # Told at its start, not with its first work: a parent may be killed in between.
    each = max(1, available_cores() // workers)
    told: dict[str, Any] = {} if threads else {"initializer": begin_worker, "initargs": (os.getpid(), each)}
    backend = "threading" if threads else "loky"
    pool = Parallel(n_jobs=workers, backend=backend, return_as="generator", **told)
    results = pool(delayed(_in_folder)(os.getcwd(), function, shard) for shard in shards)
    try:
        return list(track(results, description, len(shards)))
    except TerminatedWorkerError as error:
        signals = ", ".join(re.findall(r"SIG\w+", str(error))) or "unknown"
        raise worker_killed(description, signals) from None


def worker_killed(where: str, signals: str) -> ConfigError:
    """The refusal for a process of ours that a signal ended."""
    return ConfigError(
        "a worker process was killed",
        where=where,
        found=f"signal {signals}",
        remedy="mostly memory ran out: run the same command again with fewer --workers or more memory",
    )


def _in_folder(folder: str, function: Callable[[Shard], Result], shard: Shard) -> Result:
    """Work in the caller's folder: workers outlive a call, and relative paths must mean what they meant."""
    os.chdir(folder)
    return function(shard)


def begin_worker(parent: int, threads: int = 1) -> None:
    """Be one of a pool, and end when the parent was killed: a worker would write into the next run's folder.

    Args:
        parent: Number of the process that started this one.
        threads: Of polars, which would else start one for every core in every worker; joblib limits the
            others (OpenMP, BLAS, numba).
    """
    be_worker()
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _map_on_spark(function: Callable[[Shard], Result], shards: Sequence[Shard], master: str) -> list[Result]:
    session, is_ours = spark_session(master)
    try:
        tasks = session.sparkContext.parallelize(list(shards), len(shards))
        outcomes = tasks.map(lambda shard: _caught(function, shard)).collect()
    finally:
        if is_ours:
            session.stop()
    for outcome in outcomes:
        if isinstance(outcome, _Refusal):
            raise outcome.kind(outcome.message)
    return outcomes


class _Refusal:
    """A user's error on its way back: raised in a task, it would come as a page of Java."""

    def __init__(self, error: ProbandError) -> None:
        self.kind, self.message = type(error), str(error)


def _caught(function: Callable[[Shard], Result], shard: Shard) -> Result | _Refusal:
    try:
        return function(shard)
    except ProbandError as error:
        return _Refusal(error)


def spark_session(master: str) -> tuple[Any, bool]:
    """A Spark session, and whether it was started here and is to be stopped here."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        remedy = "pip install 'proband[spark]'"
        raise ConfigError("Spark is not installed", where=master, remedy=remedy) from None
    if active := SparkSession.getActiveSession():
        return active, False
    _require_java(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(master).appName("proband")
    settings = {"spark.sql.session.timeZone": "UTC", "spark.ui.showConsoleProgress": "false"}
    if master.startswith("local"):
        # The name of the machine need not lead back to it.
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate(), True
    except Exception as error:  # py4j's and pyspark's own kinds, by what is wrong
        found = first_line(error)
        remedy = "Spark needs Java (JAVA_HOME) and a master URL such as local[2]"
        raise ConfigError("Spark does not start", where=master, found=found, remedy=remedy) from None


def _require_java(master: str) -> None:
    """Refuse a Java that is not there or older than Spark needs, of which Spark itself tells a page."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    except OSError as error:
        remedy = (
            f"install Java {_LEAST_JAVA} or later (apt-get install default-jre-headless), or set JAVA_HOME"
        )
        found = f"{java}: {error.strerror}"
        raise ConfigError("Spark needs Java", where=master, found=found, remedy=remedy) from None
    version = re.search(r'version "(?:1[.])?(\d+)', said)
    if version and int(version[1]) < _LEAST_JAVA:
        remedy = "set JAVA_HOME to a newer one"
        found, expected = f"{java} of version {version[1]}", f"{_LEAST_JAVA} or later"
        raise ConfigError(
            "Java is too old for Spark", where=master, found=found, expected=expected, remedy=remedy
        )
