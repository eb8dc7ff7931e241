"""The tables that cross a stage: their columns, types and rules, checked on reading and on writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, get_args

import polars as pl

from proband.core.config import Split
from proband.core.errors import DataError, first_line
from proband.core.files.parquetpages import check_pages

TIME = pl.Datetime("us")

PolarsType: TypeAlias = Any
"""A polars type or its class; Any, since runtime type checks refuse unions of polars' classes."""


@dataclass(frozen=True)
class Table:
    """A declared table.

    Attributes:
        name: What messages call it.
        columns: Column name to polars type.
        nullable: Columns that may hold nulls; all others may not.
        bounds: Column name to inclusive (low, high).
        unique: Columns that together identify a row; empty when rows may repeat.
        optional: Further columns that may be there, name to polars type.
        extra: Type of further columns of any name (score matrices), or None when none may come.
    """

    name: str
    columns: Mapping[str, PolarsType]
    nullable: frozenset[str] = frozenset()
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unique: tuple[str, ...] = ()
    optional: Mapping[str, PolarsType] = field(default_factory=dict)
    extra: PolarsType | None = None

    def check(self, frame: pl.DataFrame, where: object) -> pl.DataFrame:
        """Return ``frame`` with the declared columns first.

        Raises:
            DataError: A column is missing, of another type, null, out of bounds, or a key repeats.
        """
        self._check_columns(frame, where)
        for name in [name for name in (*self.columns, *self.optional) if name in frame.columns]:
            if name not in self.nullable and frame[name].null_count():
                found = f"{frame[name].null_count()} nulls in {name}"
                raise DataError(
                    f"{self.name}: empty values", where=where, found=found, expected="a value per row"
                )
        for name, (low, high) in self.bounds.items():
            if name not in frame.columns:
                continue
            outside = frame.filter(
                ~pl.col(name).is_between(low, high) | pl.col(name).cast(pl.Float64).is_nan()
            )
            if outside.height:
                found = f"{outside.height} rows outside, first {name} = {outside[name][0]}"
                raise DataError(
                    f"{self.name}: {name} out of range", where=where, found=found, expected=f"{low} to {high}"
                )
        if self.unique and frame.select(self.unique).is_duplicated().any():
            repeated = frame.filter(frame.select(self.unique).is_duplicated()).row(0, named=True)
            found = ", ".join(f"{key} = {repeated[key]}" for key in self.unique)
            raise DataError(f"{self.name}: duplicate rows", where=where, found=found, expected="each once")
        return frame.select(*self.columns, *(name for name in frame.columns if name not in self.columns))

    def _check_columns(self, frame: pl.DataFrame, where: object) -> None:
        for name, dtype in {**self.columns, **self.optional}.items():
            if name not in frame.columns and name in self.columns:
                found = f"columns {', '.join(frame.columns[:12])}"
                raise DataError(
                    f"{self.name}: missing column {name}", where=where, found=found, expected=str(dtype)
                )
            if name in frame.columns and frame.schema[name] != dtype:
                found = str(frame.schema[name])
                raise DataError(
                    f"{self.name}: wrong type of {name}", where=where, found=found, expected=str(dtype)
                )
        for name in set(frame.columns) - self.columns.keys() - self.optional.keys():
            if self.extra is None or frame.schema[name] != self.extra:
                expected = "no further columns" if self.extra is None else f"columns of {self.extra}"
                raise DataError(f"{self.name}: unexpected column {name}", where=where, expected=expected)

    def empty(self) -> pl.DataFrame:
        """A frame of no rows."""
        return pl.DataFrame(schema=dict(self.columns))

    def write(self, frame: pl.DataFrame, path: Path) -> None:
        """Check ``frame`` and write it as Parquet."""
        self.check(frame, path).write_parquet(path, compression="zstd")

    def read(self, path: Path) -> pl.DataFrame:
        """Read a Parquet file and check it.

        Raises:
            DataError: The file is missing, unreadable or not this table.
        """
        return self.check(read_parquet(path), path)


def read_parquet(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Read one Parquet file, any failure as a DataError that names it."""
    import pyarrow as pa

    try:
        check_pages(path, columns)
        return pl.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise DataError("missing file", where=path, remedy="run the stage that writes it") from None
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        pa.ArrowException,
        ValueError,
        OSError,
    ) as error:
        found = first_line(error)
        remedy = "the file is truncated or no Parquet: copy or make it again"
        raise DataError("unreadable Parquet file", where=path, found=found, remedy=remedy) from None


def as_text(values: pl.Series, where: object) -> pl.Series:
    """A column of names as text; of numbers their digits, null where missing.

    Raises:
        DataError: The column holds another kind (bytes, lists, records).
    """
    dtype = values.dtype
    is_name = isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)) or dtype.is_numeric()
    if not (is_name or dtype in (pl.Date, pl.Datetime, pl.Boolean, pl.Null)):
        found, remedy = f"{dtype}", "store it as text"
        raise DataError(
            f"wrong type of {values.name}", where=where, found=found, expected="String", remedy=remedy
        )
    return values.cast(pl.String)


def write_tsv(frame: pl.DataFrame, path: Path) -> None:
    """Write a table for reading in a spreadsheet, which must not take a name for a formula.

    Text that begins with =, +, @, a tab or a carriage return, or with a minus before anything but a digit,
    gets an apostrophe in front.
    """
    is_formula = pl.col(pl.String).str.contains(r"^(?:[=+@\t\r]|-\D)")
    safe = pl.when(is_formula).then(pl.lit("'") + pl.col(pl.String)).otherwise(pl.col(pl.String))
    frame.with_columns(safe.name.keep()).write_csv(path, separator="\t", float_precision=4)


def join_parquet(parts: Sequence[Path], path: Path) -> int:
    """Write Parquet files of one schema as one, row group by row group; returns its rows."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, pq.read_schema(parts[0]), compression="zstd") as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
    return sum(pq.read_metadata(part).num_rows for part in parts)


RISK = Table(
    "RiskTable",
    {
        "subject_id": pl.Int64,
        "prediction_time": TIME,
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "model": pl.String,
        "risk": pl.Float64,
        "standard_error": pl.Float64,
        "unresolved": pl.Float64,
    },
    bounds={
        "risk": (0.0, 1.0),
        "unresolved": (0.0, 1.0),
        "standard_error": (0.0, 1.0),
        "horizon_years": (0.0, 150.0),
        "risk_low": (0.0, 1.0),
        "risk_high": (0.0, 1.0),
    },
    unique=("subject_id", "prediction_time", "outcome", "horizon_years", "model"),
    optional={"risk_low": pl.Float64, "risk_high": pl.Float64, "num_paths": pl.Int64},
)
"""Cumulative incidence by a horizon. ``standard_error`` is Monte-Carlo error only (0 for a closed form);
``unresolved`` is the share of paths that ended before the answer, and ``risk_low`` and ``risk_high`` are what
the risk would be if they said the least and the most they may. ``num_paths`` were drawn."""

_SCENARIO = {"scenario": pl.String, "subject_id": pl.Int64, "prediction_time": TIME}

SCENARIOS = Table(
    "risks of scenarios",
    {
        **_SCENARIO,
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "is_changed": pl.Boolean,
        "risk_baseline": pl.Float64,
        "risk": pl.Float64,
        "difference": pl.Float64,
        "standard_error": pl.Float64,
    },
    bounds={"risk_baseline": (0.0, 1.0), "risk": (0.0, 1.0), "difference": (-1.0, 1.0)},
    unique=("scenario", "subject_id", "prediction_time", "outcome", "horizon_years"),
)
"""Risks of declared changes beside those of the subjects as they are, and the difference; ``is_changed``
tells whom the scenario changes. ``standard_error`` is that of the difference from sampled paths (0 for a
closed form)."""

SCENARIO_SUMMARY = Table(
    "scenarios over a cohort",
    {
        "scenario": pl.String,
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "num_predictions": pl.Int64,
        "num_changed": pl.Int64,
        "risk_baseline": pl.Float64,
        "risk": pl.Float64,
        "difference": pl.Float64,
        "standard_error": pl.Float64,
    },
    nullable=frozenset({"standard_error"}),
    unique=("scenario", "outcome", "horizon_years"),
)
"""Means over the predictions that a scenario changes; ``standard_error`` is that of the mean difference over
subjects; of one subject that of sampled paths, null in closed form."""

PLAUSIBILITY = Table(
    "plausibility of changed histories",
    {
        **_SCENARIO,
        "distance_baseline": pl.Float64,
        "share_beyond_baseline": pl.Float64,
        "distance": pl.Float64,
        "share_beyond": pl.Float64,
    },
    bounds=dict.fromkeys(("share_beyond_baseline", "share_beyond"), (0.0, 1.0)),
    unique=("scenario", "subject_id", "prediction_time"),
)
"""Of predictions whose record a scenario changes: distance of the record summary from the nearest train
histories, and the share of train histories that lie as far out, before and after."""

TRAJECTORIES = Table(
    "trajectories",
    {
        "subject_id": pl.Int64,
        "source_subject_id": pl.Int64,
        "prediction_time": TIME,
        "path": pl.Int64,
        "end": pl.String,
        "end_time": TIME,
        "horizon_time": TIME,
    },
    unique=("subject_id",),
)
"""Whose future a simulated subject is: ``end`` is horizon, death or budget (cut before either, unresolved);
``end_time`` when it came, ``horizon_time`` how far was asked."""

LABELS = Table(
    "labels",
    {
        "subject_id": pl.Int64,
        "prediction_time": TIME,
        "outcome": pl.String,
        "split": pl.String,
        "time_years": pl.Float64,
        "event": pl.Int8,
    },
    bounds={"time_years": (0.0, 200.0), "event": (0.0, 2.0)},
    unique=("subject_id", "prediction_time", "outcome"),
)
"""What followed a prediction time: ``event`` is 1 the outcome, 2 death before it, 0 neither by the end of
follow-up, ``time_years`` after ``prediction_time``."""

SCORES = Table("scores", {"subject_id": pl.Int64}, unique=("subject_id",), extra=pl.Float32)
"""One row per genotyped subject, one float32 column per ``pgs_id`` (raw sums; NaN where not computable)."""

PCS = Table(
    "components", {"subject_id": pl.Int64, "is_fitted": pl.Boolean}, unique=("subject_id",), extra=pl.Float32
)
"""Principal components PC1, PC2, ... of each genotyped subject; ``is_fitted`` tells the unrelated subjects by
whom they were fitted."""

ANCESTRY = Table(
    "ancestry",
    {"subject_id": pl.Int64, "most_similar_population": pl.String, "low_confidence": pl.Boolean},
    unique=("subject_id",),
    extra=pl.Float32,
)
"""Genetic similarity to labelled populations, by components: ``probability_X`` per population X."""

SAMPLES = Table("samples", {"subject_id": pl.Int64, "sample_id": pl.String}, unique=("subject_id",))
"""Genotype sample names; a name that is no integer gets a negative subject_id that joins to no record."""

MATCH = Table(
    "match report",
    {
        "pgs_id": pl.String,
        "num_rows": pl.Int64,
        "num_matched": pl.Int64,
        "num_not_scorable": pl.Int64,
        "num_no_position": pl.Int64,
        "num_no_variant": pl.Int64,
        "num_allele_mismatch": pl.Int64,
        "num_ambiguous": pl.Int64,
        "num_multiallelic": pl.Int64,
        "num_duplicated": pl.Int64,
        "num_flipped": pl.Int64,
        "num_homozygous_reference": pl.Int64,
        "match_rate": pl.Float64,
        "kept": pl.Boolean,
        "remedy": pl.String,
    },
    bounds={"match_rate": (0.0, 1.0)},
    unique=("pgs_id",),
)
"""Why each scoring-file row was or was not used; the reasons are exclusive and add up to ``num_rows``
(``num_flipped``, by the other strand, and ``num_homozygous_reference``, at sites where nobody varies, are
parts of ``num_matched``). ``remedy`` says what to do about a score left out; it is empty for one kept."""

EMBEDDINGS = Table(
    "embeddings",
    {"subject_id": pl.Int64, "prediction_time": TIME},
    unique=("subject_id", "prediction_time"),
    extra=pl.Float32,
)
"""What a model has read of a subject's record by a date: ``state_1``, ``state_2`` and so on, of root mean
square 1."""

EMBEDDING_MAP = Table(
    "map of embeddings",
    {
        "component": pl.Int64,
        "share_of_variance": pl.Float64,
        "factor": pl.String,
        "r2": pl.Float64,
        "by_chance": pl.Float64,
    },
    bounds={"share_of_variance": (0.0, 1.0), "r2": (0.0, 1.0)},
    unique=("component", "factor"),
)
"""Principal components of embeddings: the share of all variance that each has, and the share of its own that
a regression on a factor explains (``all`` on all of them but outcomes together), with what chance would."""

SPLITS: tuple[str, ...] = get_args(Split)

SUBJECTS = Table(
    "token subjects",
    {
        "subject_id": pl.Int64,
        "split": pl.String,
        "birth_time": TIME,
        "entry_time": TIME,
        "exit_time": TIME,
        "entry_minutes": pl.Int32,
        "exit_minutes": pl.Int32,
        "died": pl.Boolean,
    },
    unique=("subject_id",),
    optional={"row": pl.Int64},
)
"""One row per subject of a tokens folder; ages in minutes since birth. ``row`` is its place in the arrays."""


def scores_file(genome: Path) -> Path:
    """The scores of a genome folder: those adjusted for ancestry (Z_norm2) where it has them."""
    adjusted = genome / "adjusted" / "Z_norm2.parquet"
    return adjusted if adjusted.is_file() else genome / "scores.parquet"
