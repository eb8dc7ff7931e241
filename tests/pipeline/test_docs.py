"""Every code block of README and docs runs, in a folder that holds the outputs of a tiny pipeline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "docs", ROOT / "docs" / "platforms"]
PAGES = [ROOT / "README.md", *(page for folder in FOLDERS for page in sorted(folder.glob("*.md")))]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[tuple[str, str]]:
    return [(kind, code) for kind, code in FENCE.findall(page.read_text()) if kind in ("bash", "python")]


WITH_CODE = [page for page in PAGES if blocks_of(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_code_blocks_run(page: Path, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(tiny, folder)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    for kind, code in blocks_of(page):
        command = ["bash", "-euc", code] if kind == "bash" else [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{page.name}:\n{code}\n{done.stderr[-2000:]}"


def test_there_is_code_to_run() -> None:
    assert {"README.md", "quickstart.md"} <= {page.name for page in WITH_CODE}
