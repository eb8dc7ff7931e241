from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

import fresh_process
from manifests import forget_digests
from proband.core.errors import CheckpointError, ConfigError
from proband.core.files.manifest import read_manifest
from proband.model.checkpoint import load_model
from proband.model.folder import CARD
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.train import train
from proband.train.config import EncoderOptions, TrainConfig
from proband.train.initial.build import build_model, code_rates, count_gaps
from proband.train.log import read_metrics
from proband.train.log_likelihood import Likelihood
from proband.train.pretrain import loop
from proband.train.pretrain.state import BEST, STATE

KILLED = """
import os, signal, sys
from pathlib import Path
from proband.train import train
from proband.train.pretrain import loop
from proband.train.config import TrainConfig
tokens, out, config, step, number, genome = sys.argv[1:]
original = loop.Trainer.{method}
def stop(self, *arguments):
    if self.progress.step >= int(step):
        os.kill(os.getpid(), int(number))
    return original(self, *arguments)
loop.Trainer.{method} = stop
train(Path(tokens), Path(out), genome=Path(genome) if genome else None,
      config=TrainConfig.model_validate_json(config))
"""


def stopped_by(
    number: signal.Signals, world: Path, out: Path, config: TrainConfig, step: int, method: str = "_step",
    genome: Path | None = None,
) -> tuple[int, str]:  # fmt: skip
    """Exit code of a training that a signal stops, and what it said."""
    arguments = [str(world / "tokens"), str(out), config.model_dump_json(), str(step), str(int(number))]
    code = KILLED.replace("{method}", method)
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "said.txt")
        return fresh_process.python(code, said, [*arguments, str(genome or "")]), said.read_text()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(world: Path, small: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training."""
    out = tmp_path_factory.mktemp("whole") / "model"
    train(world / "tokens", out, config=small)
    return out


def test_a_finished_model_folder(whole: Path, world: Path, small: TrainConfig) -> None:
    names = [
        "README.md",
        "config.json",
        "loss.png",
        "manifest.json",
        "metrics.jsonl",
        "model.safetensors",
        "vocabulary.json",
    ]
    assert sorted(set(os.listdir(whole)) - {"tensorboard"}) == names  # there only where it is installed
    assert os.listdir(whole.parent) == ["model"]
    manifest = read_manifest(whole)
    assert manifest["counts"]["num_weights"] == sum(p.numel() for p in load_model(whole).parameters())
    assert manifest["config"]["epochs"] == 5
    lines = read_metrics(whole)
    assert lines[-1]["step"] == manifest["counts"]["num_steps"]
    parts = sum(lines[-1][f"tuning_{part}"] for part in ("when", "what", "censoring"))
    assert lines[-1]["tuning"] == pytest.approx(parts, abs=1e-4)
    assert manifest["notes"]["tuning_nats_per_event"]["total"] == pytest.approx(
        min(line["tuning"] for line in lines if "tuning" in line), abs=1e-4
    )
    assert all(line["loss"] == pytest.approx(loss_of(line), abs=1e-4) for line in lines)
    assert lines[-1]["loss"] < lines[0]["loss"]
    names = {"learning_rate", "gradient_norm", "events_per_second", "padding_share", "waiting_share"}
    assert names | {"step", "epoch", "seconds"} <= lines[0].keys()
    assert 0 < lines[0]["padding_share"] < 0.3
    train(world / "tokens", whole, config=small)  # nothing to do


def loss_of(line: dict[str, float]) -> float:
    return sum(line[f"loss_{part}"] for part in ("when", "what", "censoring"))


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    whole: Path, world: Path, small: TrainConfig, tmp_path: Path
) -> None:
    train(world / "tokens", tmp_path / "a", config=small)
    assert same(weights(tmp_path / "a"), weights(whole))
    train(world / "tokens", tmp_path / "b", config=small.model_copy(update={"seed": 1}))
    assert not same(weights(tmp_path / "b"), weights(whole))


def test_a_seed_of_any_size_is_one(world: Path, small: TrainConfig) -> None:
    store = TokenStore(world / "tokens")
    weights_of = [
        build_model(store, {}, small.model_copy(update={"seed": seed})).state_dict()
        for seed in (7, 2**64 + 7, 8)
    ]
    assert same(*weights_of[:2])
    assert not same(*weights_of[1:])


def test_a_refit_on_a_resample_is_another_model_that_stays_in(
    whole: Path, world: Path, small: TrainConfig, tmp_path: Path
) -> None:
    found = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        config = small.model_copy(update={"resample_seed": seed})
        train(world / "tokens", tmp_path / name, config=config)
        found[name] = weights(tmp_path / name)
    assert same(found["a"], found["b"])
    assert not same(found["a"], found["c"])
    assert not same(found["a"], weights(whole))
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["may_leave"].startswith("no")
    assert "drawn with replacement" in (tmp_path / "a" / CARD).read_text()


def test_a_model_of_fewer_subjects_is_that_of_a_folder_that_has_no_others(
    world: Path, small: TrainConfig, tmp_path: Path
) -> None:
    config = small.model_copy(update={"subject_fraction": 0.4})
    train(world / "tokens", tmp_path / "a", config=config)
    tokens = keep_subjects(shutil.copytree(world / "tokens", tmp_path / "tokens"), 0.4, config.seed)
    train(tokens, tmp_path / "b", config=small)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["may_leave"].startswith("no")
    assert "0.4 of the subjects" in (tmp_path / "a" / CARD).read_text()


def keep_subjects(tokens: Path, share: float, seed: int) -> Path:
    """Move the other subjects of train and tuning to the split held_out, in the folder itself."""
    some = TokenStore(tokens).fewer(share, seed)
    kept = np.concatenate([some.rows_of("train"), some.rows_of("tuning")])
    path = tokens / "subjects.parquet"
    subjects = pl.read_parquet(path)
    is_kept = pl.col("row").is_in(kept.tolist())
    subjects.with_columns(split=pl.when(is_kept).then("split").otherwise(pl.lit("held_out"))).write_parquet(
        path
    )
    return forget_digests(tokens)


@pytest.mark.parametrize(("step", "method"), [(25, "_evaluate"), (31, "_step")])
def test_a_killed_training_resumes_to_the_same_bits(
    whole: Path, world: Path, small: TrainConfig, tmp_path: Path, step: int, method: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "model"
    code, _ = stopped_by(signal.SIGKILL, world, out, small, step, method)
    assert code == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path)) == [".model.lock", "model.partial"]  # the next run takes the lock
    train(world / "tokens", out, config=small)
    assert "train: going on with the interrupted run in" in capsys.readouterr().err
    assert same(weights(out), weights(whole))
    steps = [line["step"] for line in read_metrics(out)]
    assert steps == [line["step"] for line in read_metrics(whole)]
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_step_saves_a_whole_state(
    whole: Path, world: Path, small: TrainConfig, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "model"
    rarely = small.model_copy(update={"save_seconds": 1000.0})
    code, said = stopped_by(number, world, out, rarely, 11)
    assert code == (-signal.SIGINT if number == signal.SIGINT else 0)
    assert "state saved" in said
    assert "the same command goes on from there" in said
    train(world / "tokens", out, config=rarely)
    assert same(weights(out), weights(whole))


def test_a_signal_during_the_last_evaluation_ends_the_training(
    whole: Path, world: Path, small: TrainConfig, tmp_path: Path
) -> None:
    out, last = tmp_path / "model", int(read_metrics(whole)[-1]["step"])
    code, said = stopped_by(signal.SIGTERM, world, out, small, last, "_evaluate")
    assert code == 0
    assert "state saved" in said
    assert not out.exists()
    train(world / "tokens", out, config=small)
    assert same(weights(out), weights(whole))


def test_keeping_the_best_model_does_not_put_off_saving_the_state(
    world: Path, small: TrainConfig, tmp_path: Path
) -> None:
    store = TokenStore(world / "tokens")
    rarely = small.model_copy(update={"save_seconds": 60.0})
    trainer = loop.Trainer(build_model(store, {}, rarely), store, {}, rarely, tmp_path)
    trainer._saved = time.monotonic() - 100
    trainer._save(BEST)
    assert trainer._is_save_due
    trainer._save(STATE)
    assert not trainer._is_save_due


def test_a_killed_training_with_a_genome_resumes_to_the_same_bits(
    world: Path, small: TrainConfig, tmp_path: Path
) -> None:
    config = small.model_copy(update={"fusion": "prefix"})
    genome = world / "genome"
    train(world / "tokens", tmp_path / "whole", genome=genome, config=config)
    stopped_by(signal.SIGKILL, world, tmp_path / "model", config, 17, genome=genome)
    train(world / "tokens", tmp_path / "model", genome=genome, config=config)
    assert same(weights(tmp_path / "model"), weights(tmp_path / "whole"))
    assert load_model(tmp_path / "model").config.modalities["genome"].names == ("PGS1", "PGS2")


def test_resuming_with_other_settings_or_a_damaged_state_is_refused(
    world: Path, small: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    stopped_by(signal.SIGKILL, world, out, small, 5)
    message = r"interrupted run with other settings.*found seed 0, now 1; remedy.*repeat.*--overwrite"
    with pytest.raises(CheckpointError, match=message):
        train(world / "tokens", out, config=small.model_copy(update={"seed": 1, "learning_rate": 0.1}))
    (tmp_path / "other").mkdir()
    shutil.copytree(world / "tokens", tmp_path / "other" / "tokens")
    (tmp_path / "other" / "tokens" / "note.txt").write_text("changed")
    with pytest.raises(CheckpointError, match=r"interrupted run on other inputs"):
        train(tmp_path / "other" / "tokens", out, config=small)
    state = tmp_path / "model.partial" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-50])
    with pytest.raises(CheckpointError, match="unreadable training state") as caught:
        train(world / "tokens", out, config=small)
    assert "\n" not in str(caught.value)
    train(world / "tokens", out, config=small.model_copy(update={"epochs": 0.1}), overwrite=True)
    assert (out / "model.safetensors").is_file()


def test_early_stopping_keeps_the_best_weights(
    world: Path, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    totals = [9.0, 5.0, 3.0, 4.0, 4.5, 2.0]

    def measure(model: Proband, *rest: object) -> Likelihood:
        state = {name: value.clone() for name, value in model.state_dict().items()}
        as_saved = {name: value for name, value in state.items() if "parametrizations" not in name}
        seen.append(as_saved | {"embedding.tokens.weight": model.embedding.tokens.weight.detach().clone()})
        return Likelihood(0.0, totals[len(seen) - 1], 0.0, 1, 0, {}, {}, {})

    monkeypatch.setattr(loop, "measure", measure)
    config = small.model_copy(update={"patience": 2, "epochs": 200.0})
    train(world / "tokens", tmp_path / "m", config=config)
    assert len(seen) == 6  # the start, four evaluations, and the best model once more
    assert same(weights(tmp_path / "m"), seen[2])
    assert not same(seen[4], seen[2])
    tuned = [line for line in read_metrics(tmp_path / "m") if "tuning" in line]
    assert read_manifest(tmp_path / "m")["notes"]["best_step"] == tuned[1]["step"]


def test_fusion_and_modalities_belong_together(world: Path, small: TrainConfig, tmp_path: Path) -> None:
    prefix = small.model_copy(update={"fusion": "prefix"})
    with pytest.raises(ConfigError, match="found fusion prefix with no modality"):
        train(world / "tokens", tmp_path / "m", config=prefix)
    none = small.model_copy(update={"fusion": "none"})
    with pytest.raises(ConfigError, match="found fusion none with genome"):
        train(world / "tokens", tmp_path / "m", genome=world / "genome", config=none)
    other = prefix.model_copy(update={"encoders": {"pannel": EncoderOptions()}})
    with pytest.raises(ConfigError, match="encoder of a modality not given; found pannel; expected genome"):
        train(world / "tokens", tmp_path / "m", genome=world / "genome", config=other)
    assert os.listdir(tmp_path) == []


def test_a_new_model_knows_the_train_frequencies(world: Path, small: TrainConfig) -> None:
    store = TokenStore(world / "tokens")
    model = build_model(store, {}, small)
    counts = count_gaps(store, model.bins)
    by_hand = np.zeros(model.bins.num_bins)
    for row in store.rows_of("train"):
        _, minutes = store.record(int(row))
        for before, after in itertools.pairwise(minutes):
            by_hand[int(model.bins.bin_of(torch.tensor((after - before) // 1440)))] += 1
    assert counts.tolist() == by_hand.tolist()
    share = (counts + 1) / (counts + 1).sum()
    assert torch.allclose(model.when.output.bias.detach().exp().double(), share, atol=1e-6)


def test_code_rates_count_new_codes_and_repeats_apart(world: Path) -> None:
    store = TokenStore(world / "tokens")
    rates = code_rates(store)
    token = int(np.argmax(np.bincount(store.tokens)[2:-1])) + 2
    first = again = before = after = 0
    for row in store.rows_of("train"):
        had = False
        for current, following in itertools.pairwise(store.record(int(row))[0].tolist()):
            had = had or current == token
            before, after = before + (not had), after + had
            first, again = first + (following == token and not had), again + (following == token and had)
    assert again > 0
    new = (first + 0.5) / (before + 1)
    assert (rates.num_new[token], rates.num_events) == (first, before + after)
    assert float(rates.repeat[token]) == pytest.approx((again + 10 * new) / (after + 10))
    assert bool((rates.repeat > 0).all())


def test_training_by_minutes_ends_on_time(world: Path, small: TrainConfig, tmp_path: Path) -> None:
    # CPU time, which other work on the machine does not stretch.
    config = small.model_copy(update={"minutes": 0.01})
    train(world / "tokens", tmp_path / "m", config=config, clock=time.process_time)
    assert 0.6 <= read_manifest(tmp_path / "m")["notes"]["train_seconds"] < 5
    json.loads((tmp_path / "m" / "config.json").read_text())
