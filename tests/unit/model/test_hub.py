from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from proband.core.errors import CheckpointError
from proband.model.checkpoint import load_model, save_model
from proband.model.folder import FILES
from proband.model.transformer import Proband
from small_world import random_model

HASH = "abc" * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder as `proband train` leaves it, with a file that is no part of the model."""
    out = tmp_path / "model"
    out.mkdir()
    save_model(random_model(once=[2]), out, HASH)
    (out / "vocabulary.json").write_text('{"codes": []}')
    (out / "README.md").write_text("# A card\n")
    (out / "manifest.json").write_text("{}")
    return out


def same(one: Proband, other: Proband) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return one.config == other.config and all(torch.equal(a, b) for a, b in pairs)


def test_a_model_folder_is_what_from_pretrained_reads_and_save_pretrained_writes(
    folder: Path, tmp_path: Path
) -> None:
    model = Proband.from_pretrained(folder)
    assert same(model, load_model(folder))
    assert not model.training
    model.save_pretrained(tmp_path / "copy")
    assert sorted(os.listdir(tmp_path / "copy")) == sorted(FILES)
    for name in ("vocabulary.json", "README.md"):
        assert (tmp_path / "copy" / name).read_text() == (folder / name).read_text()
    assert same(load_model(tmp_path / "copy", HASH), model)
    (tmp_path / "copy" / "vocabulary.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"not as it was written.*vocabulary\.json"):
        load_model(tmp_path / "copy")


def test_from_pretrained_refuses_what_load_model_refuses(folder: Path, tmp_path: Path) -> None:
    Proband.from_pretrained(folder, vocabulary_hash=HASH)
    with pytest.raises(CheckpointError, match="different vocabularies"):
        Proband.from_pretrained(folder, vocabulary_hash="f" * 64)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="no model"):
        Proband.from_pretrained(tmp_path / "empty")
    (folder / "config.json").write_text("{")
    with pytest.raises(Exception, match="unreadable JSON"):
        Proband.from_pretrained(folder)


def test_a_model_without_its_vocabulary_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"without its vocabulary.*proband train"):
        random_model().save_pretrained(tmp_path / "out")


def cached(folder: Path, cache: Path, name: str) -> None:
    """Lay a model folder down as a repository in a cache of the hub."""
    repository, commit = cache / f"models--{name.replace('/', '--')}", "1" * 40
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir()
    for file in FILES:
        (snapshot / file).write_bytes((folder / file).read_bytes())


OFFLINE = """
import sys
from proband.core.errors import CheckpointError
from proband.model.transformer import Proband
print(Proband.from_pretrained("clinic/lives").vocabulary_hash)
for name in ("clinic/other", "no such name"):
    try:
        Proband.from_pretrained(name)
    except CheckpointError as error:
        print(error)
"""


def test_a_repository_in_the_cache_loads_without_a_network(folder: Path, tmp_path: Path) -> None:
    cached(folder, tmp_path / "cache", "clinic/lives")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == HASH
    assert len(lines) == 3
    for name, line in zip(("clinic/other", "no such name"), lines[1:], strict=True):
        assert line.startswith(f"no model; in {name}; found")
        assert "remedy: check the name" in line
