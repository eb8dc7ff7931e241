from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proband.core.errors import ConfigError
from proband.core.files.lock import only_writer
from proband.core.files.provenance import stage_output

WRITER = """
import sys, time
from pathlib import Path
from proband.core.files.provenance import stage_output
with stage_output(Path(sys.argv[1]), stage="x", config={}) as run:
    (run.folder / "rows").write_text("of people")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_and_what_a_killed_one_left_goes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(out)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "writing\n"
        with (
            pytest.raises(ConfigError, match=rf"being written.*found process {first.pid} on \S+; remedy"),
            stage_output(out, stage="x", config={}),
        ):
            pass
        first.send_signal(signal.SIGKILL)
    assert any(name.startswith(".out.writing-") for name in os.listdir(tmp_path))
    with stage_output(out, stage="x", config={}) as run:
        (run.folder / "rows").write_text("whole")
    assert os.listdir(tmp_path) == ["out"]
    assert (out / "rows").read_text() == "whole"


def test_an_output_moved_aside_by_a_killed_writer_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / ".out.replaced-x"
    (aside / "out").mkdir(parents=True)
    (aside / "out" / "a").write_text("old")
    other = tmp_path / ".out.b.writing-x"  # of another output, whose name begins alike
    other.mkdir()
    with only_writer(tmp_path / "out"), only_writer(tmp_path / "out"):
        assert (tmp_path / "out" / "a").read_text() == "old"
        assert not aside.exists()
    assert other.exists()
    assert sorted(os.listdir(tmp_path)) == [".out.b.writing-x", "out"]


def test_locks_are_released_on_failure(tmp_path: Path) -> None:
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(ValueError, match="stop"), only_writer(tmp_path / "out"):
            raise ValueError("stop")
    assert os.listdir(tmp_path) == []
    assert time.monotonic() - start < 1
