"""Every stage as a command on a tiny biobank, and what its output is."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TIMED = re.compile(
    r"manifest\.json|metrics\.jsonl|costs\.parquet|loss\.png|README\.md|events\.out\..*|.*\.log"
)
"""Files that hold times of the run; all others are to be the same bytes."""


LONGEST_SECONDS = 900
SENT: Counter[str] = Counter()
"""Signals sent to stages that were running, by name."""


@dataclass(frozen=True)
class Stage:
    """A command that writes an output.

    Attributes:
        out: Name of its output.
        command: What follows ``proband``.
        other: Options of another run, whose output is another; empty where it is the same on so few subjects.
        beside: Names of further outputs.
    """

    out: str
    command: str
    other: str = "--seed 1"
    beside: tuple[str, ...] = ()

    @property
    def outs(self) -> list[str]:
        """Names of all its outputs."""
        return [self.out, *self.beside]

    @property
    def inputs(self) -> list[str]:
        """Outputs that it reads."""
        words = [word.split("/")[0] for word in self.command.split()[1:]]
        return [stage.out for stage in STAGES if stage.out in words and stage.out not in self.outs]


STAGES = (
    Stage("biobank", "synth biobank --subjects 150 --variants 2200 --scores 3 --workers 2"),
    Stage("meds", "ehr biobank/omop meds --splits 0.6 0.2 0.2 --workers 2"),
    Stage("genome", "genome biobank/genotypes biobank/scorefiles genome --workers 2", "--min-match-rate 0.5"),
    Stage("tokens", "tokens meds tokens --min-subjects 2 --workers 2", "--min-subjects 4"),
    Stage(
        "model", "train tokens model --genome genome --fusion prefix --depth 1 --dim 32 --epochs 1 --no-onset"
    ),
    Stage(
        "risk",
        "forecast model tokens risk --task biobank/task.yaml --genome genome --estimator scope --paths 2 "
        "--workers 2",
    ),
    Stage("results", "evaluate risk --meds meds --out results --bootstrap 20", "--tokens tokens"),
    Stage(
        "hazards",
        "train tokens hazards --genome genome --fusion prefix --depth 1 --dim 32 --epochs 0.3 --context 64 "
        "--task asked/task.yaml",
    ),
    Stage("adapted", "finetune hazards tokens adapted --task asked/new.yaml --genome genome"),
    Stage(
        "lora",
        "finetune hazards tokens lora --task asked/new.yaml --genome genome --mode lora --rank 1 --epochs 1",
    ),
    Stage(
        "what_if",
        "forecast hazards tokens what_if --task asked/task.yaml --genome genome "
        "--scenario asked/scenario.yaml",
        "--split tuning",
    ),
    Stage(
        "paths",
        "forecast model tokens paths_risk --task asked/task.yaml --genome genome --estimator mc --paths 2 "
        "--max-events 10 --trajectories paths",
        beside=("paths_risk",),
    ),
    Stage("realism", "realism paths tokens realism", ""),
    Stage("vectors", "embed hazards tokens vectors --genome genome --gwas", "--split train"),
    Stage("why", "explain hazards tokens why --task asked/task.yaml --genome genome"),
    Stage("page", "report results page"),
)
ASKED = {
    "task.yaml": "outcomes: {emergency: {codes: [Visit//ER]}}\n"
    "prediction: {years_after_entry: 2}\nhorizons_years: [1, 5]\n",
    "new.yaml": "outcomes: {glucose: {codes: [LOINC//4548-4]}}\n"
    "prediction: {years_after_entry: 2}\nhorizons_years: [1, 5]\n",
    "scenario.yaml": "scenarios:\n  never: {changes: [{remove: {prefixes: [SNOMED//]}}]}\n"
    "  absent: {changes: [{genome: {absent: true}}]}\n",
}
"""Files of the folder ``asked``: outcomes that enough of the few subjects have."""


def start(stage: Stage, folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a stage in a folder, in a session of its own, with more variables of the environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "proband", *stage.command.split()],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )


def finish(stage: Stage, folder: Path, environment: Mapping[str, str] | None = None) -> float:
    """Run a stage to its end; seconds it took."""
    began = time.monotonic()
    process = start(stage, folder, environment)
    _, errors = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 0, errors[-2000:]
    return time.monotonic() - began


def send(process: subprocess.Popen[str], number: signal.Signals, group: bool) -> None:
    """Send a signal to a stage, or to it and its workers as a terminal does; counted if it still runs."""
    if process.poll() is not None:
        return
    SENT[number.name] += 1
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def stop(process: subprocess.Popen[str], number: signal.Signals, group: bool = False) -> tuple[int, str]:
    """Send a signal to a stage; its exit status and what it said."""
    send(process, number, group)
    _, errors = process.communicate(timeout=LONGEST_SECONDS)
    return process.returncode, errors


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Worker processes of a stage, by the operating system's list of processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == process.pid and b"LokyProcess" in command:
            found.append(int(entry.name))
    return found


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an output that holds no times, or of the output that is a file."""
    if folder.is_file():
        return {folder.name: hashlib.sha256(folder.read_bytes()).hexdigest()}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _TIMED.fullmatch(path.name))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_one_line(errors: str) -> None:
    """No traceback, and one line at most that says why it ended."""
    assert "Traceback" not in errors, errors[-3000:]
    assert len([line for line in errors.splitlines() if line.startswith("proband:")]) <= 1


def names(folder: Path) -> list[str]:
    """What lies in a folder, hidden files included."""
    return sorted(os.listdir(folder))


def names_until(stage: Stage) -> list[str]:
    """What lies in the folder of a run that has come to the end of a stage."""
    stages = STAGES[: STAGES.index(stage) + 1]
    return sorted(["asked", *(out for one in stages for out in one.outs)])
