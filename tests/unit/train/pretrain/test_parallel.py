from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from proband.core.batch import EVENT
from proband.core.running.team import Team
from proband.tokens.dataset import TokenStore
from proband.train import train
from proband.train.config import OnsetOptions, TrainConfig
from proband.train.log import read_metrics
from proband.train.pretrain.feed import StepStream

SETTINGS = {"depth": 2, "context": 16, "batch_tokens": 256, "token_budget": 64, "epochs": 2.0} | {
    "evaluate_steps": 5
}
OFF = OnsetOptions(enabled=False)
OPTIONS = ["--no-onset", *(f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items())]
FAULTY = """
import os, sys, time
from proband.cli.main import main
from proband.core.errors import ConfigError
from proband.train.pretrain import loop
original, rank = loop.Trainer._step, os.environ["RANK"]
def step(self, *rest):
    if self.progress.step == 3:
        {fault}
    return original(self, *rest)
loop.Trainer._step = step
if rank == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "1":
    time.sleep(6)  # by then the other has looked for its address
main()
"""


def start(arguments: list[str], processes: int = 2, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """Processes on this machine, with the process group started again so many times."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    how = [f"--nproc-per-node={processes}", f"--max-restarts={restarts}"]
    return subprocess.run(
        [*command, *how, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def faulty(
    folder: Path, world: Path, fault: str, *options: str, restarts: int = 0
) -> subprocess.CompletedProcess[str]:
    script = folder / "faulty.py"
    script.write_text(FAULTY.replace("{fault}", fault))
    arguments = [str(script), "train", str(world / "tokens"), str(folder / "m"), *OPTIONS, *options]
    return start(arguments, restarts=restarts)


@pytest.fixture(scope="module")
def alone(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "m"
    train(world / "tokens", out, config=TrainConfig(**SETTINGS, onset=OFF))
    return out


def assert_same(one: Path, other: Path, after: int = 0) -> None:
    """The same log after a step (a line's sums begin anew where training went on), and the same weights."""
    lines = [[line for line in read_metrics(folder) if line["step"] > after] for folder in (one, other)]
    assert [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]]
    assert len(lines[0]) > 2
    for a, b in zip(*lines, strict=True):
        names = [name for name in a if name.startswith(("loss", "tuning", "gradient", "learning", "padding"))]
        assert [b[name] for name in names] == pytest.approx([a[name] for name in names], rel=2e-5)
    weights = [load_file(folder / "model.safetensors") for folder in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize(
    ("kind", "processes"),
    [
        ("ddp", 2),
        pytest.param("fsdp", 2, marks=pytest.mark.slow),
        pytest.param("ddp", 4, marks=pytest.mark.slow),
    ],
)
def test_several_processes_learn_what_one_learns(
    alone: Path, world: Path, tmp_path: Path, kind: str, processes: int
) -> None:
    out = tmp_path / "m"
    command = ["-m", "proband", "train", str(world / "tokens"), str(out), f"--parallel={kind}", *OPTIONS]
    ended = start(command, processes)
    assert ended.returncode == 0, ended.stderr
    news = [line for line in ended.stderr.splitlines() if "warn" not in line.lower()]
    assert len([line for line in news if line.startswith("train:")]) == 1
    assert "Traceback" not in ended.stderr
    assert_same(alone, out)
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.slow
def test_a_mistake_in_one_process_ends_all_with_one_line(world: Path, tmp_path: Path) -> None:
    ended = faulty(tmp_path, world, 'if rank == "1": raise ConfigError("only here")')
    assert ended.returncode != 0
    assert ended.stderr.count("proband: only here\n") == 1
    assert ended.stderr.count("proband: ") == 1
    assert "[rank" not in ended.stderr  # how torch marks a process's traceback
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_a_killed_process_ends_the_other_with_one_line_and_the_same_command_goes_on(
    alone: Path, world: Path, tmp_path: Path
) -> None:
    ended = faulty(tmp_path, world, 'if rank == "1": os.kill(os.getpid(), 9)', "--save-seconds=0.001")
    assert ended.returncode != 0
    assert ended.stderr.count("proband: ") == 1
    assert "proband: another process of the training ended without a word" in ended.stderr
    assert "lower --token-budget" in ended.stderr
    assert "[rank" not in ended.stderr
    again = start(["-m", "proband", "train", str(world / "tokens"), str(tmp_path / "m"), *OPTIONS])
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("going on with the interrupted run") == 1
    assert_same(alone, tmp_path / "m", after=5)


@pytest.mark.slow
def test_torchrun_starts_the_group_again_from_the_last_state(
    alone: Path, world: Path, tmp_path: Path
) -> None:
    first = 'os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"'
    fault = f'if rank == "1" and {first}: os.kill(os.getpid(), 9)'
    ended = faulty(tmp_path, world, fault, "--save-seconds=0.001", restarts=1)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("going on with the interrupted run") == 1
    assert_same(alone, tmp_path / "m", after=5)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [("ddp", "fsdp"), ("fsdp", "alone")])
def test_a_training_goes_on_in_another_team(
    alone: Path, world: Path, tmp_path: Path, kinds: tuple[str, str]
) -> None:
    fault = f'if rank == "1": os.kill(os.getpid(), {int(signal.SIGTERM)})'
    ended = faulty(tmp_path, world, fault, f"--parallel={kinds[0]}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("the same command goes on") == 1
    assert (tmp_path / "m.partial" / "state.safetensors").is_file()
    arguments = ["train", str(world / "tokens"), str(tmp_path / "m"), *OPTIONS]
    if kinds[1] == "alone":
        train(world / "tokens", tmp_path / "m", config=TrainConfig(**SETTINGS, onset=OFF))
    else:
        again = start(["-m", "proband", *arguments, f"--parallel={kinds[1]}"])
        assert again.returncode == 0, again.stderr
    assert_same(alone, tmp_path / "m", after=5)


def test_the_shares_of_the_tuning_split_make_the_whole(world: Path, small: TrainConfig) -> None:
    store = TokenStore(world / "tokens")
    number = []
    for size in (1, 3):
        shares = [list(StepStream(store, {}, small, Team(rank, size)).tuning(100)) for rank in range(size)]
        assert len({len(share) for share in shares}) == 1
        number.append(sum(int((batch.target == EVENT).sum()) for share in shares for batch in share))
    assert number[0] == number[1] > 100


def test_alone_nothing_is_exchanged() -> None:
    team = Team()
    values = np.arange(3.0)
    assert team.sum(values) is values
    assert team.decide(lambda: 7) == 7
    assert team.is_first
    team.wait()
