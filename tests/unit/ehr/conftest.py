"""Hand-made OMOP and MEDS sources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

Rows = list[dict[str, Any]]

CONCEPTS: Rows = [
    {
        "concept_id": 0,
        "concept_name": "No matching concept",
        "vocabulary_id": "None",
        "concept_code": "No match",
    },
    {"concept_id": 201826, "concept_name": "Type 2", "vocabulary_id": "SNOMED", "concept_code": "44054006"},
    {"concept_id": 201820, "concept_name": "Diabetes", "vocabulary_id": "SNOMED", "concept_code": "73211009"},
    {"concept_id": 1503297, "concept_name": "metformin", "vocabulary_id": "RxNorm", "concept_code": "6809"},
    {"concept_id": 3004410, "concept_name": "HbA1c", "vocabulary_id": "LOINC", "concept_code": "4548-4"},
    {"concept_id": 8554, "concept_name": "percent", "vocabulary_id": "UCUM", "concept_code": "%"},
    {"concept_id": 9202, "concept_name": "Outpatient", "vocabulary_id": "Visit", "concept_code": "OP"},
    {"concept_id": 4000, "concept_name": "Biopsy", "vocabulary_id": "SNOMED", "concept_code": "86273004"},
    {"concept_id": 5000, "concept_name": "Smoker", "vocabulary_id": "SNOMED", "concept_code": "77176002"},
]


def _person(person_id: int, gender: int, year: int | None, birth: datetime | None = None) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "gender_concept_id": gender,
        "year_of_birth": year,
        "month_of_birth": None,
        "day_of_birth": None,
        "birth_datetime": birth,
        "gender_source_value": "F" if gender == 8532 else None,
    }


def condition(person: int | None, concept: int | None, day: date | None, **more: Any) -> dict[str, Any]:
    """A row of condition_occurrence; ``more`` may hold the hour and the source value."""
    return {
        "person_id": person,
        "condition_concept_id": concept,
        "condition_start_date": day,
        "condition_start_datetime": more.get("at"),
        "condition_source_value": more.get("source"),
    }


def measurement(person: int, day: date, value: float | None, unit: int, source: str | None) -> dict[str, Any]:
    """A row of measurement of HbA1c."""
    return {
        "person_id": person,
        "measurement_concept_id": 3004410,
        "measurement_date": day,
        "measurement_datetime": None,
        "value_as_number": value,
        "unit_concept_id": unit,
        "unit_source_value": source,
        "measurement_source_value": "hba1c",
    }


def default_tables() -> dict[str, Rows]:
    """Two persons with one row or two in each table."""
    return {
        "person": [_person(1, 8532, 1950, datetime(1950, 6, 15, 10, 30)), _person(2, 8507, 1960)],
        "concept": [dict(row) for row in CONCEPTS],
        "condition_occurrence": [
            condition(1, 201826, date(2005, 3, 1), at=datetime(2005, 3, 1, 9, 15)),
            condition(2, 0, date(1969, 7, 20), source="xyz"),
        ],
        "drug_exposure": [
            {
                "person_id": 1,
                "drug_concept_id": 1503297,
                "drug_exposure_start_date": date(2005, 3, 2),
                "drug_source_value": None,
            }
        ],
        "procedure_occurrence": [
            {"person_id": 2, "procedure_concept_id": 4000, "procedure_date": date(2001, 1, 1)}
        ],
        "measurement": [
            measurement(1, date(2005, 3, 1), 7.5, 8554, "percent"),
            measurement(1, date(2006, 3, 1), None, 0, "{odd}"),
        ],
        "observation": [
            {"person_id": 2, "observation_concept_id": 5000, "observation_date": date(2001, 1, 1)}
        ],
        "visit_occurrence": [
            {"person_id": 1, "visit_concept_id": 9202, "visit_start_date": date(2005, 3, 1)}
        ],
        "death": [{"person_id": 2, "death_date": date(2010, 5, 5), "death_datetime": None}],
        "observation_period": [
            {
                "person_id": person,
                "observation_period_start_date": date(2000, 1, 1),
                "observation_period_end_date": date(2010, 12, 31),
            }
            for person in (1, 2)
        ],
    }


DATES = {"birth_datetime": pl.Datetime("us"), "condition_start_datetime": pl.Datetime("us")} | {
    name: pl.Datetime("us") for name in ("measurement_datetime", "death_datetime")
}


def frame_of(rows: Rows) -> pl.DataFrame:
    """A table of rows, with the types of columns that may be all null."""
    if not rows:
        return pl.DataFrame(schema={"person_id": pl.Int64})
    ints = dict.fromkeys(("month_of_birth", "day_of_birth", "year_of_birth"), pl.Int64)
    overrides = {name: dtype for name, dtype in (DATES | ints).items() if name in rows[0]}
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=overrides)


def write_tables(folder: Path, frames: dict[str, pl.DataFrame], kind: str = "parquet") -> Path:
    """Write the tables as Parquet or CSV files of a folder, or as one DuckDB file; return the source."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "duckdb":
        import duckdb

        with duckdb.connect(str(folder / "cdm.duckdb")) as connection:
            for name, frame in frames.items():
                connection.register("incoming", frame.to_arrow())
                connection.execute(f"create table {name} as select * from incoming")
        return folder / "cdm.duckdb"
    for name, frame in frames.items():
        if kind == "csv":
            frame.write_csv(folder / f"{name}.csv")
        else:
            frame.write_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture
def tables() -> dict[str, Rows]:
    return default_tables()


@pytest.fixture
def omop(tmp_path: Path) -> Callable[..., Path]:
    """Write tables of rows (or frames) as an OMOP source and return its path."""

    def write(tables: dict[str, Any], kind: str = "parquet", name: str = "omop") -> Path:
        frames = {
            table: rows if isinstance(rows, pl.DataFrame) else frame_of(rows)
            for table, rows in tables.items()
        }
        return write_tables(tmp_path / name, frames, kind)

    return write


def add_conflicts(tables: dict[str, Rows]) -> dict[str, Rows]:
    """Add rows whose columns contradict each other: of two persons, one visit and one period."""
    tables["person"] += [
        _person(11, 8507, 1951, datetime(1900, 1, 1)),
        _person(12, 8507, 1980, datetime(1979, 12, 31, 23)),
    ]
    visit, period = tables["visit_occurrence"][0], tables["observation_period"][0]
    tables["visit_occurrence"] = [
        visit | {"visit_start_datetime": datetime(2005, 3, 1, 9, 15)},
        visit | {"visit_start_datetime": datetime(1970, 1, 1)},
    ]
    tables["observation_period"].append(period | {"observation_period_end_date": date(1999, 12, 31)})
    return tables


CONFLICTS = {"num_conflicting_birth": 1, "num_conflicting_date": 1, "num_reversed_period": 1}
"""What :func:`add_conflicts` adds."""


@pytest.fixture
def conflicts() -> tuple[Callable[..., dict[str, Rows]], dict[str, int]]:
    return add_conflicts, CONFLICTS


@pytest.fixture
def new_condition() -> Callable[..., dict[str, Any]]:
    return condition


@pytest.fixture
def new_measurement() -> Callable[..., dict[str, Any]]:
    return measurement


@pytest.fixture
def new_person() -> Callable[..., dict[str, Any]]:
    return _person


@pytest.fixture
def events() -> Callable[..., pl.DataFrame]:
    """A frame of events from (subject_id, time, code[, value]) tuples."""

    def make(*rows: tuple[Any, ...]) -> pl.DataFrame:
        full = [(*row, None)[:4] if len(row) < 4 else row for row in rows]
        frame = pl.DataFrame(
            full,
            schema={
                "subject_id": pl.Int64,
                "time": pl.Datetime("us"),
                "code": pl.String,
                "numeric_value": pl.Float32,
            },
            orient="row",
        )
        return frame.with_columns(pl.lit(None, pl.String).alias("unit"))

    return make


@pytest.fixture
def meds(tmp_path: Path) -> Callable[..., Path]:
    """Write shards as a MEDS folder: name below data/ -> frame."""

    def write(shards: dict[str, pl.DataFrame], name: str = "source") -> Path:
        folder = tmp_path / name
        for shard, frame in shards.items():
            path = folder / "data" / f"{shard}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(path)
        return folder

    return write


def read_events(out: Path) -> pl.DataFrame:
    """All events of an output, by subject_id, time and code."""
    files = sorted((out / "data").rglob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]).sort("subject_id", "time", "code")


@pytest.fixture
def read_out() -> Callable[[Path], pl.DataFrame]:
    return read_events
