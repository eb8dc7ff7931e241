"""The train stage: build a model for the data, fit it, write the checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from proband.core.errors import CheckpointError, ConfigError
from proband.core.progress import say
from proband.core.provenance import hash_input, is_finished, read_json, stage_output, write_json
from proband.model.checkpoint import save_model
from proband.tokens.dataset import TokenStore, load_genome
from proband.train.build import build_model
from proband.train.config import TrainConfig
from proband.train.log import plot_losses
from proband.train.loop import Trainer
from proband.train.state import BEST, PROGRESS, STATE

GENOME = "genome"
INPUTS = "inputs.json"


def train(
    tokens: Path,
    out: Path,
    *,
    genome: Path | None = None,
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
        genome: A genome folder, for every fusion but none.
        config: Settings.
        resume: Continue an interrupted training.
        overwrite: Start anew over a finished or interrupted output.

    Raises:
        ConfigError: Fusion without genome or the reverse; an interrupted run without ``resume``.
        DataError: Genotypes and records share no subject; a split is empty.
    """
    config = config or TrainConfig()
    inputs = [tokens, *([genome] if genome else [])]
    if is_finished(out, "train", config, overwrite, inputs):
        return
    if (config.fusion == "none") != (genome is None):
        found = f"fusion {config.fusion} {'without' if genome is None else 'with'} a genome"
        remedy = "give --genome and a --fusion other than none, or neither"
        raise ConfigError("fusion and genome do not fit", found=found, remedy=remedy)
    work = _work_folder(out, resume, overwrite)
    store = TokenStore(tokens)
    tables = {GENOME: load_genome(genome, store)} if genome else {}
    with stage_output(out, stage="train", config=config, inputs=inputs, seed=config.seed, work=work) as run:
        _same_inputs(work, inputs)
        model = build_model(store, tables, config)
        trainer = Trainer(model, store, tables, config, work)
        result = trainer.run()
        save_model(model, work, store.vocabulary.hash)
        shutil.copy(tokens / "vocabulary.json", work / "vocabulary.json")
        plot_losses(work)
        weights = sum(parameter.numel() for parameter in model.parameters())
        run.counts.update(
            num_weights=weights,
            num_steps=trainer.progress.step,
            num_train_subjects=len(store.rows_of("train")),
            num_genotyped_subjects=int(tables[GENOME].observed.sum()) if tables else 0,
        )
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
        remedy = "resume with the same tokens and genome, or start anew with --overwrite"
        raise CheckpointError("other inputs", where=work, remedy=remedy)
