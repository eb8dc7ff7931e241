"""The train stage: build a model for the data, fit it, write the checkpoint."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from proband.core.errors import ConfigError
from proband.core.files.digests import hash_file
from proband.core.files.provenance import STAYS_IN, StageRun, is_finished, stage_output
from proband.core.files.resume import resumable
from proband.core.running.device import choose_device
from proband.core.running.progress import say
from proband.core.running.team import Team, join_team
from proband.core.schema import SPLITS
from proband.ehr.outcomes import task_files
from proband.model.checkpoint import save_model
from proband.model.choices import NO_FUSION, usual_fusion
from proband.model.embedding import fold_families
from proband.model.folder import MAY_LEAVE, VOCABULARY
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable, given_paths, load_modality, modality_files
from proband.train.card import write_card
from proband.train.config import FREE_SETTINGS, TrainConfig
from proband.train.initial.build import build_model
from proband.train.log import OnsetLog, plot_losses
from proband.train.log_likelihood import Likelihood
from proband.train.onset.stage import OnsetResult, fit_onset
from proband.train.onset.tasks import Tasks, choose_tasks
from proband.train.pretrain.loop import Trainer
from proband.train.pretrain.state import STATE, STATES, drop_states


def train(
    tokens: Path,
    out: Path,
    *,
    genome: Path | None = None,
    modalities: Mapping[str, Path] | None = None,
    tasks: Sequence[Path] = (),
    config: TrainConfig | None = None,
    overwrite: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Fit a model to a tokens folder: first the generative model, then onset hazards on it.

    Work in progress lives in ``OUT.partial`` and survives a crash; the same call continues it with the same
    weights, order and random numbers as if it had not stopped (bit-identical when training by epochs).

    Args:
        tokens: A finished tokens folder with train and tuning splits.
        out: Output folder.
        genome: A genome folder.
        modalities: Parquet files of further modalities by name, see
            :mod:`proband.tokens.modalities.modality`.
        tasks: Task files, whose outcomes get onset hazards beside those of codes, families and death.
        config: Settings.
        overwrite: Start anew over a finished or interrupted output.
        clock: Seconds that ``minutes`` count; wall time unless told otherwise.

    Raises:
        ConfigError: Fusion without a modality or the reverse; the loss diverges.
        CheckpointError: An interrupted training of other settings or inputs is there.
        DataError: A modality is not usable or shares no subject with the records; a split is empty; no
            outcome of the task files has onsets enough.
    """
    task_inputs = [file for task in tasks for file in task_files(task)]
    files = modality_files(genome, modalities)
    config = _resolved(config or TrainConfig(), files, task_inputs)
    pretrained_on = [tokens, *given_paths(genome, files)]
    inputs = [*pretrained_on, *task_inputs]
    with join_team(choose_device(config.device)) as team:
        if team.decide(lambda: is_finished(out, "train", config, overwrite, inputs)):
            _drop_states(out, team)  # if it was killed between its last two steps
            return
        _check_fusion(config, files)
        store = _subjects_read(TokenStore(tokens), config)
        chosen = team.decide(lambda: _tasks(store, tasks, config))
        tables = {name: load_modality(name, path, store) for name, path in files.items()}
        with (
            team.sharing(_resumable(out, config, pretrained_on, overwrite)) as work,
            _output(team, out, work, config, inputs) as run,
        ):
            trainer = Trainer(build_model(store, tables, config), store, tables, config, work, team, clock)
            result = trainer.run()
            if run:  # the others wait: the head is small, and its queries are read once
                _write_model(run, trainer, result, store, tables, chosen)
        _drop_states(out, team)  # only now: until the model stands in its place, they are needed
        if team.is_first:
            steps = f"{trainer.progress.step:,} steps"
            say(f"train: {steps}, tuning loss {result.total:.4f} nats per event; model in {out}")


def _resolved(config: TrainConfig, files: Mapping[str, Path], task_inputs: Sequence[Path]) -> TrainConfig:
    """Settings with what the inputs add to them."""
    named = {
        "fusion": config.fusion or usual_fusion(bool(files)),
        "modalities": tuple(files),
        "tasks": tuple(hash_file(file) for file in task_inputs),
    }
    return config.model_copy(update=named)


def _subjects_read(store: TokenStore, config: TrainConfig) -> TokenStore:
    """The records that training reads: all, or of subjects that are drawn."""
    if config.subject_fraction < 1:
        store = store.fewer(config.subject_fraction, config.seed)
    return store if config.resample_seed is None else store.resampled(config.resample_seed)


def _drop_states(out: Path, team: Team) -> None:
    if team.is_first:
        drop_states(out)


@contextlib.contextmanager
def _output(
    team: Team, out: Path, work: Path, config: TrainConfig, inputs: list[Path]
) -> Iterator[StageRun | None]:
    """The output to write into, for the first process."""
    if not team.is_first:
        yield None
        return
    # Where subjects were drawn, those who had a code may be fewer than the vocabulary counted.
    whole = config.resample_seed is None and config.subject_fraction == 1
    may_leave = MAY_LEAVE if whole else STAYS_IN
    with stage_output(
        out, stage="train", config=config, inputs=inputs, seed=config.seed, work=work, may_leave=may_leave
    ) as run:
        yield run


def _write_model(
    run: StageRun,
    trainer: Trainer,
    result: Likelihood,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    tasks: Tasks | None,
) -> None:
    model = trainer.best_model()
    fold_families(model.embedding)
    onset = _fit_onset(run, model, trainer, store, tables, tasks) if tasks else None
    store.vocabulary.for_model().save(run.folder / VOCABULARY)
    save_model(model, run.folder, store.vocabulary.hash)
    write_card(run.folder, model, store, tables, trainer.config, result, onset)
    plot_losses(run.folder)
    run.counts.update(
        num_weights=sum(parameter.numel() for parameter in model.parameters()),
        num_steps=trainer.progress.step,
        num_train_subjects=len(store.rows_of("train")),
    )
    for name, split in itertools.product(tables, SPLITS):
        is_split = (store.subjects["split"] == split).to_numpy()
        run.counts[f"num_{split}_with_{name}"] = int((tables[name].observed & is_split).sum())
    run.passed_over.update(STATES)
    run.notes["tuning_nats_per_event"] = result.per_event()
    run.notes["best_step"] = trainer.progress.best_step
    run.notes["train_seconds"] = round(trainer.progress.seconds, 1)
    run.notes["processes"] = trainer.team.size
    run.notes["threads"] = torch.get_num_threads()
    run.notes["device"] = trainer.team.device.type
    run.notes["precision"] = str(trainer.precision).removeprefix("torch.")


def _tasks(store: TokenStore, files: Sequence[Path], config: TrainConfig) -> Tasks | None:
    if not config.onset.enabled:
        if files:
            raise ConfigError("--task and --no-onset", remedy="give one of them")
        return None
    return choose_tasks(store, files, config.onset.codes)


def _fit_onset(
    run: StageRun,
    model: Proband,
    trainer: Trainer,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    tasks: Tasks,
) -> OnsetResult:
    """Fit the onset head on the finished model, and note how it went."""
    log = OnsetLog(run.folder)
    result = fit_onset(model, store, tables, tasks, trainer.config, trainer.team.device, log.write)
    model.cpu()
    run.counts.update(num_tasks=len(tasks.tasks), num_named_tasks=tasks.num_named)
    run.notes["tuning_onset_nats_per_date"] = result.losses
    run.notes |= result.notes
    losses = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in result.losses.items())
    say(f"train: {len(tasks.tasks)} onset tasks; tuning loss in nats per date: {losses}")
    return result


def _check_fusion(config: TrainConfig, files: Mapping[str, Path]) -> None:
    """Every fusion but none needs a modality, and modalities need one; options are of modalities given."""
    if (config.fusion == NO_FUSION) == bool(files):
        found = f"fusion {config.fusion} with {', '.join(files) or 'no modality'}"
        remedy = "give --genome or --modality and a --fusion other than none, or neither"
        raise ConfigError("fusion and modalities do not fit", found=found, remedy=remedy)
    for name in config.encoders.keys() - files.keys():
        expected = ", ".join(files) or "none"
        raise ConfigError("an encoder of a modality not given", found=name, expected=expected)


def _resumable(
    out: Path, config: TrainConfig, inputs: list[Path], overwrite: bool
) -> contextlib.AbstractContextManager[Path]:
    return resumable(
        out, "train", config, inputs=inputs, overwrite=overwrite, state=STATE, free=FREE_SETTINGS
    )
