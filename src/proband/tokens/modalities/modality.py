"""Modalities of a tokens folder's subjects, from the genome folder or from Parquet files.

A file holds ``subject_id``, columns of numbers (null or NaN where missing) and, if it was measured at an age,
one of ``time``, ``age_days`` and ``age_years``. Without such a column it is static: one row per subject,
known from birth. With it a subject may have several rows, and each position of a record reads the newest one
at or before its own age. Columns of text and of true and false are labels, not values, and left out, as
are row numbers that pandas keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int

from proband.core.batch import ModalityInput
from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.files.manifest import check_stage
from proband.core.files.tables import is_row_number, read_parquet
from proband.core.running.progress import say
from proband.core.schema import ADJUSTED, SCORES, scores_file
from proband.core.units import MICROSECONDS_PER_MINUTE, MINUTES_PER_DAY, MINUTES_PER_YEAR
from proband.tokens.dataset import TokenStore

GENOME = "genome"
"""The modality that a genome folder is."""

_FAR = 2**40
"""Minutes beyond every age that int64 still holds."""
_NAME = re.compile(r"[A-Za-z]\w*")
_CLOCKS = ("time", "age_days", "age_years")
_NEARLY_CLOCKS = (*_CLOCKS, "age", "date", "datetime", "timestamp")
"""Names, in any case, of what is no value but says when one was measured."""
_FEW = 0.5
"""Share of the subjects below which it is said how many a file has: it may be of other people."""
RAW = "raw"
_KINDS = {RAW: "scores that are not adjusted for ancestry"}
_SAME_SCORES = "score the genotypes with the same scoring files"
_REMEDIES = (
    "name subjects as in the records",
    "name the genotype samples by subject_id, or give `proband genome --samples`",
)


@dataclass(frozen=True)
class ModalityTable:
    """One modality of every subject of a tokens folder, in the folder's order.

    Attributes:
        values: Raw values, one row per measurement; NaN where missing.
        minutes: Age in minutes of each measurement, rising within a subject; 0 for what is static.
        offsets: Subject s owns measurements ``offsets[s]`` to ``offsets[s + 1]``.
        names: Column names, such as pgs_ids.
        timed: Whether it is measured at an age.
        kind: Of a genome, :func:`kind_of` its scores.
    """

    values: Float[np.ndarray, "measurements width"]
    minutes: Int[np.ndarray, " measurements"]
    offsets: Int[np.ndarray, " bounds"]
    names: tuple[str, ...]
    timed: bool = False
    kind: str = ""

    @property
    def observed(self) -> Bool[np.ndarray, " subjects"]:
        """Whether each subject has the modality, at whatever age."""
        return np.diff(self.offsets) > 0

    def observed_by(
        self, rows: Int[np.ndarray, " n"], minutes: Int[np.ndarray, " n"]
    ) -> Bool[np.ndarray, " n"]:
        """Whether the modality of each of ``rows`` is known at an age."""
        first = np.append(self.minutes, np.iinfo(np.int64).max)[self.offsets[rows]]
        return self.observed[rows] & (first <= minutes)

    def measurements(self, row: int, ages: Int[np.ndarray, " n"]) -> Int[np.ndarray, " measurements"]:
        """Rows of ``values`` that are the newest of subject ``row`` at birth or any of ``ages`` (minutes)."""
        begin, end = self.offsets[row], self.offsets[row + 1]
        # At birth, since that is the age of a window's leading positions.
        newest = np.searchsorted(self.minutes[begin:end], np.append(0, ages), side="right") - 1
        return begin + np.unique(newest[newest >= 0])

    def newest_by(self, rows: Int[np.ndarray, " n"], minutes: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Row of ``values`` of each subject's newest measurement at or before an age, -1 without."""
        if not self.timed:
            return np.where(self.observed[rows], self.offsets[rows], -1).astype(np.int64)
        found = np.full(len(rows), -1, dtype=np.int64)
        for at, (row, now) in enumerate(zip(rows.tolist(), minutes.tolist(), strict=True)):
            begin, end = self.offsets[row], self.offsets[row + 1]
            number = int(np.searchsorted(self.minutes[begin:end], now, side="right"))
            found[at] = begin + number - 1 if number else -1
        return found

    def values_by(
        self, rows: Int[np.ndarray, " n"], minutes: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n width"]:
        """The newest values of each subject at or before an age, float32; NaN where there are none."""
        at = self.newest_by(rows, minutes)
        values = self.values[np.maximum(at, 0)].astype(np.float32)
        values[at < 0] = np.nan
        return values

    def take(self, rows: Int[np.ndarray, " some"]) -> ModalityTable:
        """Subjects of some rows, in that order, with repeats."""
        numbers = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(numbers)]).astype(np.int64)
        at = np.repeat(self.offsets[rows] - offsets[:-1], numbers) + np.arange(offsets[-1])
        return replace(self, values=self.values[at], minutes=self.minutes[at], offsets=offsets)


def modality_inputs(
    tables: Mapping[str, ModalityTable],
    rows: Int[np.ndarray, " batch"],
    ages: Int[np.ndarray, "batch length"],
) -> dict[str, ModalityInput]:
    """Of every modality, the measurements that positions of ``rows`` at ``ages`` (minutes) read."""
    return {name: _input(table, rows, ages) for name, table in tables.items()}


def _input(
    table: ModalityTable, rows: Int[np.ndarray, " batch"], ages: Int[np.ndarray, "batch length"]
) -> ModalityInput:
    if table.timed:
        found = [table.measurements(int(row), own) for row, own in zip(rows, ages, strict=True)]
        index = np.full((len(rows), max(1, *(len(own) for own in found))), -1)
        for at, own in enumerate(found):
            index[at, : len(own)] = own
    else:
        index = np.where(table.observed[rows], table.offsets[rows], -1)[:, None]
    observed, index = index >= 0, np.maximum(index, 0)
    values = np.where(observed[..., None], table.values[index], np.float32(np.nan))
    minutes = np.where(observed, table.minutes[index], 0)
    return ModalityInput(torch.from_numpy(values), torch.from_numpy(observed), torch.from_numpy(minutes))


def modality_files(genome: Path | None, files: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """The file of every modality given, the genome's first, the others by name.

    Args:
        genome: A genome output folder.
        files: Parquet files of further modalities by name.

    Raises:
        ConfigError: A name is no plain word, or the genome's.
        DataError: There is no such genome folder.
    """
    if genome and not genome.is_dir():
        raise DataError(
            "no such folder", where=f"--genome {genome}", remedy="give the output of proband genome"
        )
    if genome:
        check_stage(genome, "genome")
    found = {GENOME: scores_file(genome)} if genome else {}
    for name, path in sorted((files or {}).items()):
        if name == GENOME:
            raise ConfigError("the name genome is taken", found=path, remedy="give the folder by --genome")
        if not _NAME.fullmatch(name) or hasattr(torch.nn.ModuleDict, name):
            expected = "a word of letters, digits and _, such as pcs"
            raise ConfigError("unusable name of a modality", found=name, expected=expected)
        found[name] = path
    return found


def given_paths(genome: Path | None, files: Mapping[str, Path]) -> list[Path]:
    """What a manifest names as read: the genome's folder, the files of other modalities.

    Args:
        genome: The genome output folder.
        files: The file of every modality, from :func:`modality_files`.
    """
    return [genome if genome and name == GENOME else path for name, path in files.items()]


def kind_of(name: str, path: Path) -> str:
    """How the scores of a genome were adjusted, such as ``Z_norm2``, or ``raw``; empty for other modalities.

    >>> kind_of("genome", Path("my/adjusted/Z_norm2.parquet")), kind_of("genome", Path("my/scores.parquet"))
    ('Z_norm2', 'raw')
    """
    if name != GENOME:
        return ""
    return path.stem if path.parent.name == ADJUSTED else RAW


def load_modality(
    name: str,
    path: Path,
    store: TokenStore,
    names: tuple[str, ...] | None = None,
    timed: bool | None = None,
    kind: str = "",
) -> ModalityTable:
    """A modality of the store's subjects from a Parquet file.

    Args:
        name: Of the modality; the genome's file is a table of scores.
        path: The file; see the module.
        store: Whose subjects. Rows of others or nobody, and rows without any value, are passed over.
        names: The columns a trained model expects; default all of numbers.
        timed: Whether a trained model expects ages; default what the file holds.
        kind: Of scores that a trained model expects; default what the file holds.

    Raises:
        DataError: The file is missing or unreadable; has no ``subject_id``, two columns of time, or a time in
            a column of another name alone; no numbers, an infinite one, or numbers stored as text; a row
            repeats, lacks its time or lies before birth; no subject is in common; or it is not what the model
            was trained on.
    """
    _check_kind(kind_of(name, path), kind, path)
    frame = SCORES.read(path) if name == GENOME else read_parquet(path)
    clock = _clock(frame, path, timed)
    frame = frame.drop_nulls("subject_id")
    if clock is None and name != GENOME:
        _refuse_other_clocks(frame, path)
    names = names or _value_columns(frame, clock, path)
    _check_values(frame, names, path, name)
    key = ["subject_id", *([clock] if clock else [])]
    if frame.select(key).is_duplicated().any():
        repeated = frame.filter(frame.select(key).is_duplicated()).row(0, named=True)
        found = ", ".join(f"{column} = {repeated[column]}" for column in key)
        remedy = "" if clock else f"keep one row, or add a column of {', '.join(_CLOCKS)} for several"
        raise DataError("a subject stands twice", where=path, found=found, remedy=remedy)
    known = pl.any_horizontal(
        pl.col(column).cast(pl.Float32).fill_nan(None).is_not_null() for column in names
    )
    table = _arranged(frame.filter(known), names, clock, store, path, _REMEDIES[name == GENOME])
    return replace(table, kind=kind_of(name, path))


def _check_kind(found: str, expected: str, path: Path) -> None:
    """Refuse scores adjusted otherwise than those of training: the model would take one scale for another."""
    if not expected or found == expected:
        return
    how = "as for training, without `--ancestry`" if expected == RAW else "with `--ancestry`, as for training"
    raise DataError(
        "the model was trained on other scores",
        where=path,
        found=_KINDS.get(found, f"scores adjusted by {found}"),
        expected=_KINDS.get(expected, f"scores adjusted by {expected}"),
        remedy=f"make the genome folder {how}",
    )


def _clock(frame: pl.DataFrame, path: Path, timed: bool | None) -> str | None:
    """The column of time, if there is one."""
    found = f"columns {', '.join(frame.columns[:12])}"
    if not frame.schema.get("subject_id", pl.String()).is_integer():
        if "subject_id" in frame.columns:
            found = f"subject_id of {frame.schema['subject_id']}"
        remedy = "store the subjects of the records as whole numbers in a column subject_id"
        raise DataError("no subject_id of integers", where=path, found=found, remedy=remedy)
    clocks = [name for name in _CLOCKS if name in frame.columns]
    if len(clocks) > 1:
        raise DataError("several columns of time", where=path, found=", ".join(clocks), expected="one")
    if timed is not None and timed != bool(clocks):
        when = ("from birth", "from the age of its measurement")
        raise DataError(
            "the model was trained on other data",
            where=path,
            found=f"known {when[bool(clocks)]}",
            expected=f"known {when[timed]}",
            remedy=f"give one of {', '.join(_CLOCKS)}" if timed else f"leave out {clocks[0]}",
        )
    if not clocks:
        return None
    dtype, expected = frame.schema[clocks[0]], "date or time" if clocks[0] == "time" else "number"
    if not (dtype in (pl.Datetime, pl.Date) if clocks[0] == "time" else dtype.is_numeric()):
        raise DataError(
            f"{clocks[0]} is no {expected}", where=path, found=dtype, expected=f"a {expected} in each row"
        )
    return clocks[0]


def _refuse_other_clocks(frame: pl.DataFrame, path: Path) -> None:
    """Refuse times that are not read as such: the values would count as known from birth.

    Raises:
        DataError: A column of dates, or one whose name is that of a time or age.
    """
    for name, dtype in frame.schema.items():
        if dtype in (pl.Datetime, pl.Date) or name.lower() in _NEARLY_CLOCKS:
            raise DataError(
                "a column of time that is not read as one",
                where=path,
                found=f"{name}; without a time values count as known from birth",
                expected=f"one of {', '.join(_CLOCKS)}, or none",
                remedy=f"rename {name} to the one that it is, or leave it out",
            )


def _value_columns(frame: pl.DataFrame, clock: str | None, path: Path) -> tuple[str, ...]:
    """All columns of numbers; the others are named."""
    if numbered := [name for name in frame.columns if is_row_number(name)]:
        say(f"{path.name}: row numbers are no values and are left out: {', '.join(numbered)}")
    rest = [name for name in frame.columns if name not in ("subject_id", clock, *numbered)]
    names = tuple(name for name in rest if frame.schema[name].is_numeric())
    labels = [name for name in rest if name not in names]
    for name in labels:
        if frame.schema[name] == pl.String and frame[name].count():
            numbers = frame[name].drop_nulls().str.strip_chars().cast(pl.Float64, strict=False)
            if not numbers.null_count():
                raise DataError(
                    "numbers stored as text", where=path, found=name, remedy="store them as numbers"
                )
    if not names:
        found = f"columns {', '.join(frame.columns[:12])}"
        raise DataError("no column of numbers", where=path, found=found, expected="one for each value")
    if labels:
        say(f"{path.name}: {len(labels)} columns hold no numbers and are left out, first {labels[0]}")
    return names


def _check_values(frame: pl.DataFrame, names: tuple[str, ...], path: Path, modality: str) -> None:
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise DataError(
            "columns the model was trained on are missing",
            where=path,
            found=f"{len(absent)} absent, first {absent[0]}",
            remedy=_SAME_SCORES if modality == GENOME else near_matches(absent[0], frame.columns),
        )
    for name in names:
        if not frame.schema[name].is_numeric():
            found = f"{name} of {frame.schema[name]}"
            raise DataError(
                "a column is no number", where=path, found=found, expected="numbers, as in training"
            )
        if frame[name].cast(pl.Float32).is_infinite().any():
            raise DataError("an infinite value", where=path, found=name, expected="null where missing")


def _arranged(
    frame: pl.DataFrame, names: tuple[str, ...], clock: str | None, store: TokenStore, path: Path, remedy: str
) -> ModalityTable:
    """The rows of the store's subjects, in its order and by age."""
    keys = frame.select(pl.col("subject_id").cast(pl.Int64, strict=False), *([clock] if clock else []))
    subjects = store.subjects.select("subject_id", "birth_time").with_row_index("row")
    joined = keys.with_row_index("at").join(subjects, on="subject_id")
    if joined.is_empty():
        raise DataError(
            "these data and the records have no subject in common",
            where=path,
            found=f"its subjects {frame['subject_id'].head(3).to_list()}, "
            f"record subjects {store.subject_ids[:3].tolist()}",
            remedy=remedy,
        )
    num_known = joined["subject_id"].n_unique()
    if num_known < _FEW * len(store):
        say(f"{path.name}: {num_known:,} of the {len(store):,} subjects of the records are in it")
    order = [clock] if clock else []
    ages = joined.select("at", "row", "subject_id", *order, _minutes(clock).alias("minutes"))
    for fault, what in (
        (pl.col("minutes").is_null(), f"with no {clock}"),
        (pl.col("minutes") < 0, "before birth"),
        (pl.col("minutes") > np.iinfo(np.int32).max, "at an impossible age"),
    ):
        faulty = ages.filter(fault)
        if faulty.height:
            found = f"{faulty.height} rows, first of subject_id {faulty['subject_id'][0]}"
            raise DataError(f"measurements {what}", where=path, found=found, remedy=f"mend {clock}")
    ages = ages.sort("row", *order)  # within a minute, too, the newest comes last
    number = np.bincount(ages["row"].to_numpy(), minlength=len(store))
    values = frame.select(names).cast(pl.Float32).to_numpy()[ages["at"].to_numpy()]
    minutes = ages["minutes"].to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(number)]).astype(np.int64)
    return ModalityTable(np.ascontiguousarray(values), minutes, offsets, names, clock is not None)


def _minutes(clock: str | None) -> pl.Expr:
    """Age in whole minutes, rounded down as those of tokens are; null where not given."""
    if clock is None:
        return pl.lit(0, pl.Int64)
    if clock == "time":
        since_birth = pl.col("time").cast(pl.Datetime("us")) - pl.col("birth_time")
        return since_birth.dt.total_microseconds().floordiv(MICROSECONDS_PER_MINUTE)
    unit = MINUTES_PER_DAY if clock == "age_days" else MINUTES_PER_YEAR
    age = (pl.col(clock).cast(pl.Float64).fill_nan(None) * unit).floor()
    return age.clip(-_FAR, _FAR).cast(pl.Int64)
