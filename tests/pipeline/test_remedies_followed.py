"""Remedies that users meet most: a message is provoked, what it says is done, and the command ends well."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from proband.cli.main import main
from refused_commands import CASES, Case


@pytest.fixture
def world(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The outputs of the tiny run, as the working folder; nothing may be written into them."""
    for path in tiny.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("proband.cli.main._leave", sys.exit)  # it ends the process
    return tmp_path


def status(monkeypatch: pytest.MonkeyPatch, command: str) -> int:
    monkeypatch.setattr(sys, "argv", ["proband", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_message_says_ends_well(
    case: Case, world: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    case.prepare()
    assert status(monkeypatch, case.command) == 2
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert case.says in said
    for cure in case.cures:
        assert status(monkeypatch, cure) == 0, capfd.readouterr().err[-1000:]
