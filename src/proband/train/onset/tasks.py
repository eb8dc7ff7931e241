"""Which first occurrences a model has hazards of: outcomes of task files, death, codes and families."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from proband.core.errors import ConfigError, DataError
from proband.core.running.progress import say
from proband.core.statistics import suppress
from proband.ehr.outcomes import load_task
from proband.ehr.task.codesets import Pattern
from proband.ehr.task.labelled import Labelled
from proband.model.config import OnsetTask
from proband.tokens.dataset import TokenStore
from proband.tokens.history.families import code_families
from proband.tokens.history.onsets import first_occurrences, tokens_by_code
from proband.tokens.history.outcomes import outcome_tokens
from proband.tokens.vocabulary import BIRTH_TOKEN, DEATH_CODE, Vocabulary

LEAST_ONSETS = suppress.LEAST
"""Onsets in the train split's follow-up below which there is no task: a model's rates tell their number."""
MOST_CODES = 2000
"""Codes and families that become tasks, at most: those with most onsets."""


class Tasks(NamedTuple):
    """The tasks of a model.

    Attributes:
        tasks: Outcomes of task files and death first, then codes and families.
        num_named: How many of them the former are.
    """

    tasks: tuple[OnsetTask, ...]
    num_named: int


def choose_tasks(store: TokenStore, files: Sequence[Path], with_codes: bool) -> Tasks | None:
    """The tasks that the train split has onsets enough for; None if there is not one.

    Args:
        store: Tokens with train and tuning splits.
        files: Task files, whose outcomes become tasks.
        with_codes: Whether codes and families become tasks as well.

    Raises:
        ConfigError: An outcome's codes are static or unknown, or two files call different codes by one name.
        DataError: Task files are given and no outcome has onsets enough in train, or none has any in tuning.
    """
    named = _named(store.vocabulary, files)
    found = _with_onsets(store, named, "outcome" if files else "")
    codes = _with_onsets(store, _codes(store.vocabulary, named), "")[:MOST_CODES] if with_codes else []
    if files and not any(task.name != DEATH_CODE for task in found):
        raise DataError(
            "no outcome of the task files can be learnt",
            where="--task",
            found=f"fewer than {LEAST_ONSETS} onsets of each among train subjects under follow-up",
            remedy="give outcomes that happen, or leave --task out",
        )
    if not found:  # linear terms need one task at least
        return None
    tasks = Tasks((*found, *codes), len(found))
    if not num_onsets(store, store.rows_of("tuning"), tasks.tasks[: tasks.num_named]).any():
        if files:
            raise DataError(
                "no onset of any task in the tuning split",
                where=store.folder,
                remedy="split more subjects into tuning: proband ehr --splits",
            )
        say("train: no onset in the tuning split to judge onset hazards by; the model gets none")
        return None
    return tasks


def num_onsets(
    store: TokenStore, rows: Int[np.ndarray, " rows"], tasks: Sequence[OnsetTask]
) -> Int[np.ndarray, " tasks"]:
    """Onsets of each task within the subjects' follow-up: after entry, by exit."""
    first = first_occurrences(store, rows, [task.tokens for task in tasks])
    return ((first > store.entry[rows, None]) & (first <= store.exit[rows, None])).sum(axis=0)


def _named(vocabulary: Vocabulary, files: Sequence[Path]) -> list[OnsetTask]:
    """The outcomes of all files, each set of tokens once, then death."""
    found = outcomes_of(vocabulary, files, "train")
    if not any(task.tokens == (vocabulary.death,) for task in found.values()):
        _add(found, OnsetTask(name=DEATH_CODE, tokens=(vocabulary.death,)), Path("the vocabulary"))
    return distinct(found)


def outcomes_of(vocabulary: Vocabulary, files: Sequence[Path], stage: str) -> dict[str, OnsetTask]:
    """The outcomes of task files that are sets of known tokens, by name; patterns are said and left out.

    Args:
        vocabulary: The tokens there are.
        files: Task files.
        stage: Name of the stage that asks, for what is said.

    Raises:
        ConfigError: Codes are static or unknown, or two files call different codes by one name.
    """
    found: dict[str, OnsetTask] = {}
    for file in files:
        task = load_task(file)
        sets = outcome_tokens(vocabulary, task, stage)
        for name, outcome in task.outcomes.items():
            if isinstance(outcome, Pattern):
                say(f"{stage}: {name} is a pattern of events and no task; forecast it by sampled paths")
            elif isinstance(outcome, Labelled):
                say(f"{stage}: {name} is given as labels and no onset; add it with proband finetune")
            elif sets[name].any():
                tokens = tuple(np.flatnonzero(sets[name][0]).tolist())
                _add(found, OnsetTask(name=name, tokens=tokens), file)
    return found


def distinct(found: dict[str, OnsetTask]) -> list[OnsetTask]:
    """Each set of tokens once, by the name that comes first."""
    unique = {task.tokens: task for task in reversed(found.values())}
    return [task for task in found.values() if unique[task.tokens] is task]


def _add(found: dict[str, OnsetTask], task: OnsetTask, file: Path) -> None:
    if found.setdefault(task.name, task) != task:
        raise ConfigError(
            f"two outcomes are called {task.name}", where=file, remedy="rename one of them in its task file"
        )


def _codes(vocabulary: Vocabulary, named: Sequence[OnsetTask]) -> list[OnsetTask]:
    """Every code and every family of codes, but for those that are outcomes, and for whole vocabularies."""
    sets = dict(tokens_by_code(vocabulary.recorded_codes()))
    table, kinds = code_families(vocabulary), vocabulary.kinds()
    for family in range(1, int(table.max(initial=0)) + 1):
        members = np.flatnonzero((table == family).any(axis=1))
        kind = kinds[members[0]]
        if len(members) < kinds.count(kind):
            sets.setdefault(f"family {family} of {kind}", tuple(members.tolist()))
    known = {task.tokens for task in named}
    found = []
    for name, tokens in sets.items():
        if min(tokens) > BIRTH_TOKEN and tokens not in known:
            known.add(tokens)
            found.append(OnsetTask(name=name, tokens=tokens))
    return found


def _with_onsets(store: TokenStore, tasks: Sequence[OnsetTask], what: str) -> list[OnsetTask]:
    """Those with onsets enough in train; codes by number of onsets. ``what`` names those left out."""
    number = num_onsets(store, store.rows_of("train"), tasks)
    for task, onsets in zip(tasks, number.tolist(), strict=True):
        if what and onsets < LEAST_ONSETS:
            say(
                f"train: {what} {task.name} has {suppress.count(onsets)} onsets among train subjects "
                f"under follow-up, fewer than {LEAST_ONSETS}, and is no task"
            )
    order = np.argsort(-number, kind="stable") if not what else np.arange(len(tasks))
    return [tasks[at] for at in order if number[at] >= LEAST_ONSETS]
