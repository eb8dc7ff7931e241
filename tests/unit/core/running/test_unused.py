from __future__ import annotations

import pytest
from pydantic import BaseModel

from proband.core.running.unused import say_unused


class Settings(BaseModel):
    num_paths: int = 2
    high: int = 1


def test_options_that_are_not_used_are_said_where_they_were_given(capsys: pytest.CaptureFixture) -> None:
    say_unused("forecast", Settings(high=2), ("num_paths", "high"), "nothing is sampled")
    assert capsys.readouterr().err == "forecast: not used: --high, since nothing is sampled\n"
    say_unused("forecast", Settings(), ("num_paths", "high"), "nothing is sampled")
    assert not capsys.readouterr().err
