"""The train stage: build a model for the data, fit it, write the checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from proband.core.errors import CheckpointError, ConfigError
from proband.core.progress import say
from proband.core.provenance import hash_input, is_finished, read_json, stage_output, write_json
from proband.model.checkpoint import save_model
from proband.model.config import ModalityConfig, ModelConfig, preset
from proband.model.gaps import GapBins
from proband.model.modality import ModalityEncoder
from proband.model.transformer import Proband
from proband.tokens.dataset import ModalityTable, TokenStore, load_genome
from proband.train.config import TrainConfig
from proband.train.log import plot_losses
from proband.train.loop import Trainer
from proband.train.state import BEST, PROGRESS, STATE

GENOME = "genome"
INPUTS = "inputs.json"
_PRIOR_POSITIONS = 10.0
"""Positions of evidence that a repeat's rate is worth before any is seen. Rounded choice of ours."""


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


def build_model(store: TokenStore, tables: dict[str, ModalityTable], config: TrainConfig) -> Proband:
    """A model of the configured size, with scaling and output biases fitted on the train split."""
    torch.manual_seed(config.seed)
    given = {"depth": config.depth, "dim": config.dim, "num_heads": config.num_heads}
    size = preset(config.preset) | {name: value for name, value in given.items() if value is not None}
    modalities = {
        name: ModalityConfig(
            width=table.values.shape[1],
            encoder=config.genome_encoder,
            hidden=config.hidden,
            drop_modality=config.drop_modality,
            drop_values=config.drop_values,
            names=table.names,
        )
        for name, table in tables.items()
    }
    shape = ModelConfig(
        vocabulary_size=len(store.vocabulary),
        num_statics=len(store.vocabulary.statics),
        resolution_minutes=store.vocabulary.resolution_minutes,
        context=config.context,
        dropout=config.dropout,
        fusion=config.fusion,
        modalities=modalities,
        **size,
    )
    model = Proband(shape, torch.from_numpy(store.once))
    model.set_output_biases(count_gaps(store, model.bins), *code_rates(store))
    for name, table in tables.items():
        encoder = model.fusion.encoders[name]
        assert isinstance(encoder, ModalityEncoder)
        encoder.standardise_with(*_train_moments(store, table))
    return model


def count_gaps(store: TokenStore, bins: GapBins) -> torch.Tensor:
    """Gap-bin counts of scored train events, float64 (bins,)."""
    counts = torch.zeros(bins.num_bins, dtype=torch.float64)
    for row in store.rows_of("train"):
        minutes = store.record(int(row))[1]
        gaps = np.diff(minutes)[minutes[1:] > store.entry[row]]
        if len(gaps):
            index = bins.bin_of(bins.steps(torch.from_numpy(gaps)))
            counts += torch.bincount(index, minlength=bins.num_bins)
    return counts


def code_rates(store: TokenStore) -> tuple[torch.Tensor, torch.Tensor]:
    """How often a code comes next in train records: while it is new to the subject, and after it was had.

    Returns:
        Two float64 tensors (vocabulary,), both above 0. A rate of little evidence is shrunk: a new code's to
        half an event, a repeat's to the new code's.
    """
    size = len(store.vocabulary)
    new, repeats, had = np.zeros(size), np.zeros(size), np.zeros(size)
    num_positions = 0
    for row in store.rows_of("train"):
        tokens = store.record(int(row))[0]
        codes, first, number = np.unique(tokens, return_index=True, return_counts=True)
        new[codes] += 1
        repeats[codes] += number - 1
        had[codes] += len(tokens) - 1 - first
        num_positions += len(tokens) - 1
    new_rate = (new + 0.5) / (num_positions - had + 1)
    repeat_rate = (repeats + _PRIOR_POSITIONS * new_rate) / (had + _PRIOR_POSITIONS)
    return torch.from_numpy(new_rate), torch.from_numpy(repeat_rate)


def _train_moments(store: TokenStore, table: ModalityTable) -> tuple[torch.Tensor, torch.Tensor]:
    rows = store.rows_of("train")
    values = table.values[rows[table.observed[rows]]].astype(np.float64)
    if not len(values):
        width = table.values.shape[1]
        return torch.zeros(width), torch.zeros(width)
    known = ~np.isnan(values)
    number = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0) / number
    sd = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(0) / number)
    return torch.from_numpy(mean).float(), torch.from_numpy(sd).float()
