from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from proband.core.errors import CheckpointError, ProbandError
from proband.model.checkpoint import load_model, save_model
from proband.model.config import FORMAT_VERSION
from small_world import GENOME, batch_of, random_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = random_model(once=[2, 7], fusion="prefix", modalities=GENOME)
    model.fusion.encoders["genome"].standardise_with(torch.tensor([1.0, 2.0, 3.0]), torch.ones(3))
    save_model(model, tmp_path, "abc" * 20)
    return tmp_path


def test_a_round_trip_keeps_everything(folder: Path) -> None:
    model, again = random_model(once=[2, 7], fusion="prefix", modalities=GENOME), load_model(folder)
    assert again.config == model.config
    assert again.what.once.nonzero().flatten().tolist() == [2, 7]
    assert not again.training
    assert again.fusion.encoders["genome"].mean.tolist() == [1.0, 2.0, 3.0]
    again.fusion.encoders["genome"].standardise_with(torch.zeros(3), torch.ones(3))
    batch = batch_of([[1, 2, 3]], [[0, 5, 9]], statics=[[1]])
    with torch.no_grad():
        first = model.hidden(batch.tokens, batch.ages, batch.statics, {})[0]
        second = again.hidden(batch.tokens, batch.ages, batch.statics, {})[0]
    assert torch.equal(first, second)


def test_another_vocabulary_is_refused(folder: Path) -> None:
    load_model(folder, "abc" * 20)
    with pytest.raises(CheckpointError, match=r"different vocabularies.*tokens ffff.*--vocabulary"):
        load_model(folder, "f" * 64)


def test_an_unknown_version_is_refused(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"format_version": FORMAT_VERSION + 1}))
    with pytest.raises(CheckpointError, match=r"unknown checkpoint version.*found \d+.*expected \d+"):
        load_model(folder)


@pytest.mark.parametrize("size", [0, 4, 100, -100])
def test_truncated_weights_give_one_line(folder: Path, size: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"not as it was written.*model\.safetensors.*bytes") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"files": {}}))
    with pytest.raises(CheckpointError, match="unreadable model") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_of_the_weights_is_seen_without_a_manifest(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not as it was written.*model\.safetensors.*SHA-256"):
        load_model(folder)


@pytest.mark.parametrize("text", ["[]", '{"files": 3}', '{"files": {"model.safetensors": 1}}', "[" * 10**5])
def test_a_configuration_of_something_else(folder: Path, text: str) -> None:
    version = {"format_version": FORMAT_VERSION}
    whole = json.dumps(json.loads(text) | version) if text.startswith("{") else text
    (folder / "config.json").write_text(whole)
    with pytest.raises(ProbandError) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"depth": 3}, {"dim": 32}, {"odd": 1}, {"vocabulary_size": 9}])
def test_a_configuration_that_does_not_fit_the_weights(folder: Path, change: dict) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["model"] |= change
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="unreadable model") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model.*proband train"):
        load_model(tmp_path / "none")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"missing.*model\.safetensors"):
        load_model(folder)


@pytest.mark.parametrize(
    "change", [{"depth": 10**9}, {"dim": 10**9}, {"vocabulary_size": 10**12}, {"depth": 900, "dim": 960}]
)
def test_a_shape_that_no_file_holds_is_refused_before_it_is_built(folder: Path, change: dict) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["model"] |= change
    (folder / "config.json").write_text(json.dumps(content))
    start = time.monotonic()
    with pytest.raises(CheckpointError, match="unreadable model") as caught:
        load_model(folder)
    assert time.monotonic() - start < 1
    assert "\n" not in str(caught.value)


def test_a_card_that_is_no_text_is_one_line(folder: Path) -> None:
    (folder / "README.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="no UTF-8"):
        load_model(folder)
