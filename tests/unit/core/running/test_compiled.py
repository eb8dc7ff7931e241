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
