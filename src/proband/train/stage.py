"""The train stage: build a model for the data, fit it, write the checkpoint."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from proband.core.errors import CheckpointError, ConfigError
from proband.core.progress import say
from proband.core.provenance import hash_input, is_finished, read_json, stage_output, write_json
from proband.core.schema import SPLITS
from proband.model.checkpoint import save_model
from proband.model.embedding import fold_families
from proband.tokens.dataset import TokenStore
from proband.tokens.modality import load_modality, modality_files
from proband.train.build import build_model
from proband.train.config import TrainConfig
from proband.train.log import plot_losses
from proband.train.loop import Trainer
from proband.train.state import BEST, PROGRESS, STATE

INPUTS = "inputs.json"


def train(
    tokens: Path,
    out: Path,
    *,
    genome: Path | None = None,
    modalities: Mapping[str, Path] | None = None,
    config: TrainConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Fit a model to a tokens folder.

    Work in progress lives in ``OUT.partial`` and survives a crash; ``resume`` continues it with the same
    weights, order and random numbers as if it had not stopped (bit-identical when training by epochs).

    Args:
        tokens: A finished tokens folder with train and tuning splits.
        out: Output folder.
        genome: A genome folder.
        modalities: Parquet files of further modalities by name (see :mod:`proband.tokens.modality`).
        config: Settings.
        resume: Continue an interrupted training.
        overwrite: Start anew over a finished or interrupted output.

    Raises:
        ConfigError: Fusion without a modality or the reverse; an interrupted run without ``resume``.
        DataError: A modality is not usable or shares no subject with the records; a split is empty.
    """
    config = config or TrainConfig()
    files = modality_files(genome, modalities)
    inputs = [tokens, *([genome] if genome else []), *(modalities or {}).values()]
    if is_finished(out, "train", config, overwrite, inputs):
        return
    _check_fusion(config, files)
    work = _work_folder(out, resume, overwrite)
    store = TokenStore(tokens)
    tables = {name: load_modality(name, path, store) for name, path in files.items()}
    with stage_output(out, stage="train", config=config, inputs=inputs, seed=config.seed, work=work) as run:
        _same_inputs(work, inputs)
        model = build_model(store, tables, config)
        trainer = Trainer(model, store, tables, config, work)
        result = trainer.run()
        fold_families(model.embedding)
        save_model(model, work, store.vocabulary.hash)
        shutil.copy(tokens / "vocabulary.json", work / "vocabulary.json")
        plot_losses(work)
        weights = sum(parameter.numel() for parameter in model.parameters())
        run.counts.update(
            num_weights=weights,
            num_steps=trainer.progress.step,
            num_train_subjects=len(store.rows_of("train")),
        )
        for name, split in itertools.product(tables, SPLITS):
            is_split = (store.subjects["split"] == split).to_numpy()
            run.counts[f"num_{split}_with_{name}"] = int((tables[name].observed & is_split).sum())
        run.notes["tuning_nats_per_event"] = result.per_event()
        run.notes["best_step"] = trainer.progress.best_step
        run.notes["train_seconds"] = round(trainer.progress.seconds, 1)
        run.notes["threads"] = torch.get_num_threads()
    for name in (
        STATE,
        BEST,
        PROGRESS,
        INPUTS,
    ):  # only now: until the model stands in its place, they are needed
        (out / name).unlink(missing_ok=True)
    say(
        f"\ntrain: {weights:,} weights, {trainer.progress.step:,} steps, "
        f"tuning loss {result.total:.4f} nats per event; model in {out}"
    )


def _check_fusion(config: TrainConfig, files: Mapping[str, Path]) -> None:
    """Every fusion but none needs a modality, and modalities need one; options are of modalities given."""
    if (config.fusion == "none") == bool(files):
        found = f"fusion {config.fusion} with {', '.join(files) or 'no modality'}"
        remedy = "give --genome or --modality and a --fusion other than none, or neither"
        raise ConfigError("fusion and modalities do not fit", found=found, remedy=remedy)
    for name in config.encoders.keys() - files.keys():
        expected = ", ".join(files) or "none"
        raise ConfigError("an encoder of a modality not given", found=name, expected=expected)


def _work_folder(out: Path, resume: bool, overwrite: bool) -> Path:
    work = out.with_name(f"{out.name}.partial")
    if work.exists() and ((overwrite and not resume) or not (work / STATE).is_file()):
        shutil.rmtree(work)
    if (work / STATE).is_file() and not resume:
        remedy = "continue it with --resume, or start anew with --overwrite"
        raise ConfigError("an interrupted training is there", where=work, remedy=remedy)
    out.parent.mkdir(parents=True, exist_ok=True)
    return work


def _same_inputs(work: Path, inputs: list[Path]) -> None:
    """Note what is trained on, and refuse to resume on anything else."""
    now = [hash_input(path) for path in inputs]
    if not (work / STATE).is_file():
        write_json(work / INPUTS, now)
    elif read_json(work / INPUTS) != now:
        remedy = "resume with the same tokens and modalities, or start anew with --overwrite"
        raise CheckpointError("other inputs", where=work, remedy=remedy)
