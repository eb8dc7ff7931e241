"""Forecasting by several processes that torchrun starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_two_processes_give_the_same_bits_and_another_number_goes_on(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage, "_SHARD_POINTS", 2)
    places = world / "model", world / "tokens"
    config = ForecastConfig(paths=6, max_events=40, estimator="reach")
    forecast(*places, tmp_path / "alone", task=world / "task.yaml", config=config, workers=1)
    alone = RISK.read(tmp_path / "alone" / "risk.parquet")
    options = ["--task", str(world / "task.yaml"), "--estimator=reach", "--paths=6", "--max-events=40"]

    def command(name: str) -> list[str]:
        return ["forecast", *map(str, places), str(tmp_path / name), *options]

    found = start(tmp_path, command("two"))
    assert found.returncode == 0, found.stderr
    assert {f"shard of process {rank}" for rank in (0, 1)} == set(found.stdout.split("\n")) - {""}
    assert found.stderr.count("risks of 7 predictions") == 1  # one process speaks
    assert RISK.read(tmp_path / "two" / "risk.parquet").equals(alone)

    assert start(tmp_path, command("cut"), fault=True).returncode != 0
    assert not (tmp_path / "cut").exists()
    assert list((tmp_path / "cut.partial" / "shards").glob("*.risk.parquet"))
    capsys.readouterr()
    forecast(*places, tmp_path / "cut", task=world / "task.yaml", config=config, workers=1)
    assert "going on with the interrupted run" in capsys.readouterr().err
    assert RISK.read(tmp_path / "cut" / "risk.parquet").equals(alone)
