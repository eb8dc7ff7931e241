"""Runs that are killed, stopped or left without disk lose nothing: the same command ends with the same bytes.

The long form: PROBAND_FAULTS=25 make test-faults. A failure prints its seed; PROBAND_FAULT_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from faults.conftest import Undisturbed
from faults.stages import (
    LONGEST_SECONDS,
    STAGES,
    Stage,
    assert_one_line,
    digests,
    finish,
    names,
    names_until,
    send,
    start,
    stop,
    workers_of,
)

pytestmark = pytest.mark.faults
TIMES = int(os.environ.get("PROBAND_FAULTS", 2))
"""Disturbed runs per stage; fewer of those that take long."""
MOST_KILLS = 5
"""One after the other, in one disturbed run."""
EACH = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.out)
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Room left on the full disk, as shares of the output's size."""
AT_ONCE_SECONDS = 20
SET_BACK = """
import time
now, now_ns = time.time, time.time_ns
time.time = lambda: now() - 365 * 86400
time.time_ns = lambda: now_ns() - 365 * 86400 * 10**9
"""
"""A start-up file of Python: the clock is a year behind the files' times."""


def assert_whole(
    stage: Stage, folder: Path, undisturbed: Undisturbed, environment: Mapping[str, str] | None = None
) -> None:
    """The same command again: the same bytes as undisturbed, and nothing left beside the output."""
    finish(stage, folder, environment)
    assert [digests(folder / out) for out in stage.outs] == undisturbed.digests(stage)
    assert names(folder) == names_until(stage)


@EACH
def test_killed_at_any_moment(
    stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path
) -> None:
    for number in range(undisturbed.rounds(stage, TIMES)):
        (clean / str(number)).mkdir()
        folder = undisturbed.before(stage, clean / str(number))
        for _ in range(draw.randint(1, MOST_KILLS)):
            process = start(stage, folder)
            time.sleep(draw.uniform(0, undisturbed.seconds[stage.out]))
            stop(process, signal.SIGKILL, group=draw.random() < 0.5)  # else workers are left alone
        assert_whole(stage, folder, undisturbed)


@EACH
def test_stopped_by_a_signal(
    stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path
) -> None:
    for number, (name, status) in enumerate([("SIGTERM", 143), ("SIGINT", 130)]):
        (clean / name).mkdir()
        folder = undisturbed.before(stage, clean / name)
        process = start(stage, folder)
        time.sleep(draw.uniform(0.5, 1.0) * undisturbed.seconds[stage.out] + number)
        code, errors = stop(process, signal.Signals[name])
        assert code in (0, status, -signal.Signals[name]), errors[-3000:]  # minus: before Python could listen
        if code != -signal.Signals[name]:
            assert_one_line(errors)
        assert_whole(stage, folder, undisturbed)


@EACH
def test_interrupted_twice(stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path) -> None:
    folder = undisturbed.before(stage, clean)
    process = start(stage, folder)
    time.sleep(draw.uniform(0.3, 1.0) * undisturbed.seconds[stage.out])
    send(process, signal.SIGINT, group=True)
    time.sleep(draw.uniform(0, 0.3))
    send(process, signal.SIGINT, group=True)
    _, errors = process.communicate(timeout=AT_ONCE_SECONDS)
    assert process.returncode in (0, 130, -signal.SIGINT), errors[-3000:]
    if process.returncode != -signal.SIGINT:
        assert_one_line(errors)
    assert_whole(stage, folder, undisturbed)


@EACH
def test_a_clock_set_back(stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path) -> None:
    (clean / "clock").mkdir()
    (clean / "clock" / "sitecustomize.py").write_text(SET_BACK)
    (clean / "run").mkdir()
    folder = undisturbed.before(stage, clean / "run")
    process = start(stage, folder)
    time.sleep(draw.uniform(0.5, 1.0) * undisturbed.seconds[stage.out])
    stop(process, signal.SIGKILL)
    path = os.pathsep.join([str(clean / "clock"), *filter(None, [os.environ.get("PYTHONPATH")])])
    assert_whole(stage, folder, undisturbed, {"PYTHONPATH": path})


@EACH
def test_a_worker_killed_by_the_system(
    stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path
) -> None:
    folder = undisturbed.before(stage, clean)
    process = start(stage, folder)
    victims: list[int] = []
    while process.poll() is None and not victims:
        victims = workers_of(process)
        time.sleep(0.01)
    if not victims:
        process.communicate()
        pytest.skip("a stage of one process")
    time.sleep(draw.uniform(0, 0.5))
    for victim in victims[:1]:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
    _, errors = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode in (0, 1, 2), errors[-3000:]
    assert_one_line(errors)
    assert_whole(stage, folder, undisturbed)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@EACH
def test_a_full_disk(stage: Stage, undisturbed: Undisturbed, clean: Path) -> None:
    outs = [undisturbed.folder / out for out in stage.outs]
    size = sum(path.stat().st_size for out in outs for path in out.rglob("*") if path.is_file())
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", clean], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount")
    try:
        undisturbed.before(stage, clean)
        for share in LEVELS:
            _resize(clean, max(16, int(share * size / 1024)))
            process = start(stage, clean)
            _, errors = process.communicate(timeout=LONGEST_SECONDS)
            assert process.returncode == 2, errors[-3000:]
            assert_one_line(errors)
            assert not (clean / stage.out).exists()
        _resize(clean, 10 * size // 1024 + 65536)
        assert_whole(stage, clean, undisturbed)
    finally:
        subprocess.run(["umount", "-l", clean], check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@EACH
def test_a_read_only_target(stage: Stage, undisturbed: Undisturbed, clean: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", clean], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount")
    try:
        undisturbed.before(stage, clean)
        subprocess.run(["mount", "-o", "remount,ro", clean], check=True)
        _, errors = (process := start(stage, clean)).communicate(timeout=LONGEST_SECONDS)
        assert process.returncode == 2, errors[-3000:]
        assert_one_line(errors)
        assert "Read-only file system" in errors
    finally:
        subprocess.run(["umount", "-l", clean], check=False)


@EACH
def test_two_writers_of_one_output(stage: Stage, undisturbed: Undisturbed, clean: Path) -> None:
    folder = undisturbed.before(stage, clean)
    processes = [start(stage, folder) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=LONGEST_SECONDS)
        assert process.returncode in (0, 2), errors[-3000:]
        assert_one_line(errors)
        if process.returncode == 2:
            assert str(processes[0].pid) in errors or str(processes[1].pid) in errors
    assert_whole(stage, folder, undisturbed)


@EACH
def test_inputs_that_vanish_in_the_middle(
    stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path
) -> None:
    if not stage.inputs:
        pytest.skip("a stage that reads nothing")
    folder = undisturbed.before(stage, clean)
    process = start(stage, folder)
    time.sleep(draw.uniform(0.1, 1.0) * undisturbed.seconds[stage.out])
    gone = draw.choice(stage.inputs)
    (folder / gone).unlink()
    _, errors = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode in (0, 2), errors[-3000:]
    assert_one_line(errors)
    (folder / gone).symlink_to(undisturbed.folder / gone)
    assert_whole(stage, folder, undisturbed)


def _resize(folder: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", folder], check=True)
