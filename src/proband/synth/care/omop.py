"""OMOP CDM 5.4 tables of a biobank, written by shards of subjects and joined into one Parquet file each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from proband.core.files.tables import join_parquet
from proband.synth.care import concepts
from proband.synth.care.cdm import CDM
from proband.synth.care.events.drugs import SUPPLY_DAYS
from proband.synth.care.events.laboratory import UNCODED_MARKER
from proband.synth.care.events.observations import DEPRIVATION_INDEX
from proband.synth.lives.lives import NEVER, Lives

IDS_PER_SHARD = 10**9
"""Room for the ids of a shard's rows: those of shard k lie from k times this on, unlike any other's."""
_VOCABULARY_START, _VOCABULARY_END = date(1970, 1, 1), date(2099, 12, 31)
_EVENTS = {
    "condition": ("condition_occurrence", "condition_start"),
    "drug": ("drug_exposure", "drug_exposure_start"),
    "procedure": ("procedure_occurrence", "procedure"),
    "measurement": ("measurement", "measurement"),
    "observation": ("observation", "observation"),
}
"""Kind of record to its CDM table and the stem of its time columns."""
SHARD_TABLES = (
    "person",
    "observation_period",
    "visit_occurrence",
    *(table for table, _ in _EVENTS.values()),
    "death",
)
"""Tables that each shard writes its part of; the others are the same for all."""


def write_omop_shard(
    folder: Path, lives: Lives, subject_id: np.ndarray, records: dict[str, pl.DataFrame], shard: int
) -> dict[str, int]:
    """Write one shard's part of every CDM table as Parquet.

    Args:
        folder: Made here.
        lives: Of the shard's subjects.
        subject_id: Their person_id.
        records: As :func:`proband.synth.care.records.make_records` returns for them.
        shard: Number of the shard, from 0; it keeps the rows' ids apart.

    Returns:
        Rows per table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first_id = shard * IDS_PER_SHARD + 1
    visits = _with_id(records["visit"], subject_id, "visit_occurrence_id", first_id)
    tables = {
        "person": _person(lives, subject_id),
        "observation_period": _observation_period(lives, subject_id, first_id),
        "visit_occurrence": _visit_table(visits),
        "death": _death(lives, subject_id),
    }
    visit_of = visits.select("subject", "time", "visit_occurrence_id")
    for kind, (table, stem) in _EVENTS.items():
        rows = _with_id(records[kind], subject_id, f"{table}_id", first_id)
        rows = rows.join(visit_of, on=["subject", "time"], how="left", maintain_order="left")
        tables[table] = _event_table(rows, kind, table, stem)
    for name, frame in tables.items():
        _write(frame, name, folder)
    return {f"num_{name}": frame.height for name, frame in tables.items()}


def join_omop_shards(shards: Sequence[Path], out: Path, end: date) -> dict[str, int]:
    """Join the shards' parts into one file per table, row group by row group, and add the vocabulary.

    Args:
        shards: Folders of :func:`write_omop_shard`, in their order.
        out: Made here.
        end: Administrative end of follow-up, for cdm_source.

    Returns:
        Rows per table.
    """
    out.mkdir(parents=True, exist_ok=True)
    counts = {
        f"num_{name}": join_parquet([shard / f"{name}.parquet" for shard in shards], out / f"{name}.parquet")
        for name in SHARD_TABLES
    }
    fixed = {
        "concept": _concept(),
        "concept_ancestor": _concept_ancestor(),
        "vocabulary": _vocabulary(),
        "cdm_source": _cdm_source(end),
    }
    for name, frame in fixed.items():
        _write(frame, name, out)
        counts[f"num_{name}"] = frame.height
    return counts


def _with_id(frame: pl.DataFrame, subject_id: np.ndarray, name: str, first: int) -> pl.DataFrame:
    person = pl.Series("person_id", subject_id[frame["subject"].to_numpy()])
    ids = pl.Series(name, np.arange(first, first + frame.height))
    return frame.with_columns(person, ids)


def _write(frame: pl.DataFrame, table: str, folder: Path) -> None:
    """Write ``frame`` with every column of its CDM table, in order and type."""
    complete = frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in CDM[table].items()
    )
    complete.write_parquet(folder / f"{table}.parquet", compression="zstd")


def _times(values: np.ndarray) -> pl.Series:
    return pl.Series(values).cast(pl.Datetime("us"))


def _person(lives: Lives, subject_id: np.ndarray) -> pl.DataFrame:
    birth = _times(lives.birth)
    return pl.DataFrame(
        {
            "person_id": subject_id,
            "gender_concept_id": np.where(lives.people.male, concepts.MALE, concepts.FEMALE),
            "year_of_birth": birth.dt.year(),
            "month_of_birth": birth.dt.month(),
            "day_of_birth": birth.dt.day(),
            "birth_datetime": birth,
            "race_concept_id": concepts.NO_CONCEPT,
            "ethnicity_concept_id": concepts.NO_CONCEPT,
            "person_source_value": subject_id.astype(str),
            "gender_source_value": np.where(lives.people.male, "M", "F"),
        }
    )


def _observation_period(lives: Lives, subject_id: np.ndarray, first_id: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "observation_period_id": np.arange(first_id, first_id + len(subject_id)),
            "person_id": subject_id,
            "observation_period_start_date": _times(lives.entry).dt.date(),
            "observation_period_end_date": _times(lives.exit).dt.date(),
            "period_type_concept_id": concepts.FROM_EHR,
        }
    )


def _visit_table(visits: pl.DataFrame) -> pl.DataFrame:
    return visits.select(
        "visit_occurrence_id",
        "person_id",
        visit_concept_id="concept_id",
        visit_start_date=pl.col("time").dt.date(),
        visit_start_datetime="time",
        visit_end_date=pl.col("end").dt.date(),
        visit_end_datetime="end",
        visit_type_concept_id=pl.lit(concepts.FROM_EHR),
    )


def _event_table(rows: pl.DataFrame, kind: str, table: str, stem: str) -> pl.DataFrame:
    columns: dict[str, Any] = {
        f"{table}_id": pl.col(f"{table}_id"),
        "person_id": pl.col("person_id"),
        f"{kind}_concept_id": pl.col("concept_id"),
        f"{stem}_date": pl.col("time").dt.date(),
        f"{stem}_datetime": pl.col("time"),
        f"{kind}_type_concept_id": pl.lit(concepts.FROM_EHR),
        "visit_occurrence_id": pl.col("visit_occurrence_id"),
    }
    return rows.select(**columns | _own_columns(kind))


def _own_columns(kind: str) -> dict[str, Any]:
    """What a kind of record has beside the columns of all."""
    if kind == "condition":
        table = concepts.concept_table().select("concept_id", "source_value").drop_nulls()
        source = pl.col("concept_id").replace_strict(dict(table.rows()), default=None, return_dtype=pl.String)
        return {"condition_source_value": source, "condition_source_concept_id": pl.lit(concepts.NO_CONCEPT)}
    if kind == "measurement":
        return {
            "value_as_number": pl.col("value"),
            "unit_concept_id": pl.col("unit_concept_id"),
            "measurement_source_value": _uncoded(UNCODED_MARKER),
        }
    if kind == "observation":
        return {
            "value_as_number": pl.col("value"),
            "observation_source_value": _uncoded(DEPRIVATION_INDEX),
        }
    if kind == "drug":
        end = pl.col("time").dt.date() + pl.duration(days=SUPPLY_DAYS)
        return {"drug_exposure_end_date": end, "days_supply": pl.lit(SUPPLY_DAYS)}
    return {}


def _uncoded(source_value: str) -> pl.Expr:
    """The source value of what has no concept, null for the rest."""
    return pl.when(pl.col("concept_id") == concepts.NO_CONCEPT).then(pl.lit(source_value))


def _death(lives: Lives, subject_id: np.ndarray) -> pl.DataFrame:
    dead = lives.death < NEVER
    time = _times(lives.death[dead])
    return pl.DataFrame(
        {
            "person_id": subject_id[dead],
            "death_date": time.dt.date(),
            "death_datetime": time,
            "death_type_concept_id": concepts.FROM_EHR,
        }
    )


def _concept() -> pl.DataFrame:
    return concepts.concept_table().with_columns(
        standard_concept=pl.when(pl.col("concept_id") != concepts.NO_CONCEPT).then(pl.lit("S")),
        valid_start_date=pl.lit(_VOCABULARY_START),
        valid_end_date=pl.lit(_VOCABULARY_END),
    )


def _concept_ancestor() -> pl.DataFrame:
    names = ["ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"]
    frame = pl.DataFrame(list(concepts.ancestors()), schema=names, orient="row")
    return frame.with_columns(max_levels_of_separation="min_levels_of_separation")


def _vocabulary() -> pl.DataFrame:
    names = concepts.concept_table()["vocabulary_id"].unique().sort()
    return pl.DataFrame(
        {
            "vocabulary_id": names,
            "vocabulary_name": names,
            "vocabulary_version": "excerpt",
            "vocabulary_concept_id": concepts.NO_CONCEPT,
        }
    )


def _cdm_source(end: date) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "cdm_source_name": ["Synthetic biobank"],
            "cdm_source_abbreviation": ["synth"],
            "cdm_holder": ["proband"],
            "source_description": ["Simulated people; no real person's record is here."],
            "source_release_date": [end],
            "cdm_release_date": [end],
            "cdm_version": ["5.4"],
            "cdm_version_concept_id": [concepts.NO_CONCEPT],
            "vocabulary_version": ["excerpt"],
        }
    )
