"""Adapted models are models like any other, and old tasks stay."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from proband.core.errors import CheckpointError, ConfigError
from proband.core.files.manifest import read_manifest
from proband.core.schema import SCORES
from proband.forecast import forecast
from proband.model.checkpoint import load_model
from proband.model.onset.terms import OF_FOLDS
from proband.tokens.dataset import TokenStore
from proband.tokens.history.onsets import first_occurrences
from proband.train import train
from proband.train.config import OnsetOptions, TrainConfig
from proband.train.finetune import finetune, stage
from proband.train.finetune.config import FinetuneConfig
from proband.train.finetune.trunk import TrunkFit

SMALL = FinetuneConfig(queries=4, epochs=1.0, batch_subjects=60, evaluations=1)


@pytest.fixture(scope="module")
def rows(adapted: Path) -> Path:
    finetune(
        adapted / "model", adapted / "tokens", adapted / "rows", tasks=[adapted / "both.yaml"], config=SMALL
    )
    return adapted / "rows"


def test_a_row_is_added_and_all_else_is_the_same_to_the_bit(adapted: Path, rows: Path) -> None:
    old, new = load_file(adapted / "model" / "model.safetensors"), load_file(rows / "model.safetensors")
    tasks = load_model(rows).config.onset
    assert tasks is not None
    assert [task.name for task in tasks.tasks[: tasks.num_named]] == ["b", "MEDS_DEATH", "d"]
    assert len({task.tokens for task in tasks.tasks}) == len(tasks.tasks)  # the code's own row is gone
    before = load_model(adapted / "model").config.onset
    assert before is not None
    kept = [tasks.index_of(task.tokens) for task in before.tasks]
    same = [at for at, task in enumerate(before.tasks) if task.tokens != tasks.tasks[2].tokens]
    chosen = torch.tensor([kept[at] for at in same])
    by_row = {"log_rate", "bias", "intercept", "slope", "networks.0.task", "networks.0.bias"}
    by_column = {"linear", "state_linear", "by_time", "interactions.weights"}
    for name, value in old.items():
        own = name.removeprefix("onset.")
        if own in by_row:
            assert torch.equal(new[name][chosen], value[torch.tensor(same)]), name
        elif own in by_column:
            assert torch.equal(new[name][:, :2], value), name
        elif own.endswith(OF_FOLDS):
            assert torch.equal(new[name][:, :, :2], value), name
        else:
            assert torch.equal(new[name], value), name


def test_the_output_tells_how_it_was_made(rows: Path) -> None:
    manifest = read_manifest(rows, "finetune")
    losses = manifest["notes"]["tuning_onset_nats_per_date"]
    of_record = ["known_tasks", "record", "decay", "by_time"]
    assert list(losses) == ["age_sex", *of_record, "calibrated"]
    assert manifest["counts"]["num_new"] == 1
    card = (rows / "README.md").read_text()
    assert card.index("First occurrences of d were added") < card.index("## Limits")
    assert (rows / "model.safetensors").stat().st_mode & 0o777 == 0o600


def test_forecast_reads_old_and_new_outcomes(adapted: Path, rows: Path, tmp_path: Path) -> None:
    given = {"task": adapted / "both.yaml", "workers": 1}
    forecast(rows, adapted / "tokens", tmp_path / "risk", **given)
    found = pl.read_parquet(tmp_path / "risk" / "risk.parquet")
    assert set(found["outcome"]) == {"b", "d"}
    forecast(adapted / "model", adapted / "tokens", tmp_path / "old", task=adapted / "old.yaml", workers=1)
    old = pl.read_parquet(tmp_path / "old" / "risk.parquet")
    both = old.join(found, on=["subject_id", "prediction_time", "outcome", "horizon_years"])
    assert both.height == old.height > 0
    assert (both["risk"] - both["risk_right"]).abs().max() < 1e-6


@pytest.fixture
def judged_on_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged on the subjects that it is trained on the loss falls; in so small a world it else does not."""

    def both(store: TokenStore, share: float, seed: int) -> dict[str, np.ndarray]:
        return dict.fromkeys(("train", "tuning"), store.rows_of("train"))

    monkeypatch.setattr(stage, "labelled_subjects", both)


@pytest.mark.parametrize("mode", ["adapters", "lora", "full"])
def test_a_trunk_that_is_trained_ends_as_an_ordinary_model(
    adapted: Path, tmp_path: Path, mode: str, judged_on_train: None
) -> None:
    learning = {"epochs": 3.0, "batch_subjects": 20, "learning_rate": 0.01, "patience": 9}
    config = SMALL.model_copy(update={"mode": mode, **learning})
    given = {"tasks": [adapted / "new.yaml"], "config": config}
    finetune(adapted / "model", adapted / "tokens", tmp_path / mode, **given)
    old, new = (load_file(folder / "model.safetensors") for folder in (adapted / "model", tmp_path / mode))
    assert old.keys() == new.keys()
    changed = {name for name in old if name.startswith("blocks.") and not torch.equal(old[name], new[name])}
    assert changed
    assert not any("norm" in name for name in changed) or mode == "full"
    losses = read_manifest(tmp_path / mode)["notes"]["trunk_tuning_nats_per_date"]
    assert losses["best"] < losses["before"]
    assert not any("state" in path.name for path in (tmp_path / mode).iterdir())
    forecast(tmp_path / mode, adapted / "tokens", tmp_path / "risk", task=adapted / "both.yaml", workers=1)
    assert pl.read_parquet(tmp_path / "risk" / "risk.parquet")["risk"].is_between(0, 1).all()


def test_a_trunk_that_gains_nothing_stays(
    adapted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SMALL.model_copy(update={"mode": "full", "learning_rate": 10.0})
    finetune(
        adapted / "model", adapted / "tokens", tmp_path / "m", tasks=[adapted / "new.yaml"], config=config
    )
    assert "lowest before the trunk was trained; it stays as it was" in capsys.readouterr().err
    old, new = (load_file(folder / "model.safetensors") for folder in (adapted / "model", tmp_path / "m"))
    assert all(torch.equal(old[name], new[name]) for name in old if not name.startswith("onset."))


@pytest.mark.parametrize("patience", [1, 2])
def test_training_of_the_trunk_stops_after_so_many_evaluations_without_a_gain(
    adapted: Path, tmp_path: Path, patience: int
) -> None:
    """At this rate each step makes it worse; an epoch is three steps or more, each of them evaluated."""
    learning = {"learning_rate": 10.0, "batch_subjects": 20, "evaluations": 100, "epochs": 2.0}
    config = SMALL.model_copy(update={"mode": "full", "patience": patience, **learning})
    finetune(
        adapted / "model", adapted / "tokens", tmp_path / "m", tasks=[adapted / "new.yaml"], config=config
    )
    assert read_manifest(tmp_path / "m")["notes"]["trunk_steps"] == {"best": 0, "last": patience}


def test_an_interrupted_training_ends_in_the_same_bits(
    adapted: Path, tmp_path: Path, judged_on_train: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = {"batch_subjects": 40, "evaluations": 2, "learning_rate": 0.01, "epochs": 2.0, "patience": 9}
    config = SMALL.model_copy(update={"mode": "lora", **learning})
    given = {"tasks": [adapted / "new.yaml"], "config": config}
    finetune(adapted / "model", adapted / "tokens", tmp_path / "whole", **given)
    step, taken = TrunkFit._step, list[int]()

    def stopping(self: TrunkFit, number: int) -> None:
        if number == 3 and not taken.count(3):
            taken.append(3)
            raise KeyboardInterrupt
        taken.append(number)
        step(self, number)

    monkeypatch.setattr(TrunkFit, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        finetune(adapted / "model", adapted / "tokens", tmp_path / "parts", **given)
    assert (tmp_path / "parts.partial" / "state.safetensors").is_file()
    finetune(adapted / "model", adapted / "tokens", tmp_path / "parts", **given)
    assert taken.count(0) == 1  # it went on, and did not start anew
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    for name, value in whole.items():
        assert np.array_equal(value.numpy(), parts[name].numpy(), equal_nan=True), name
    steps = [read_manifest(tmp_path / name)["notes"]["trunk_steps"] for name in ("whole", "parts")]
    assert steps[0] == steps[1]
    assert steps[0]["best"] > 3


def test_scores_of_a_genome_get_terms_and_without_it_none(
    adapted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, genome = TokenStore(adapted / "tokens"), tmp_path / "genome"
    genome.mkdir()
    token = store.vocabulary.codes.index("X//D")
    onset = first_occurrences(store, np.arange(len(store)), [(token,)])[:, 0]
    score = np.where(onset <= store.exit, 1.0, -1.0).astype(np.float32)  # tells who will have d
    SCORES.write(
        pl.DataFrame({"subject_id": store.subject_ids, "PGS1": score, "PGS2": score[::-1].copy()}),
        genome / "scores.parquet",
    )
    config = TrainConfig(
        depth=1,
        dim=16,
        num_heads=2,
        context=16,
        epochs=0.1,
        hidden=8,
        onset=OnsetOptions(queries=4, networks=1, codes=False),
    )
    train(adapted / "tokens", tmp_path / "m", genome=genome, tasks=[adapted / "old.yaml"], config=config)
    given = {"tasks": [adapted / "new.yaml"], "config": SMALL}
    finetune(tmp_path / "m", adapted / "tokens", tmp_path / "with", genome=genome, **given)
    finetune(tmp_path / "m", adapted / "tokens", tmp_path / "without", **given)
    assert "the model reads genome and none is given" in capsys.readouterr().err
    genomes = "onset.modalities.genome."
    weights = [load_file(tmp_path / folder / "model.safetensors") for folder in ("m", "with", "without")]
    old, scored, blank = (one[f"{genomes}beta"] for one in weights)
    assert torch.equal(scored[:, :2], old)
    assert float(scored[0, 2]) > 0.04 > abs(float(scored[1, 2]))
    assert (blank[:, 2] == 0).all()
    assert (weights[2][f"{genomes}by_age"][:, 2] == 1).all()
    assert (weights[2][f"{genomes}level"][:, 2] == 0).all()
    lora = SMALL.model_copy(update={"mode": "lora"})
    message = r"in --mode lora; found no genome; remedy: give --genome"
    with pytest.raises(ConfigError, match=message):
        finetune(tmp_path / "m", adapted / "tokens", tmp_path / "no", tasks=given["tasks"], config=lora)


def test_models_that_cannot_be_adapted(adapted: Path, tmp_path: Path) -> None:
    tiny = TrainConfig(
        depth=1, dim=16, num_heads=2, context=16, epochs=0.1, onset=OnsetOptions(enabled=False)
    )
    train(adapted / "tokens", tmp_path / "without", config=tiny)
    given = {"tasks": [adapted / "new.yaml"], "config": SMALL}
    with pytest.raises(ConfigError, match=r"no onset hazards to add an outcome to.*--no-onset"):
        finetune(tmp_path / "without", adapted / "tokens", tmp_path / "out", **given)
    with pytest.raises(ConfigError, match="every outcome is a task of the model already"):
        finetune(
            adapted / "model",
            adapted / "tokens",
            tmp_path / "out",
            tasks=[adapted / "same.yaml"],
            config=SMALL,
        )
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_models_of_another_format_or_vocabulary(adapted: Path, tmp_path: Path) -> None:
    given = {"tasks": [adapted / "new.yaml"], "config": SMALL}
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.safetensors", "vocabulary.json", "config.json"):
        (folder / name).write_bytes((adapted / "model" / name).read_bytes())
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"format_version": 2}))
    with pytest.raises(CheckpointError, match=r"unknown checkpoint version.*found 2"):
        finetune(folder, adapted / "tokens", tmp_path / "out", **given)
    (folder / "config.json").write_text(json.dumps(content | {"vocabulary_hash": "0" * 64}))
    own = TokenStore(adapted / "tokens").vocabulary.hash[:12]
    with pytest.raises(CheckpointError, match=f"different vocabularies.*tokens {own}.*--vocabulary"):
        finetune(folder, adapted / "tokens", tmp_path / "out", **given)
