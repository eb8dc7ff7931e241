"""A demo killed again and again ends as one that was not."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from faults.stages import Stage, digests, finish, names, start, stop
from faults.test_faults import TIMES

DEMO = Stage("demo", "demo demo --subjects 400 --epochs 0.2")


@pytest.mark.faults
def test_a_demo_killed_again_and_again(demo: tuple[Path, float], draw: random.Random, clean: Path) -> None:
    undisturbed, seconds = demo
    for _ in range(TIMES):
        process = start(DEMO, clean)
        time.sleep(draw.uniform(0, 2 * seconds / TIMES))
        stop(process, signal.SIGKILL, group=draw.random() < 0.5)
    finish(DEMO, clean)
    assert names(clean) == ["demo"]
    assert names(clean / "demo") == names(undisturbed)
    assert digests(clean / "demo") == digests(undisturbed)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A demo's folder, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("demo")
    seconds = finish(DEMO, folder)
    return folder / "demo", seconds
