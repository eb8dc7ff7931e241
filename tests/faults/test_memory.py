"""Stages under a limit of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from faults.conftest import Undisturbed
from faults.stages import LONGEST_SECONDS, STAGES, Stage, assert_one_line, digests
from faults.test_faults import assert_whole

ROOM_MB = (16, 64, 256, 1024)
"""Address space beside what the libraries take."""
LIMITED = """
import resource, sys
from pathlib import Path
import numpy, polars, pyarrow.parquet, scipy.linalg, torch  # OpenBLAS waits for ever for memory to load in
from proband.cli.main import main

pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv.pop(1)) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
main()
"""


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.out)
def test_a_limit_of_memory(stage: Stage, undisturbed: Undisturbed, clean: Path) -> None:
    folder = undisturbed.before(stage, clean)
    for room in ROOM_MB:
        ended = subprocess.run(
            [sys.executable, "-c", LIMITED, str(room), *stage.command.split()],
            cwd=folder, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False,
        )  # fmt: skip
        print(f"{stage.out} {room} MB: status {ended.returncode} {ended.stderr[-200:]!r}")
        if ended.returncode == 0:
            assert [digests(folder / out) for out in stage.outs] == undisturbed.digests(stage)
            return
        assert not (folder / stage.out).exists()
        if ended.returncode in (1, 2):  # else a library ended the process
            assert_one_line(ended.stderr)
    assert_whole(stage, folder, undisturbed)
