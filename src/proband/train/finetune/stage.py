"""The finetune stage: new outcomes for a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from proband.core.errors import ConfigError
from proband.core.files.digests import hash_file
from proband.core.files.provenance import StageRun, is_finished, stage_output
from proband.core.files.resume import resumable
from proband.core.running.device import choose_device
from proband.core.running.progress import say
from proband.core.running.unused import say_unused
from proband.ehr.outcomes import task_files
from proband.model.checkpoint import load_model, save_model
from proband.model.folder import MAY_LEAVE, VOCABULARY
from proband.model.onset.head import OnsetHead
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable, given_paths, modality_files
from proband.tokens.modalities.tables import say_absent, say_shifted, tables_for
from proband.train.config import OnsetOptions, TrainConfig
from proband.train.finetune.card import write_card
from proband.train.finetune.choices import MODES
from proband.train.finetune.config import FREE_SETTINGS, FinetuneConfig
from proband.train.finetune.labels import labelled_subjects
from proband.train.finetune.modes import Mode
from proband.train.finetune.outcomes import NewOutcomes, new_outcomes
from proband.train.finetune.rows import add_rows, fit_rows, rows_head
from proband.train.finetune.trunk import TrunkFit
from proband.train.log import OnsetLog
from proband.train.onset.fit import Part
from proband.train.onset.stage import OnsetResult, fit_onset
from proband.train.onset.tasks import Tasks
from proband.train.pretrain.state import STATE, STATES, drop_states

STAGE = "finetune"


def finetune(
    model: Path,
    tokens: Path,
    out: Path,
    *,
    tasks: Sequence[Path],
    genome: Path | None = None,
    modalities: Mapping[str, Path] | None = None,
    config: FinetuneConfig | None = None,
    overwrite: bool = False,
) -> None:
    """Give a trained model onset hazards of new outcomes; the result is a model folder like any other.

    Args:
        model: A model folder with onset hazards.
        tokens: A tokens folder with the model's vocabulary and the splits train and tuning.
        out: Output folder.
        tasks: Task files. Outcomes that the model names already stay as they are.
        genome: A genome folder, for linear terms of scores of a model that has them.
        modalities: Parquet files of further modalities by name.
        config: Settings.
        overwrite: Start anew over a finished or interrupted output.

    Raises:
        ConfigError: The model has no onset hazards, or every outcome is a task of it already; an outcome's
            codes are unknown; or a modality does not fit the model or the mode.
        CheckpointError: The model is damaged, of another version, or of another vocabulary than the tokens.
        DataError: An outcome has too few onsets or labels in train, or none in tuning; a split is empty.
    """
    config, inputs, files = _resolved(model, tokens, tasks, genome, modalities, config)
    if is_finished(out, STAGE, config, overwrite, inputs):
        drop_states(out)
        return
    _say_unused(config)
    store = TokenStore(tokens)
    loaded = load_model(model, store.vocabulary.hash)
    mode: Mode = MODES[config.mode]()
    tables = _linear_tables(loaded, model, store, files, mode, config)
    labelled = labelled_subjects(store, config.label_fraction, config.seed)
    assert loaded.config.onset is not None
    wanted = new_outcomes(store, tasks, loaded.config.onset, labelled)
    work_of = resumable(
        out, STAGE, config, inputs=inputs, overwrite=overwrite, state=STATE, free=FREE_SETTINGS
    )
    with (
        work_of as work,
        stage_output(
            out,
            stage=STAGE,
            config=config,
            inputs=inputs,
            seed=config.seed,
            work=work,
            may_leave=MAY_LEAVE,
            overwrite=overwrite,
        ) as run,
    ):
        fit = Adaptation(loaded, store, tables, wanted, mode, config)
        _write(run, fit, fit.run(run), store)
    drop_states(out)
    names = ", ".join(task.name for task in wanted.tasks)
    say(f"finetune: {names} added to {len(loaded.config.onset.tasks)} onset tasks; model in {out}")


def _say_unused(config: FinetuneConfig) -> None:
    if not MODES[config.mode].changes_trunk:
        of_trunk = ("epochs", "patience", "learning_rate", "rank", "batch_subjects")
        say_unused(STAGE, config, of_trunk, f"--mode {config.mode} does not train the trunk")
    elif not MODES[config.mode].has_rank:
        say_unused(STAGE, config, ("rank",), f"--mode {config.mode} has no terms of low rank")


def _resolved(
    model: Path,
    tokens: Path,
    tasks: Sequence[Path],
    genome: Path | None,
    modalities: Mapping[str, Path] | None,
    config: FinetuneConfig | None,
) -> tuple[FinetuneConfig, list[Path], dict[str, Path]]:
    """Settings as the manifest keeps them, all that is read, and files of modalities by name."""
    task_inputs = [file for task in tasks for file in task_files(task)]
    files = modality_files(genome, modalities)
    named = {"modalities": tuple(files), "tasks": tuple(hash_file(file) for file in task_inputs)}
    config = (config or FinetuneConfig()).model_copy(update=named)
    return config, [model, tokens, *task_inputs, *given_paths(genome, files)], files


def _linear_tables(
    loaded: Proband,
    where: Path,
    store: TokenStore,
    files: dict[str, Path],
    mode: Mode,
    config: FinetuneConfig,
) -> dict[str, ModalityTable]:
    """The modalities given of which the model's hazards have linear terms.

    Raises:
        ConfigError: The model has no hazards, or the mode fits its tasks anew and a modality is not given.
    """
    if loaded.onset is None:
        raise ConfigError(
            "the model has no onset hazards to add an outcome to",
            where=where,
            remedy="train it without --no-onset",
        )
    missing = loaded.config.modalities.keys() - files.keys()
    if mode.changes_trunk and missing:
        raise ConfigError(
            "all tasks are fitted anew when the trunk changes, and a modality of the model is not given",
            where=f"--mode {config.mode}",
            found=f"no {', '.join(sorted(missing))}",
            remedy="give --genome or --modality as in training, or take --mode row",
        )
    given_labels = [task.name for task in loaded.onset.config.tasks if task.is_label]
    if mode.changes_trunk and given_labels:
        raise ConfigError(
            "all tasks are fitted anew when the trunk changes, and labels of the model are not at hand",
            where=f"--mode {config.mode}",
            found=f"outcome {given_labels[0]} of the model",
            remedy="take --mode row, or start from the model before that outcome was added",
        )
    say_absent(STAGE, loaded.config.modalities, files)
    tables = tables_for(loaded.config.modalities, store, files)
    say_shifted(STAGE, loaded.fusion.scales(), tables)
    return {name: table for name, table in tables.items() if name in loaded.onset.config.linear}


class Adaptation:
    """One model that learns new tasks.

    Args:
        model: With onset hazards; changed in place.
        store: Tokens.
        tables: Modalities with linear terms.
        wanted: The new tasks, and what is known of them.
        mode: What is trained.
        config: Settings.
    """

    def __init__(
        self,
        model: Proband,
        store: TokenStore,
        tables: Mapping[str, ModalityTable],
        wanted: NewOutcomes,
        mode: Mode,
        config: FinetuneConfig,
    ) -> None:
        self.model, self.store, self.tables = model, store, tables
        self.wanted, self.mode, self.config = wanted, mode, config
        self.device = choose_device(config.device)

    def run(self, run: StageRun) -> OnsetResult:
        """Fit; what is trained of the trunk first, where the mode does so."""
        self.model.to(self.device).eval()
        rows, result = self._rows(*self._parts())
        if self.mode.changes_trunk and self._train_trunk(run, rows):
            rows, result = self._rows(*self._parts())
        add_rows(self.model, rows)
        self.model.cpu()
        return result

    def _parts(self) -> tuple[Part, Part]:
        """Labelled dates of train and tuning, with the states of the model as it is."""
        given = self.model, self.store, self.tables
        train, tuning = (self.wanted.part(*given, split, self.config) for split in ("train", "tuning"))
        return train, tuning

    def _rows(self, train: Part, tuning: Part) -> tuple[OnsetHead, OnsetResult]:
        """The rows of the new tasks on the model as it is."""
        own = self.model.onset
        assert own is not None
        rates = self.wanted.log_rates(self.store, own)
        head = rows_head(self.model, self.wanted.tasks, rates, set(self.tables))
        return head, fit_rows(head, own, train, tuning, self.device)

    def _train_trunk(self, run: StageRun, rows: OnsetHead) -> bool:
        """Train the trunk, then fit the old tasks anew on it, with the labels of everybody.

        Returns:
            Whether the trunk changed: not if the tuning loss never fell below that of the frozen one.
        """
        shape = self.model.config.onset
        assert shape is not None
        fit = TrunkFit(self.model, rows, self.store, *self._parts(), self.config, run.folder, self.device)
        log = OnsetLog(run.folder, fit.progress.step if fit.is_begun else -1)
        progress = fit.run(log.write)
        run.passed_over.update(STATES)
        run.notes["trunk_steps"] = {"best": progress.best_step, "last": progress.step}
        run.notes["trunk_tuning_nats_per_date"] = {
            "before": progress.first_loss,
            "best": progress.best_loss,
        }
        if not progress.best_step:
            say("finetune: the tuning loss was lowest before the trunk was trained; it stays as it was")
            return False
        options = OnsetOptions(queries=self.config.queries, networks=shape.num_networks)
        settings = TrainConfig(seed=self.config.seed, onset=options)
        tasks = Tasks(shape.tasks, shape.num_named)
        fit_onset(self.model, self.store, self.tables, tasks, settings, self.device, log.write)
        return True


def _write(run: StageRun, fit: Adaptation, result: OnsetResult, store: TokenStore) -> None:
    """Write the model folder, and note how the fit went."""
    store.vocabulary.for_model().save(run.folder / VOCABULARY)
    save_model(fit.model, run.folder, store.vocabulary.hash)
    write_card(run.folder, fit.model, fit.wanted.tasks, fit.config, result)
    shape = fit.model.config.onset
    assert shape is not None
    run.counts.update(num_tasks=len(shape.tasks), num_named_tasks=shape.num_named)
    run.counts["num_new"] = len(fit.wanted.tasks)
    for split in ("train", "tuning"):
        run.counts[f"num_labelled_{split}"] = fit.wanted.num_labelled(split)
    run.notes["tuning_onset_nats_per_date"] = result.losses
    run.notes |= result.notes
    losses = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in result.losses.items())
    say(f"finetune: tuning loss of the new outcomes in nats per date: {losses}")
