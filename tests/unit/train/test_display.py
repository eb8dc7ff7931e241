from __future__ import annotations

import contextlib
import io
import math
import sys

import pytest
from rich.console import Console

from proband.train.display import Display, terminal

VALUES = {"events_per_second": 8123.4, "loss_when": 5.4321, "loss_what": 2.3456}


def shown(**changes: float) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=160, color_system=None)
    arguments = {"share": 0.25, "step": 1200, "seconds": 100.0, "best_loss": 7.5, "values": VALUES} | changes
    with Display(console) as display:
        display.show(**arguments)
    return file.getvalue()


def test_the_line_tells_share_step_speed_losses_and_time_left() -> None:
    text = shown()
    for part in (
        "25%",
        "step 1,200",
        "8,123 events/s",
        "when 5.432",
        "what 2.346",
        "tuning 7.500",
        "5:00 left",
    ):
        assert part in text
    assert "not evaluated yet" in shown(best_loss=math.inf)


def test_without_a_terminal_short_training_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert terminal() is None
    with Display(terminal(), plain=True) as display:
        display.show(0.5, 1, 1.0, 1.0, VALUES)
    assert capsys.readouterr() == ("", "")
    with Display(None) as display:  # processes beside the first
        display.show(0.5, 1, 1.0, 1.0, VALUES)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    found = terminal()
    assert found is not None
    assert found.stderr


def test_without_a_terminal_a_line_tells_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = []

    @contextlib.contextmanager
    def heartbeat(line):
        lines.append(line)
        yield

    monkeypatch.setattr("proband.train.display.heartbeat", heartbeat)
    with Display(None, plain=True) as display:
        assert lines[0]() == "train: reading the first steps"
        display.show(0.25, 1200, 100.0, 7.5, VALUES)
        line = lines[0]()
    assert line.startswith("train: 25% done, step 1,200")
    for part in ("when 5.432", "what 2.346", "tuning 7.500", "5:00 left"):
        assert part in line
