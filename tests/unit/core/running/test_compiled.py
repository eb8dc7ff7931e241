from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from proband.core.running.compiled import compiled


def total(x):
    s = 0.0
    for value in x:
        s += value
    return s


def test_compiled_code_gives_what_python_gives():
    x = np.arange(10.0)
    assert compiled(total, {"reassoc"})(x) == total(x) == 45


def test_without_a_place_to_keep_it_a_function_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch):
    njit, kept = numba.njit, []

    def nowhere(**options):
        kept.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", nowhere)
    assert compiled(total, ())(np.arange(3.0)) == 3
    assert kept == [True, False]


@pytest.mark.parametrize("index", ["modules that are no more", "cut"])
def test_kept_code_that_cannot_be_read_is_compiled_again(tmp_path: Path, index: str):
    source = tmp_path / "kernel.py"
    source.write_text("def twice(x):\n    return 2 * x\n")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from proband.core.running.compiled import compiled\n"
        "from kernel import twice\n"
        "print(compiled(twice)(21))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert run() == "42"
    (kept,) = (tmp_path / "kept").rglob("*.nbi")
    content = kept.read_bytes()
    if index == "cut":
        kept.write_bytes(content[: len(content) // 2])
    else:
        with kept.open("rb") as file:
            version = pickle.load(file)
        gone = pickle.dumps(version) + b"cproband.no_such_module\nName\n."
        kept.write_bytes(gone)
    assert run() == "42"
    assert len(kept.read_bytes()) >= len(content)
