"""Outcomes given as labels: who had it at which prediction time, as a MEDS label file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from proband.core.errors import ConfigError, DataError
from proband.core.files.tables import as_text
from proband.core.text.predictiontimes import COLUMNS, prediction_times_of
from proband.core.text.textvalues import MISSING
from proband.ehr.task.codesets import Codes
from proband.ehr.task.dates import SubjectTable, read_people_table, table_files

VALUE = "boolean_value"
_TEXTS = dict.fromkeys(("true", "t", "1", "1.0"), True) | dict.fromkeys(("false", "f", "0", "0.0"), False)
_NO_LABEL = {text.lower() for text in MISSING}


class Labelled(BaseModel):
    """A binary outcome that a file of labels tells, over the task's one horizon.

    Whether it happened is known for each labelled date, when is not: it counts as in the middle of the
    horizon. Death does not compete, since the label says what became of everybody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: str = Field(
        min_length=1,
        description="A MEDS label file, or a folder of such, from the task file's folder: subject_id, "
        "prediction_time and boolean_value.",
    )
    _labels: SubjectTable | None = PrivateAttr(default=None)

    @property
    def frame(self) -> pl.DataFrame:
        """subject_id, prediction_time and boolean_value."""
        if self._labels is None:
            remedy = "read the task by load_task"
            raise ConfigError(
                "labels of a task that was not loaded from its file", where=self.labels, remedy=remedy
            )
        return self._labels.frame

    @property
    def steps(self) -> tuple[Codes, ...]:
        """No code makes it."""
        return ()

    @property
    def may_be_absent(self) -> bool:
        """Whoever has a label has an answer."""
        return False

    def load(self, folder: Path) -> None:
        """Read the labels from a task file's folder.

        Raises:
            DataError: As :func:`read_labels`.
        """
        self._labels = SubjectTable(read_labels(folder / self.labels))


def is_labelled(outcome: Any) -> bool:
    """Whether an outcome, read or as written in a task file, is given as labels."""
    return isinstance(outcome, Labelled) or (isinstance(outcome, dict) and "labels" in outcome)


def read_labels(path: Path) -> pl.DataFrame:
    """Labels of a file or folder, sorted by subject and time; rows without a label are left out.

    Args:
        path: Parquet, CSV or TSV, or a folder of Parquet files, with subject_id, prediction_time and
            boolean_value (true, false, t, f, 1 or 0; none where empty, NA, NaN and the like).

    Returns:
        subject_id, prediction_time and boolean_value.

    Raises:
        DataError: There is no file or no label, a column is missing, a value is unusable, or one subject has
            two different labels at one time.
    """
    frame = pl.concat([_read(file) for file in table_files(path)]).drop_nulls(VALUE).unique().sort(*COLUMNS)
    if frame.is_empty():
        raise DataError("no labels", where=path, expected=f"rows with {VALUE}")
    twice = frame.filter(frame.select(COLUMNS).is_duplicated())
    if twice.height:
        subject, time, _ = twice.row(0)
        raise DataError(
            "two labels of one subject at one time",
            where=path,
            found=f"subject {subject} at {time:%Y-%m-%d}, and {twice.height // 2 - 1} more",
            remedy="give each outcome a file of its own",
        )
    return frame


def _read(path: Path) -> pl.DataFrame:
    frame = read_people_table(path)
    times = prediction_times_of(frame, path)
    if VALUE not in frame.columns:
        found = f"columns {', '.join(frame.columns[:8])}"
        raise DataError(f"no column {VALUE}", where=path, found=found, expected="true or false")
    return times.with_columns(_booleans(frame[VALUE], path))


def _booleans(values: pl.Series, path: Path) -> pl.Series:
    if values.dtype == pl.Boolean or values.dtype == pl.Null:
        return values.cast(pl.Boolean).alias(VALUE)
    text = as_text(values, path).str.strip_chars().str.to_lowercase()
    found = text.replace_strict(_TEXTS, default=None, return_dtype=pl.Boolean)
    bad = values.filter(found.is_null() & text.is_not_null() & ~text.is_in(_NO_LABEL))
    if len(bad):
        raise DataError(f"unusable {VALUE}", where=path, found=repr(bad[0]), expected="true, false, 1 or 0")
    return found.alias(VALUE)
