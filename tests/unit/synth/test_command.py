from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from proband.cli.main import app
from proband.core import schema
from proband.synth import SynthConfig


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_makes_a_biobank_and_names_its_options(tmp_path: Path) -> None:
    shown = run("synth", "--help").output
    for option in ("--preset", "--subjects", "--variants", "--scores", "--seed", "--workers", "--overwrite"):
        assert option in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--subjects", 5), "unusable --subjects; found 5; expected greater than or equal to 20"),
        (("--preset", "biobnk"), "unusable --preset; found 'biobnk'; expected 'demo' or 'biobank'"),
    ],
)
def test_unusable_settings_are_one_clear_line(
    words: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    assert str(run("synth", tmp_path / "out", *words).exception) == message
    assert not (tmp_path / "out").exists()


def test_a_preset_decides_what_is_not_given() -> None:
    config = SynthConfig(preset="demo", subjects=60)
    assert (config.subjects, config.scores, config.variants) == (60, 80, 20_000)
    assert (SynthConfig().scores, SynthConfig(preset="biobank").scores) == (300, 300)
    assert "preset" not in config.model_dump()


def test_the_oracle_answers_at_the_times_of_a_risk_table(biobank: Path, tmp_path: Path) -> None:
    asked = schema.RISK.read(biobank / "truth" / "risk.parquet").head(40)
    asked.write_parquet(tmp_path / "times.parquet")
    words = ("oracle", biobank, tmp_path / "times.parquet")
    made = run(*words, tmp_path / "out", "--horizons", "0.5,2", "--replicates", 4)
    assert made.exit_code == 0, made.output
    found = schema.RISK.read(tmp_path / "out" / "risk.parquet")
    assert found["horizon_years"].unique().sort().to_list() == [0.5, 2.0]
    keys = ["subject_id", "prediction_time"]
    assert found.select(keys).unique().height == asked.select(keys).unique().height
    refused = run(*words, tmp_path / "other", "--horizons", "1;5").exception
    assert str(refused).startswith("unusable --horizons; found '1;5'; expected a number")
    assert not (tmp_path / "other").exists()
