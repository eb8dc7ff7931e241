"""Inputs of a stage that are changed while it runs, or swapped with those of another run."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from faults.conftest import Undisturbed
from faults.stages import LONGEST_SECONDS, STAGES, Stage, assert_one_line, digests, finish, start
from proband.core.errors import ProbandError
from proband.core.files.manifest import open_output

pytestmark = pytest.mark.faults
READERS = [stage for stage in STAGES if stage.inputs]
FOLDERS = [stage for stage in STAGES[:-1] if stage.other]


@pytest.mark.parametrize("stage", READERS, ids=lambda stage: stage.out)
def test_inputs_that_change_in_the_middle(
    stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path
) -> None:
    folder = undisturbed.before(stage, clean)
    changed = draw.choice(stage.inputs)
    (folder / changed).unlink()
    shutil.copytree(undisturbed.folder / changed, folder / changed)
    file = draw.choice(files_of(folder / changed))
    process = start(stage, folder)
    time.sleep(draw.uniform(0.1, 1.0) * undisturbed.seconds[stage.out])
    flip(file, draw)
    _, errors = process.communicate(timeout=LONGEST_SECONDS)
    assert_one_line(errors)
    if process.returncode == 0:  # it does not read this file, or had read it and ended
        assert [digests(folder / out) for out in stage.outs] == undisturbed.digests(stage)
    else:
        assert process.returncode == 2, errors[-3000:]
        assert not (folder / stage.out).exists()


@pytest.mark.parametrize("stage", FOLDERS, ids=lambda stage: stage.out)
def test_every_file_swapped_with_that_of_another_run(
    stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path
) -> None:
    other = undisturbed.before(stage, clean)
    finish(Stage(stage.out, f"{stage.command} {stage.other}"), other)
    copy = clean / "copy"
    shutil.copytree(undisturbed.folder / stage.out, copy)
    name = json.loads((copy / "manifest.json").read_text())["stage"]
    differing = []
    for file in files_of(copy):
        theirs = other / stage.out / file.relative_to(copy)
        mine = file.read_bytes()
        if not theirs.is_file() or theirs.read_bytes() == mine:
            continue
        differing.append(file)
        file.write_bytes(theirs.read_bytes())
        with pytest.raises(ProbandError, match=r"not as it was written|is missing") as caught:
            open_output(copy, name)
        assert file.name in str(caught.value) or file.name == "manifest.json"
        assert "remedy" in str(caught.value)
        file.write_bytes(mine)
    assert len(differing) > 1
    open_output(copy, name)


@pytest.mark.parametrize("stage", READERS, ids=lambda stage: stage.out)
def test_a_changed_input_stops_whoever_reads_it(
    stage: Stage, undisturbed: Undisturbed, draw: random.Random, clean: Path
) -> None:
    folder = undisturbed.before(stage, clean)
    for changed in stage.inputs:
        whole = Path(os.readlink(folder / changed))
        (folder / changed).unlink()
        shutil.copytree(whole, folder / changed)
        read = folder / next(word for word in stage.command.split() if word.split("/")[0] == changed)
        file = draw.choice(files_of(read)) if read.is_dir() else read
        flip(file, draw)
        _, errors = (process := start(stage, folder)).communicate(timeout=LONGEST_SECONDS)
        assert process.returncode == 2, (file, errors[-3000:])
        assert_one_line(errors)
        assert file.name in errors
        shutil.rmtree(folder / changed)
        (folder / changed).symlink_to(whole)


def files_of(folder: Path) -> list[Path]:
    """Files with content."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def flip(file: Path, draw: random.Random) -> None:
    """Change one bit of a file."""
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(7)
    file.write_bytes(content)
