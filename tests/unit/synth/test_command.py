from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from proband.cli.oracle import command as oracle_command
from proband.cli.synth import command
from proband.core import schema
from proband.core.errors import ConfigError


def test_the_command_makes_a_biobank_and_names_its_options(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    shown = CliRunner().invoke(app, ["--help"]).output
    for option in ("--preset", "--subjects", "--variants", "--scores", "--seed", "--workers", "--overwrite"):
        assert option in shown
    assert CliRunner().invoke(app, [str(tmp_path / "out"), "--subjects", "5"]).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_unknown_preset_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown --preset; found biobnk.*did you mean biobank"):
        command(tmp_path / "out", preset="biobnk")
    assert not (tmp_path / "out").exists()


def test_the_oracle_answers_at_the_times_of_a_risk_table(biobank: Path, tmp_path: Path) -> None:
    asked = schema.RISK.read(biobank / "truth" / "risk.parquet").head(40)
    asked.write_parquet(tmp_path / "times.parquet")
    oracle_command(biobank, tmp_path / "times.parquet", tmp_path / "out", horizons="0.5,2", replicates=4)
    found = schema.RISK.read(tmp_path / "out" / "risk.parquet")
    assert found["horizon_years"].unique().sort().to_list() == [0.5, 2.0]
    keys = ["subject_id", "prediction_time"]
    assert found.select(keys).unique().height == asked.select(keys).unique().height
    with pytest.raises(ConfigError, match="unusable --horizons; found 1;5"):
        oracle_command(biobank, tmp_path / "times.parquet", tmp_path / "other", horizons="1;5")
    assert not (tmp_path / "other").exists()
