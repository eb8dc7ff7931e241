"""Onset hazards through the train stage on a small known world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import known_law
from onset_world import head_of
from proband.core.errors import ConfigError
from proband.core.files.manifest import read_manifest
from proband.model.checkpoint import load_model
from proband.model.onset.head import OnsetHead
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.train import stage, train
from proband.train.config import OnsetOptions, TrainConfig
from proband.train.onset import fit
from proband.train.onset.fit import Part, fit_networks
from proband.train.pretrain import loop

TASK = """
outcomes:
  b: {codes: X//B}
  d: {codes: X//D}
prediction: {years_after_entry: 4}
horizons_years: [5]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("onset_stage")
    known_law.write_meds(known_law.simulate(200, 0), root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    (root / "task.yaml").write_text(TASK)
    return root


@pytest.fixture(scope="module")
def config(small: TrainConfig) -> TrainConfig:
    return small.model_copy(update={"epochs": 1.0, "onset": OnsetOptions(queries=6)})


@pytest.fixture(scope="module")
def model(files: Path, config: TrainConfig) -> Path:
    train(files / "tokens", files / "model", tasks=[files / "task.yaml"], config=config)
    return files / "model"


def test_a_model_folder_with_onset_hazards(model: Path) -> None:
    loaded = load_model(model)
    assert loaded.config.onset is not None
    assert loaded.onset is not None
    named = loaded.config.onset.tasks[: loaded.config.onset.num_named]
    assert [task.name for task in named] == ["b", "d", "MEDS_DEATH"]
    manifest = read_manifest(model)
    assert manifest["counts"]["num_named_tasks"] == 3
    assert manifest["counts"]["num_tasks"] == len(loaded.config.onset.tasks) > 3
    losses = manifest["notes"]["tuning_onset_nats_per_date"]
    assert list(losses) == ["age_sex", "record", "networks", "decay", "by_time", "calibrated"]
    assert losses["record"] <= losses["age_sex"] + 0.02  # nothing is among the choices, levels are of train
    assert manifest["notes"]["record_gain"] > -1  # of noise
    lines = [json.loads(line) for line in (model / "onset.jsonl").read_text().splitlines()]
    # Tuning keeps no network here, and so the second is not trained.
    assert {line["network"] for line in lines} == {0.0}
    assert loaded.config.onset.num_networks == 2
    assert all(network.is_zero for network in loaded.onset.networks)
    assert all("tuning" in line for line in lines)


def test_the_same_seed_gives_the_same_head_and_the_trunk_is_not_changed(
    model: Path, files: Path, config: TrainConfig, tmp_path: Path
) -> None:
    whole = load_file(model / "model.safetensors")
    train(files / "tokens", tmp_path / "again", tasks=[files / "task.yaml"], config=config)
    again = load_file(tmp_path / "again" / "model.safetensors")
    assert whole.keys() == again.keys()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    without = config.model_copy(update={"onset": OnsetOptions(enabled=False)})
    train(files / "tokens", tmp_path / "without", config=without)
    trunk = load_file(tmp_path / "without" / "model.safetensors")
    assert all(torch.equal(value, whole[name]) for name, value in trunk.items())
    assert whole.keys() - trunk.keys() == {name for name in whole if name.startswith("onset.")}
    assert load_model(tmp_path / "without").onset is None


def test_tasks_may_change_once_a_training_has_stopped_and_what_was_pretrained_is_kept(
    model: Path,
    files: Path,
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As after the fit of onset hazards ran out of memory; the result is as if they had never been others."""

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    def no_step(*arguments: object) -> None:
        pytest.fail("pretrained anew")

    (tmp_path / "first.yaml").write_text(TASK.replace("  d: {codes: X//D}\n", ""))
    fewer = config.model_copy(update={"onset": OnsetOptions(queries=2)})
    fit_onset = stage.fit_onset
    monkeypatch.setattr(stage, "fit_onset", stop)
    with pytest.raises(KeyboardInterrupt):
        train(files / "tokens", tmp_path / "model", tasks=[tmp_path / "first.yaml"], config=fewer)
    monkeypatch.setattr(stage, "fit_onset", fit_onset)
    monkeypatch.setattr(loop.Trainer, "_step", no_step)
    train(files / "tokens", tmp_path / "model", tasks=[files / "task.yaml"], config=config)
    assert "going on with the interrupted run" in capsys.readouterr().err
    whole, found = (load_file(folder / "model.safetensors") for folder in (model, tmp_path / "model"))
    assert whole.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in whole.items())


def test_tasks_and_no_onset_hazards_do_not_fit(files: Path, config: TrainConfig, tmp_path: Path) -> None:
    without = config.model_copy(update={"onset": OnsetOptions(enabled=False)})
    with pytest.raises(ConfigError, match="--task and --no-onset"):
        train(files / "tokens", tmp_path / "m", tasks=[files / "task.yaml"], config=without)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kept", "trained"), [(True, 3), (False, 1)])
def test_networks_are_trained_until_one_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, kept: bool, trained: int
) -> None:
    head, seen = head_of((2,), num_networks=3), []

    def fit_one(head: OnsetHead, *_: object) -> None:
        seen.append(head.networks[0])
        torch.nn.init.constant_(head.networks[0].task, float(kept))

    monkeypatch.setattr(fit, "_fit_network", fit_one)
    monkeypatch.setattr(fit, "mean_loss", lambda *_: 1.0)
    part = object.__new__(Part)  # not read
    fit_networks(head, part, part, OnsetOptions(), 0, torch.device("cpu"), lambda values: None)
    assert len(head.networks) == 3
    assert seen == list(head.networks)[:trained]
