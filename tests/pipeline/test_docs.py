"""Every code block of README and docs runs, in a folder that holds the outputs of a tiny pipeline."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fresh_process

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "docs", ROOT / "docs" / "platforms"]
PAGES = [ROOT / "README.md", *(page for folder in FOLDERS for page in sorted(folder.glob("*.md")))]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^proband (?:\\\n|[^\n$|<>&;*?`#()])*\n", re.MULTILINE)
"""A proband command that needs nothing of a shell but words and quotes."""


def blocks_of(page: Path) -> list[tuple[str, str]]:
    return [(kind, code) for kind, code in FENCE.findall(page.read_text()) if kind in ("bash", "python")]


def statements(script: str) -> list[tuple[str, str]]:
    """A script of bash, cut into proband commands and the text between them.

    >>> statements("echo a\\nproband report a \\\\\\n  b\\necho b\\n")
    [('bash', 'echo a\\n'), ('proband', 'proband report a \\\\\\n  b\\n'), ('bash', 'echo b\\n')]
    """
    found, place = [], 0
    for command in COMMAND.finditer(script):
        found += [("bash", script[place : command.start()]), ("proband", command.group())]
        place = command.end()
    return [(kind, code) for kind, code in [*found, ("bash", script[place:])] if code.strip()]


WITH_CODE = [page for page in PAGES if blocks_of(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_code_blocks_run(page: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said = tmp_path / "work", tmp_path / "said.txt"
    shutil.copytree(tiny, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for language, block in blocks_of(page):
        for kind, code in statements(block) if language == "bash" else [(language, block)]:
            assert _run(kind, code, said) == 0, f"{page.name}:\n{code}\n{said.read_text()[-2000:]}"


def _run(kind: str, code: str, said: Path) -> int:
    if kind == "python":
        return fresh_process.python(code, said)
    if kind == "proband":
        return fresh_process.proband(shlex.split(code.replace("\\\n", " "))[1:], said)
    with said.open("a") as file:
        return subprocess.run(["bash", "-euc", code], stdout=file, stderr=file, timeout=300).returncode


def test_there_is_code_to_run() -> None:
    assert {"README.md", "quickstart.md"} <= {page.name for page in WITH_CODE}


def test_a_command_that_needs_a_shell_is_left_to_it() -> None:
    script = 'proband tokens a b\nproband report a > b\nproband ehr "$HOME" c\n'
    assert [kind for kind, _ in statements(script)] == ["proband", "bash"]
