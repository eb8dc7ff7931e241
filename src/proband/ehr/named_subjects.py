"""Subjects whom a task names, by labels or by dates of its own, beside those of the records."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from proband.core.errors import DataError, first_names
from proband.core.running.progress import say
from proband.ehr.outcomes import Task


def check_named(stage: str, task: Task, subjects: pl.DataFrame, where: str | Path) -> None:
    """Say which subjects of a task's labels, or of its own dates, the records do not have.

    Args:
        stage: Name of the stage that asks.
        task: The task.
        subjects: subject_id of all subjects.
        where: Folder of the records, for the message.

    Raises:
        DataError: The records have none of the subjects that the task names.
    """
    tables = {name: outcome.frame for name, outcome in task.labelled.items()}
    if not tables and task.prediction.file is not None:
        tables = {"dates of the task": task.prediction.dates}
    what, word = ("labels", "labelled") if task.labelled else ("dates", "dated")
    known, lines, num_known = subjects["subject_id"].to_list(), [], 0
    unknown = pl.Series("subject_id", [], pl.Int64)
    for name, frame in tables.items():
        mine = frame["subject_id"].unique().sort()
        absent = mine.filter(~mine.is_in(known))
        num_known += len(mine) - len(absent)
        unknown = unknown if len(unknown) else absent
        if len(absent):
            lines.append(f"{name} {len(absent):,} of {len(mine):,}")
    remedy = "name subjects by the subject_id of the records"
    if lines and not num_known and (len(tables) == len(task.outcomes) or not task.labelled):
        raise DataError(
            f"no {word} subject is in the records", where=where, remedy=remedy,
            found=f"{word} {unknown.head(3).to_list()}, recorded {known[:3]}",
        )  # fmt: skip
    if lines:
        say(
            f"{stage}: {what} of subjects whom {where} does not have are passed over, "
            f"such as subject {unknown[0]}: {first_names(lines)} subjects; {remedy}"
        )
