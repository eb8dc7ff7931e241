"""Forecasting by several processes that torchrun starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from proband.core.schema import RISK
from proband.forecast import forecast, stage
from proband.forecast.config import ForecastConfig

SCRIPT = """
import os
from proband.cli.main import main
from proband.forecast import stage
stage._SHARD_POINTS = 2
original, done = stage.forecast_shard, []
def shard(*arguments, **options):
    if {fault!r} and os.environ["RANK"] == "1" and done:
        os._exit(9)
    done.append(original(*arguments, **options))
    print("shard of process", os.environ["RANK"], flush=True)
stage.forecast_shard = shard
main()
"""


def start(folder: Path, arguments: list[str], fault: bool = False) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine; with ``fault`` the second dies at its second shard."""
    script = folder / "script.py"
    script.write_text(SCRIPT.format(fault=fault))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*command, str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


OPTIONS = ["--estimator=reach", "--paths=6", "--max-events=40"]
CONFIG = ForecastConfig(paths=6, max_events=40, estimator="reach")


@pytest.fixture
def alone(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Risks of one process, of shards of two predictions."""
    monkeypatch.setattr(stage, "_SHARD_POINTS", 2)
    return forecast_alone(world, tmp_path / "alone")


def forecast_alone(world: Path, out: Path) -> pl.DataFrame:
    forecast(world / "model", world / "tokens", out, task=world / "task.yaml", config=CONFIG, workers=1)
    return RISK.read(out / "risk.parquet")


def command(world: Path, out: Path) -> list[str]:
    places = [str(path) for path in (world / "model", world / "tokens", out)]
    return ["forecast", *places, "--task", str(world / "task.yaml"), *OPTIONS]


def test_two_processes_give_the_same_bits(world: Path, tmp_path: Path, alone: pl.DataFrame) -> None:
    found = start(tmp_path, command(world, tmp_path / "two"))
    assert found.returncode == 0, found.stderr
    assert {f"shard of process {rank}" for rank in (0, 1)} == set(found.stdout.split("\n")) - {""}
    assert found.stderr.count("risks of 7 predictions") == 1  # one process speaks
    assert RISK.read(tmp_path / "two" / "risk.parquet").equals(alone)


@pytest.mark.slow
def test_another_number_of_processes_goes_on(
    world: Path, tmp_path: Path, alone: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cut"
    assert start(tmp_path, command(world, out), fault=True).returncode != 0
    assert not out.exists()
    assert list((tmp_path / "cut.partial" / "shards").glob("*.risk.parquet"))
    capsys.readouterr()
    again = forecast_alone(world, out)
    assert "going on with the interrupted run" in capsys.readouterr().err
    assert again.equals(alone)
