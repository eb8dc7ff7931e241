"""All experiments in a call: seeds beside each other, then the tables of several seeds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from biobank import SEEDS
from run_all import SCRIPTS, Part, last_line, run_parts, seeds_of, succeeds

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def test_every_experiment_on_a_biobank_is_run() -> None:
    scripts = {path.stem for path in EXPERIMENTS.glob("*.py") if "arguments(__doc__" in path.read_text()}
    assert scripts - {"run_all"} == set(SCRIPTS)
    assert len(SCRIPTS) == len(set(SCRIPTS))


@pytest.mark.parametrize("script", SCRIPTS)
def test_seeds_are_those_of_the_script(script: str) -> None:
    named = f"{script}.py OUT --size small --seeds {' '.join(map(str, seeds_of(script)))}"
    assert named in (EXPERIMENTS / f"{script}.py").read_text()
    assert seeds_of(script)[0] == SEEDS[0]


class Runs:
    """In the place of processes: what began and ended, and which parts fail."""

    def __init__(self, failing: tuple[str, ...] = ()) -> None:
        self.failing = failing
        self.began: list[str] = []
        self.at_once = 0
        self.most = 0
        self.seeds: set[int] = set()

    async def __call__(self, part: Part, threads: int) -> bool:
        assert threads >= 1
        assert not self.seeds & set(part.seeds)  # else two processes write to one biobank
        self.began.append(part.name)
        self.seeds |= set(part.seeds)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        self.seeds -= set(part.seeds)
        return part.name not in self.failing


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_seeds_go_beside_each_other_and_scripts_of_several_seeds_run_for_all_of_them_last(jobs: int) -> None:
    runs = Runs()
    assert asyncio.run(run_parts({"a": (0, 1, 2), "b": (0,), "c": (0, 1, 2)}, jobs, runs)) == []
    assert runs.most == jobs
    assert sorted(runs.began[:-2]) == ["a_0", "a_1", "a_2", "b_0", "c_0", "c_1", "c_2"]
    assert runs.began[-2:] == ["a_0_1_2", "c_0_1_2"]
    own = [name for name in runs.began if name in ("a_0", "b_0", "c_0")]
    assert own == ["a_0", "b_0", "c_0"]


def test_a_script_that_fails_does_not_stop_others() -> None:
    runs = Runs(failing=("a_1", "c_0_1"))
    failed = asyncio.run(run_parts({"a": (0, 1), "c": (0, 1)}, 2, runs))
    assert [part.name for part in failed] == ["a_1", "c_0_1"]
    assert "c_1" in runs.began
    assert "a_0_1" not in runs.began


def test_what_a_command_prints_is_in_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = "import os; print(os.environ['OMP_NUM_THREADS']); {'x': 1}['y']"
    log = tmp_path / "one.log"
    assert not asyncio.run(succeeds([sys.executable, "-c", program], "one", log, 3))
    assert log.read_text().startswith("3\n")
    said = capsys.readouterr().err
    assert "one: begins" in said
    assert "one: failed, exit code 1: KeyError: 'y', 0.0 minutes" in said
    assert asyncio.run(succeeds([sys.executable, "-c", "pass"], "two", log, 1))
    assert last_line(log.read_text().splitlines()) == "nothing printed"


def test_interrupted_it_ends_the_command_that_runs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"

    async def interrupted() -> None:
        task = asyncio.create_task(succeeds([sys.executable, "-c", program], "one", log, 1))
        while not (log.is_file() and log.read_text()):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


@pytest.mark.slow
def test_scripts_run_from_the_biobank_to_their_tables(tmp_path: Path) -> None:
    """At size tiny: each writes its tables, and scores developed in the people judged stand out."""
    chosen = ["controls", "ungenotyped", "own_cohort"]
    words = [sys.executable, EXPERIMENTS / "run_all.py", tmp_path, "--size", "tiny", "--seeds", "0"]
    found = subprocess.run([*words, "--jobs", "2", "--only", *chosen], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]
    tables = {name: pl.read_csv(tmp_path / "tiny" / f"{name}.csv") for name in chosen}
    for name, table in tables.items():
        assert table.height
        assert f"experiments/{name}.py" in (tmp_path / "tiny" / f"{name}.md").read_text()
    assert set(tables["controls"]["expected"]) == {"more", "nothing"}
    seen = dict(tables["own_cohort"].filter(gain="seen").select("model", "value").iter_rows())
    assert seen["EHR+PCs+PGS of own cohort"] > 0.1 + seen["EHR+PCs+PGS prefix"]
