"""A demo killed again and again ends as one that was not."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path

import pytest

from faults.stages import Stage, digests, finish, names, start, stop
from faults.test_faults import TIMES

PAGE = "report.html"
OF_THE_RUN = re.compile(r'made-on|<td class="text">[^<]*</td>(<td>[\d.]+</td>){3}</tr>$')
"""Lines of the page with the date and with what each baseline cost."""
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
    found, expected = digests(clean / "demo"), digests(undisturbed)
    del found[PAGE], expected[PAGE]  # compared by its lines
    assert found == expected
    assert lines(clean / "demo" / PAGE) == lines(undisturbed / PAGE)


def lines(page: Path) -> list[str]:
    return [line for line in page.read_text().splitlines() if not OF_THE_RUN.search(line)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A demo's folder, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("demo")
    seconds = finish(DEMO, folder)
    return folder / "demo", seconds
