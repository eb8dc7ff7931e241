"""The launch files of examples/launch, on processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from proband.core.files.manifest import read_manifest

LAUNCH = Path(__file__).resolve().parents[3] / "examples" / "launch"
OPTIONS = ["--no-onset", "--depth=1", "--context=16", "--batch-tokens=256", "--epochs=0.2"]


def start(file: str, world: Path, out: Path, **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHON": sys.executable, "DEVICE": "cpu", "OMP_NUM_THREADS": "1"} | variables
    command = ["bash", str(LAUNCH / file), str(world / "tokens"), str(out), *OPTIONS]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def assert_trained_by_two(out: Path, *processes: subprocess.Popen[str]) -> None:
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(said)
    assert read_manifest(out)["notes"]["processes"] == 2


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.mark.parametrize("file", sorted(path.name for path in LAUNCH.iterdir()))
def test_bash_reads_it(file: str) -> None:
    subprocess.run(["bash", "-n", str(LAUNCH / file)], check=True)


@pytest.mark.slow
def test_one_node(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    assert_trained_by_two(out, start("one_node.sh", world, out, PROCESSES="2"))


@pytest.mark.slow
def test_machines_that_are_told_of_each_other_by_variables(world: Path, tmp_path: Path) -> None:
    out, port = tmp_path / "m", free_port()
    machines = [
        start(
            "environment.sh",
            world,
            out,
            WORLD_SIZE="2",
            RANK=str(rank),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port,
        )
        for rank in range(2)
    ]
    assert_trained_by_two(out, *machines)


@pytest.mark.slow
def test_slurm(world: Path, tmp_path: Path) -> None:
    commands = {"srun": 'exec "$@"', "scontrol": "echo 127.0.0.1"}
    for name, line in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o700)
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "here",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_GPUS_ON_NODE": "2",
        "SLURM_CPUS_PER_TASK": "2",
    }
    assert_trained_by_two(tmp_path / "m", start("slurm.sbatch", world, tmp_path / "m", **variables))
