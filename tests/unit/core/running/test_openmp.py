"""Threads of OpenMP that wait sleep soon, unless the user says otherwise."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has another OpenMP there")
@pytest.mark.parametrize(("given", "expected"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7000"}, "7000")])
def test_the_library_that_pytorch_loads_has_read_it(given: dict[str, str], expected: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    said = subprocess.run(
        [sys.executable, "-c", "import proband, torch"],
        env=inherited | {"OMP_DISPLAY_ENV": "verbose"} | given,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", said)) == {expected}
