"""Whose labels are read, and which outcomes they teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from proband.core.errors import ConfigError, DataError
from proband.core.running.progress import say
from proband.model.config import OnsetConfig, OnsetTask
from proband.tokens.dataset import LEARNT, TokenStore
from proband.train.onset.tasks import LEAST_ONSETS, distinct, num_onsets, outcomes_of

Labelled = Mapping[str, Int[np.ndarray, " rows"]]
"""Rows of the subjects whose labels are read, by split."""


def labelled_subjects(store: TokenStore, share: float, seed: int) -> dict[str, Int[np.ndarray, " rows"]]:
    """Rows of the subjects of train and tuning whose labels are read.

    Those of a smaller share are among those of a larger one of the same seed.

    Args:
        store: The records.
        share: Share of each split's subjects, above 0, at most 1; rounded up.
        seed: Seed of the draw.

    Raises:
        DataError: A split is empty.
    """
    some = store.fewer(share, seed)
    return {split: some.rows_of(split) for split in LEARNT}


def new_tasks(
    store: TokenStore, files: Sequence[Path], known: OnsetConfig, labelled: Labelled
) -> tuple[OnsetTask, ...]:
    """The outcomes of task files that the model has no named task of, with onsets enough to learn them.

    Args:
        store: The records.
        files: Task files.
        known: What the model has hazards of. An outcome that it named in training stays as it is, which is
            said; one that it had as a code or family alone is new.
        labelled: Whose labels are read.

    Raises:
        ConfigError: Every outcome is a task of the model already, or the model calls other codes by its name.
        DataError: An outcome has too few onsets in train, or none in tuning.
    """
    wanted = distinct(outcomes_of(store.vocabulary, files, "finetune"))
    named = {task.tokens: task.name for task in known.tasks[: known.num_named]}
    found = [task for task in wanted if task.tokens not in named]
    for task in wanted:
        if task.tokens in named:
            own = named[task.tokens]
            also = "" if own == task.name else f" ({own})"
            say(f"finetune: {task.name} is a task of the model already{also} and stays as it is")
    if not found:
        raise ConfigError(
            "every outcome is a task of the model already" if wanted else "no outcome to learn",
            where="--task",
            found=", ".join(task.name for task in wanted[:5]) or "no outcome that is a set of known codes",
            remedy="name an outcome that is none; of those it has, proband forecast gives risks",
        )
    for task in found:
        if task.name in named.values():
            remedy = "rename it in the task file"
            raise ConfigError("the model has another task of this name", found=task.name, remedy=remedy)
    _refuse_too_few(store, found, labelled)
    return tuple(found)


def _refuse_too_few(store: TokenStore, tasks: Sequence[OnsetTask], labelled: Labelled) -> None:
    """Refuse outcomes of which the labelled subjects have too few onsets to fit or to judge.

    Raises:
        DataError: Names them, with numbers.
    """
    for split, least in (("train", LEAST_ONSETS), ("tuning", 1)):
        rows = labelled[split]
        number = num_onsets(store, rows, tasks)
        few = [f"{task.name} {onsets}" for task, onsets in zip(tasks, number, strict=True) if onsets < least]
        if few:
            where = f"{len(rows):,} labelled {split} subjects under follow-up"
            raise too_few(split, where, f"onsets: {', '.join(few[:5])}", f"at least {least}")


def too_few(split: str, where: str, found: str, expected: str) -> DataError:
    """Labels that are too few to fit (train) or to judge (tuning)."""
    return DataError(
        "too few labels" if split == "train" else "labels of one class in the tuning split",
        where=where,
        found=found,
        expected=expected,
        remedy="leave the outcome out, give more subjects, or raise --label-fraction where it is below 1",
    )
