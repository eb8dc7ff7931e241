"""Rows that engines might read in ways of their own, for tests that compare engines with files."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

Tables = dict[str, Any]


def content(out: Path) -> dict[str, bytes]:
    """Bytes of every file but the manifest."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def frames_of(source: Path) -> dict[str, pl.DataFrame]:
    return {path.stem: pl.read_parquet(path) for path in source.glob("*.parquet")}


def odd_tables(tables: Tables) -> Tables:
    """Rows that engines might read in ways of their own."""
    person, condition = tables["person"][1], tables["condition_occurrence"][1]
    tables["person"] += [
        person | {"person_id": 3 * 10**18, "month_of_birth": 2, "day_of_birth": 30},
        person | {"person_id": -5, "year_of_birth": 1904, "month_of_birth": 2, "day_of_birth": 29},
    ]
    days = [date(1700, 1, 1), date(9999, 12, 31), date(1969, 12, 31), date(2004, 2, 29)]
    tables["condition_occurrence"] += [condition | {"condition_start_date": day} for day in days]
    same_day = condition | {"condition_start_date": date(2001, 1, 1)}
    tables["condition_occurrence"] += [
        same_day | {"condition_source_value": source}
        for source in (
            "b",
            "B",
            "a",
            "ä",
            "_",
            " padded ",
            " fev\t",
            '"quoted"',
            "",
            "a,b\nc",
            "\\N",
            "'",
            "%s",
            "日本",
        )
    ]
    tables["concept"] += [tables["concept"][1] | {"concept_id": 7, "concept_name": "a type 2"}]
    tables["concept_relationship"] = [
        {
            "concept_id_1": 201826,
            "concept_id_2": 201820,
            "relationship_id": "Is a",
            "invalid_reason": None,
        }
    ]
    return tables


def in_types(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The same tables in narrow and in other types."""
    measurement = frames["measurement"].with_columns(
        pl.col("person_id").cast(pl.Int32), pl.col("value_as_number").cast(pl.Decimal(18, 3))
    )
    zoned = pl.col("condition_start_datetime").dt.replace_time_zone("Europe/Berlin")
    return frames | {
        "measurement": measurement,
        "condition_occurrence": frames["condition_occurrence"].with_columns(zoned),
        "death": frames["death"].rename(str.upper),
    }


def as_text(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name: frame.cast(pl.String) for name, frame in frames.items()}


TEXTS = {
    "condition_start_date": [
        *("2012-03-05", "20120305", "2012-03-05T23:30:00-05:00", "2012-03-05 10:00:00.123456789+0530"),
        *("2012-03-05 23:59:60", "2012-03-05 24:00", "2012-02-30", "2011-02-29", "2012-02-29", "0000-01-01"),
        *(
            "9999-12-31T23:00:00-05:00",
            "0001-01-01T00:00:00+05:00",
            "2012-03-05 10:00+15:59",
            "NULL",
            "1900-02-29",
        ),
        *("9999-12-31", "9999-12-31 10:00:00", "2012-03-05 10:00:00.25", "2012-03-05T10:00:00", "1900-02-28"),
        *("2012-03-05 10:00+16:00", "2012-03-05T10:00:00,5Z", "2012-04-31", "2000-02-29", "2012-13-01"),
        *("0000-02-29", "2012-03-05\r", "2012-03-05 10:00:00\n"),
    ],
    "value_as_number": [
        *("7.5", "1e5", "-.5", "5.", "1e400", "1e-400", "inf", "NaN", "0x1F", "1_000", "1,5", ">200", "+3"),
        *("-7.25", "1234567890123456", " 42 ", "-0"),
        *("NULL", "1d", "1" * 300, "0." + "0" * 300 + "1", "1e-45", "3.4e38", "1e999999999999"),
    ],
}


def odd_texts(tables: Tables) -> Tables:
    """Dates and values as text, of which many are none."""
    condition, measured = tables["condition_occurrence"][1], tables["measurement"][0]
    tables["procedure_occurrence"][0] |= {"procedure_concept_id": 0, "procedure_source_value": " fev\t"}
    dates, values = TEXTS["condition_start_date"], TEXTS["value_as_number"]
    tables["condition_occurrence"] = [condition | {"condition_start_date": text} for text in dates]
    tables["measurement"] = [
        measured | {"value_as_number": text, "measurement_date": date(2005, 3, 1) + timedelta(days=day)}
        for day, text in enumerate(values)
    ]
    return tables
