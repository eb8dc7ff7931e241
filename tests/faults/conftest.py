"""A finished run of every stage, undisturbed."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from faults.stages import ASKED, SENT, STAGES, Stage, digests, finish, names_until

_ROUND_SECONDS = 6.0


class Undisturbed:
    """Outputs of all stages, with what each took.

    Args:
        folder: Where they lie.
        seconds: Of each stage, by its output.
    """

    def __init__(self, folder: Path, seconds: dict[str, float]) -> None:
        self.folder, self.seconds = folder, seconds

    def before(self, stage: Stage, folder: Path) -> Path:
        """A folder with what the stage reads: the outputs of the stages before it."""
        for name in set(names_until(stage)) - set(stage.outs):
            (folder / name).symlink_to(self.folder / name)
        return folder

    def rounds(self, stage: Stage, times: int) -> int:
        """How often to disturb a stage: long ones less often, at least once."""
        return max(1, round(times * min(1, _ROUND_SECONDS / self.seconds[stage.out])))

    def digests(self, stage: Stage) -> list[dict[str, str]]:
        """Of each of its outputs."""
        return [digests(self.folder / out) for out in stage.outs]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """PROBAND_FAULT_WORLD names a folder that keeps these outputs for further runs of the same code."""
    kept = os.environ.get("PROBAND_FAULT_WORLD")
    folder = Path(kept).resolve() if kept else tmp_path_factory.mktemp("undisturbed")
    seconds_at = folder / "seconds.json"
    if not seconds_at.exists():
        (folder / "asked").mkdir(parents=True, exist_ok=True)
        for name, text in ASKED.items():
            (folder / "asked" / name).write_text(text)
        seconds_at.write_text(json.dumps({stage.out: finish(stage, folder) for stage in STAGES}))
    return Undisturbed(folder, json.loads(seconds_at.read_text()))


SEED = int(os.environ.get("PROBAND_FAULT_SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers; the seed is drawn unless PROBAND_FAULT_SEED gives it, and is printed."""
    print(f"PROBAND_FAULT_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seed and signals sent, below the list of tests."""
    if SENT:
        sent = ", ".join(f"{number} {name}" for name, number in sorted(SENT.items()))
        terminalreporter.write_line(f"PROBAND_FAULT_SEED={SEED}: {sent} sent to running stages")


@pytest.fixture
def clean(tmp_path: Path):
    """An empty folder that is removed afterwards, as the long run makes hundreds."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
