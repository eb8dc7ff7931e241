from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from proband.cli.synth import command


def test_the_command_makes_a_biobank_and_names_its_options(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    shown = CliRunner().invoke(app, ["--help"]).output
    for option in ("--subjects", "--seed", "--scores", "--overwrite"):
        assert option in shown
    assert CliRunner().invoke(app, [str(tmp_path / "out"), "--subjects", "5"]).exit_code == 2
    assert not (tmp_path / "out").exists()
