"""Labels of a MEDS-DEV task, and predictions of them: what the head and the zero-shot path share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl

from proband.core.errors import DataError, ProbandError
from proband.core.files.tables import read_parquet

KEY = ["subject_id", "prediction_time"]
VALUE = "boolean_value"
TOKENS, MODEL, PREDICTIONS = "tokens", "model", "predictions.parquet"


def read_labels(folder: Path, *, with_values: bool = True) -> pl.DataFrame:
    """All labels of a folder, whatever its files are called.

    Args:
        folder: Parquet files of subject_id, prediction_time and boolean_value.
        with_values: Whether boolean_value must be there; else it is kept where there is one.

    Raises:
        DataError: There are none, or they are not as MEDS has them.
    """
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise DataError("no labels", where=folder, expected="Parquet files", remedy="extract the task first")
    frames = [read_parquet(path) for path in files]
    for path, frame in zip(files, frames, strict=True):
        missing = {*KEY, *([VALUE] if with_values else [])} - set(frame.columns)
        if missing:
            raise DataError(f"labels without {', '.join(sorted(missing))}", where=path)
    kept = [*KEY, *([VALUE] if all(VALUE in frame.columns for frame in frames) else [])]
    return pl.concat([frame.select(kept) for frame in frames])


def labels_of_split(folder: Path, dataset: Path, split: str, *, with_values: bool = True) -> pl.DataFrame:
    """Labels of the subjects that a dataset has in a split.

    Raises:
        DataError: There is none.
    """
    splits = read_parquet(dataset / "metadata" / "subject_splits.parquet")
    mine = splits.filter(split=split).select("subject_id")
    asked = read_labels(folder, with_values=with_values).join(
        mine, on="subject_id", how="semi", maintain_order="left"
    )
    if asked.is_empty():
        raise DataError(f"no subject of split {split} has a label", where=folder)
    return asked


def write_predictions(labels: pl.DataFrame, probabilities: pl.Series, other: float, out: Path) -> None:
    """Write the labels with predicted_boolean_probability and predicted_boolean_value (above one half).

    Args:
        labels: Labels in any order.
        probabilities: Of each label, null where there is none.
        other: Taken where there is none.
        out: Folder of predictions.parquet.
    """
    found = probabilities.cast(pl.Float64).fill_null(other)
    out.mkdir(parents=True, exist_ok=True)
    labels.with_columns(
        predicted_boolean_probability=found, predicted_boolean_value=found > 0.5
    ).write_parquet(out / PREDICTIONS)


def exit_with_one_line(name: str, main: Callable[[], None]) -> None:
    """Run a program; a mistake of the user is one line and exit code 2."""
    try:
        main()
    except ProbandError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
