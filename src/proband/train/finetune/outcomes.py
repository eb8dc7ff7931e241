"""What new rows are fitted on: onsets in the record at dates drawn, or labels given for dates."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.core.errors import ConfigError
from proband.core.units import MICROSECONDS_PER_MINUTE, years_to_minutes
from proband.ehr.cohort import prediction_times
from proband.ehr.named_subjects import check_named
from proband.ehr.outcomes import Task, load_task
from proband.ehr.task.labelled import VALUE
from proband.model.config import OnsetConfig, OnsetTask
from proband.model.onset.head import OnsetHead
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.onsets import NEVER
from proband.tokens.modalities.modality import ModalityTable
from proband.train.finetune.config import FinetuneConfig
from proband.train.finetune.labels import Labelled, new_tasks, too_few
from proband.train.onset.fit import Part
from proband.train.onset.incidence import log_rates, log_rates_of_onsets
from proband.train.onset.piecewise_exponential import FollowUp
from proband.train.onset.queries import read_queries
from proband.train.onset.stage import read_dates
from proband.train.onset.tasks import LEAST_ONSETS


class NewOutcomes(ABC):
    """New tasks of a model, and what is known of them.

    Attributes:
        tasks: The tasks.
    """

    tasks: tuple[OnsetTask, ...]

    @abstractmethod
    def log_rates(self, store: TokenStore, own: OnsetHead) -> Float[Tensor, "tasks sexes ages"]:
        """Log incidence per year by sex and age of the labelled train subjects.

        Args:
            store: The records.
            own: The model's head, of known tasks.
        """

    @abstractmethod
    def part(
        self,
        model: Proband,
        store: TokenStore,
        tables: Mapping[str, ModalityTable],
        split: str,
        config: FinetuneConfig,
    ) -> Part:
        """Dates of the labelled subjects of a split, with what is known then and what followed."""

    @abstractmethod
    def num_labelled(self, split: str) -> int:
        """Subjects of a split whose labels are read."""


@dataclass(frozen=True)
class Onsets(NewOutcomes):
    """First occurrences of codes.

    Attributes:
        tasks: The tasks.
        labelled: Whose records are read.
    """

    tasks: tuple[OnsetTask, ...]
    labelled: Labelled

    def log_rates(self, store: TokenStore, own: OnsetHead) -> Float[Tensor, "tasks sexes ages"]:
        """Of all their person-time, shrunk to the shapes of those of the known tasks."""
        known = own.log_rate[own.named_onsets, :2].double().cpu().numpy()
        return log_rates(store, self.tasks, self.labelled["train"], known)

    def part(
        self,
        model: Proband,
        store: TokenStore,
        tables: Mapping[str, ModalityTable],
        split: str,
        config: FinetuneConfig,
    ) -> Part:
        """Dates uniform over their person-time."""
        rows = self.labelled[split]
        return read_dates(model, store, tables, self.tasks, rows, split, config.queries, config.seed)

    def num_labelled(self, split: str) -> int:
        """Subjects."""
        return len(self.labelled[split])


@dataclass(frozen=True)
class LabelledDates:
    """Labelled dates of one split, a subject's together.

    Attributes:
        rows: Row of the store of each date.
        minutes: Age in minutes.
        had: Whether each task's label is true.
        known: Whether it has one.
    """

    rows: Int[np.ndarray, " dates"]
    minutes: Int[np.ndarray, " dates"]
    had: Bool[np.ndarray, "dates tasks"]
    known: Bool[np.ndarray, "dates tasks"]

    def onsets(self, window: int) -> Int[np.ndarray, "dates tasks"]:
        """Ages at onset in minutes: in the middle of the window of true labels, never of false ones; of what
        is not known the date itself, from which nobody is followed."""
        now = self.minutes[:, None]
        happened = np.where(self.had, now + window // 2, NEVER)
        return np.where(self.known, happened, now).astype(np.int32)


@dataclass(frozen=True)
class BinaryLabels(NewOutcomes):
    """Labels at given dates.

    Attributes:
        tasks: The tasks, of one horizon.
        dates: Labelled dates of train and tuning.
    """

    tasks: tuple[OnsetTask, ...]
    dates: dict[str, LabelledDates]

    @property
    def window(self) -> int:
        """What the labels are over, minutes."""
        horizon = self.tasks[0].horizon_years
        assert horizon is not None
        return years_to_minutes(horizon)

    def log_rates(self, store: TokenStore, own: OnsetHead) -> Float[Tensor, "tasks sexes ages"]:
        """By age at the dates; a label need not be like onsets."""
        dates = self.dates["train"]
        until = dates.minutes + self.window
        return log_rates_of_onsets(store, dates.rows, dates.minutes, dates.onsets(self.window), until)

    def part(
        self,
        model: Proband,
        store: TokenStore,
        tables: Mapping[str, ModalityTable],
        split: str,
        config: FinetuneConfig,
    ) -> Part:
        """The given dates; each counts as one."""
        own = self.dates[split]
        queries = read_queries(model, store, {}, own.rows, own.minutes, tables)
        every = np.arange(len(own.rows))
        return Part(queries, FollowUp(own.onsets(self.window), every, own.minutes, own.minutes + self.window))

    def num_labelled(self, split: str) -> int:
        """Subjects."""
        return len(np.unique(self.dates[split].rows))


def new_outcomes(
    store: TokenStore, files: Sequence[Path], known: OnsetConfig, labelled: Labelled
) -> NewOutcomes:
    """What task files ask for that the model has no named task of.

    Args:
        store: The records.
        files: Task files, of onsets or of labels over one horizon.
        known: What the model has hazards of.
        labelled: Whose labels are read.

    Raises:
        ConfigError: As :func:`~proband.train.finetune.labels.new_tasks`; onsets and labels are mixed; or the
            model has a task of the name of a label.
        DataError: An outcome has too few onsets or labels, or labels of one class; or the records have none
            of the subjects labelled.
    """
    tasks = [load_task(file) for file in files]
    for task in tasks:
        check_named("finetune", task, store.subjects, store.folder)
    if not any(task.labelled for task in tasks):
        return Onsets(new_tasks(store, files, known, labelled), labelled)
    horizons = {task.horizons_years for task in tasks}
    if len(horizons) > 1 or any(len(task.labelled) < len(task.outcomes) for task in tasks):
        raise ConfigError(
            "labels beside outcomes of other kinds or horizons",
            where="--task",
            expected="onsets alone, or labels over one horizon alone",
            remedy="finetune twice, the second time the model that the first wrote",
        )
    return _binary_labels(store, tasks, known, labelled)


def _binary_labels(
    store: TokenStore, tasks: Sequence[Task], known: OnsetConfig, labelled: Labelled
) -> BinaryLabels:
    horizon = tasks[0].horizons_years[0]
    names = [name for task in tasks for name in task.labelled]
    taken = [name for name in names if names.count(name) > 1 or name in {task.name for task in known.tasks}]
    if taken:
        remedy = "rename it in the task file"
        raise ConfigError("the model has a task of this name", where="--task", found=taken[0], remedy=remedy)
    dates = {split: labelled_dates(store, tasks, rows) for split, rows in labelled.items()}
    _refuse_too_few(names, dates)
    new = tuple(OnsetTask(name=name, tokens=(), horizon_years=horizon) for name in names)
    return BinaryLabels(new, dates)


def labelled_dates(store: TokenStore, tasks: Sequence[Task], rows: Int[np.ndarray, " rows"]) -> LabelledDates:
    """Dates of some subjects at which any outcome of the tasks has a label.

    Args:
        store: The records.
        tasks: Tasks all of whose outcomes are labels.
        rows: Rows of the subjects.
    """
    subjects, key = store.follow_up()[rows], ["subject_id", "prediction_time"]
    names = [name for task in tasks for name in task.labelled]
    known = [
        prediction_times(subjects, task).join(outcome.frame.rename({VALUE: name}), on=key)
        for task in tasks
        for name, outcome in task.labelled.items()
    ]
    found = functools.reduce(lambda one, more: one.join(more, on=key, how="full", coalesce=True), known)
    at = found.join(subjects.select("subject_id", "row", "birth_time"), on="subject_id")
    at = at.sort("row", "prediction_time")
    age = (pl.col("prediction_time") - pl.col("birth_time")).dt.total_microseconds()
    values = at.select(names)
    return LabelledDates(
        rows=at["row"].to_numpy().astype(np.int64),
        minutes=at.select(age // MICROSECONDS_PER_MINUTE).to_series().to_numpy().astype(np.int64),
        had=values.fill_null(False).to_numpy(),
        known=values.select(pl.all().is_not_null()).to_numpy(),
    )


def _refuse_too_few(names: Sequence[str], dates: Mapping[str, LabelledDates]) -> None:
    """Refuse labels of which too few are true, or false, to fit or to judge.

    Raises:
        DataError: Names the first, with numbers.
    """
    for split, least in (("train", LEAST_ONSETS), ("tuning", 1)):
        own = dates[split]
        for number, name in enumerate(names):
            true = int((own.had & own.known)[:, number].sum())
            false = int(own.known[:, number].sum()) - true
            if min(true, false) < least:
                where = f"outcome {name}, labelled {split} subjects under follow-up"
                found = f"{true:,} true, {false:,} false"
                raise too_few(split, where, found, f"at least {least} of each")
