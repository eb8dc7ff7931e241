"""A finished run of every stage, undisturbed."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from faults.stages import STAGES, Stage, digests, finish


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
        for earlier in STAGES[: STAGES.index(stage)]:
            (folder / earlier.out).symlink_to(self.folder / earlier.out)
        return folder

    def digests(self, stage: Stage) -> dict[str, str]:
        return digests(self.folder / stage.out)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """PROBAND_FAULT_WORLD names a folder that keeps these outputs for further runs of the same code."""
    kept = os.environ.get("PROBAND_FAULT_WORLD")
    folder = Path(kept).resolve() if kept else tmp_path_factory.mktemp("undisturbed")
    seconds_at = folder / "seconds.json"
    if not seconds_at.exists():
        folder.mkdir(parents=True, exist_ok=True)
        seconds_at.write_text(json.dumps({stage.out: finish(stage, folder) for stage in STAGES}))
    return Undisturbed(folder, json.loads(seconds_at.read_text()))


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers; the seed is of the clock unless PROBAND_FAULT_SEED gives it, and is printed."""
    seed = int(os.environ.get("PROBAND_FAULT_SEED", random.SystemRandom().randrange(10**6)))
    print(f"PROBAND_FAULT_SEED={seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def clean(tmp_path: Path):
    """An empty folder that is removed afterwards, as the long run makes hundreds."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
