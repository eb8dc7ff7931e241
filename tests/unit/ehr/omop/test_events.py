from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from proband.core.config import validated
from proband.core.errors import DataError
from proband.ehr import ehr
from proband.ehr.config import EhrConfig
from proband.ehr.omop import events as conversion
from proband.ehr.omop.sources import open_omop
from proband.ehr.omop.tables import sources
from proband.ehr.omop.typed import in_types

Tables = dict[str, Any]

EXPECTED = [
    (1, None, "Gender//F", None, None),
    (1, datetime(1950, 6, 15, 10, 30), "MEDS_BIRTH", None, None),
    (1, datetime(2000, 1, 1), "OBSERVATION_PERIOD//START", None, None),
    (1, datetime(2005, 3, 1), "LOINC//4548-4", 7.5, "%"),
    (1, datetime(2005, 3, 1), "Visit//OP", None, None),
    (1, datetime(2005, 3, 1, 9, 15), "SNOMED//44054006", None, None),
    (1, datetime(2005, 3, 2), "RxNorm//6809", None, None),
    (1, datetime(2006, 3, 1), "LOINC//4548-4", None, "{odd}"),
    (1, datetime(2010, 12, 31, 23, 59, 59), "OBSERVATION_PERIOD//END", None, None),
    (2, None, "Gender//M", None, None),
    (2, datetime(1960, 1, 1), "MEDS_BIRTH", None, None),
    (2, datetime(1969, 7, 20), "CONDITION//xyz", None, None),
    (2, datetime(2000, 1, 1), "OBSERVATION_PERIOD//START", None, None),
    (2, datetime(2001, 1, 1), "SNOMED//77176002", None, None),
    (2, datetime(2001, 1, 1), "SNOMED//86273004", None, None),
    (2, datetime(2010, 5, 5), "MEDS_DEATH", None, None),
    (2, datetime(2010, 12, 31, 23, 59, 59), "OBSERVATION_PERIOD//END", None, None),
]


@pytest.fixture
def convert(omop: Callable, read_out: Callable, tmp_path: Path) -> Callable:
    """Convert tables, or persons and concepts with ``only`` some; the events, counts and output folder."""

    def run(
        tables: Tables, kind: str = "parquet", only: Collection[str] | None = None, **options: Any
    ) -> tuple[pl.DataFrame, dict[str, int], Path]:
        if only is not None:
            tables = {name: rows for name, rows in tables.items() if name in {"person", "concept", *only}}
        out = tmp_path / f"out_{kind}"
        config = validated(EhrConfig, **options)
        ehr(omop(tables, kind, name=f"omop_{kind}"), out, overwrite=True, workers=1, config=config)
        return read_out(out), json.loads((out / "manifest.json").read_text())["counts"], out

    return run


def codes_of(events: pl.DataFrame, subject: int, year: int) -> list[str]:
    return events.filter((pl.col("subject_id") == subject) & (pl.col("time").dt.year() == year))[
        "code"
    ].to_list()


@pytest.mark.parametrize("kind", ["parquet", "csv", "duckdb"])
def test_every_table_becomes_events(tables: Tables, convert: Callable, kind: str) -> None:
    events, counts, _ = convert(tables, kind)
    assert events.rows() == EXPECTED
    assert {
        name: value for name, value in counts.items() if name in {f"num_{table}" for table in tables}
    } == {f"num_{table}": len(rows) for table, rows in tables.items() if table != "concept"}
    assert counts["num_events"] == len(EXPECTED)
    assert counts["num_subjects"] == 2


def test_int32_ids_and_decimals_give_the_same(tables: Tables, convert: Callable) -> None:
    measurement = pl.DataFrame(
        tables["measurement"], schema_overrides={"measurement_datetime": pl.Datetime("us")}
    )
    narrow = {name: pl.Int32 for name, dtype in measurement.schema.items() if dtype == pl.Int64}
    tables["measurement"] = measurement.cast(narrow).with_columns(
        pl.col("value_as_number").cast(pl.Decimal(18, 3))
    )
    assert measurement.schema["value_as_number"] == pl.Float64
    assert convert(tables)[0].rows() == EXPECTED


def test_capital_columns_and_a_time_zone(tables: Tables, convert: Callable, new_condition: Callable) -> None:
    frame = pl.DataFrame(
        [new_condition(1, 201826, date(2005, 3, 1), at=datetime(2005, 3, 1, 9, 15))]
    ).with_columns(pl.col("condition_start_datetime").dt.replace_time_zone("Europe/Berlin"))
    tables["condition_occurrence"] = frame.rename(str.upper)
    events, _, _ = convert(tables)
    # A quarter past nine in Berlin in winter is a quarter past eight in UTC.
    assert (1, datetime(2005, 3, 1, 8, 15), "SNOMED//44054006", None, None) in events.rows()


CODES = [
    (201826, "E11", "SNOMED//44054006"),
    (0, "E11", "CONDITION//E11"),
    (None, "E11", "CONDITION//E11"),
    (0, None, "CONDITION//0"),
    (None, "", "CONDITION//0"),
    (0, "  ", "CONDITION//0"),
    (99_999_999, "E11", "OMOP//99999999"),
]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_codes(tables: Tables, convert: Callable, new_condition: Callable, kind: str) -> None:
    tables["condition_occurrence"] = [
        new_condition(1, concept, date(1990 + row, 3, 1), source=source)
        for row, (concept, source, _) in enumerate(CODES)
    ]
    events, _, _ = convert(tables, kind, only=("condition_occurrence",))
    assert [codes_of(events, 1, 1990 + row) for row in range(len(CODES))] == [[code] for *_, code in CODES]


def test_other_domains_name_their_unmapped_codes(tables: Tables, convert: Callable) -> None:
    for table, prefix in {
        "drug_exposure": "drug",
        "procedure_occurrence": "procedure",
        "measurement": "measurement",
        "observation": "observation",
        "visit_occurrence": "visit",
    }.items():
        for row in tables[table]:
            row |= {f"{prefix}_concept_id": 0, f"{prefix}_source_value": "s"}
    codes = set(convert(tables)[0]["code"])
    assert {"DRUG//s", "PROCEDURE//s", "MEASUREMENT//s", "OBSERVATION//s", "VISIT//s"} <= codes


BIRTHS = [
    ((1980, 4, 9, datetime(1980, 4, 10, 3, 0)), datetime(1980, 4, 10, 3, 0)),
    ((1980, 4, 9, None), datetime(1980, 4, 9)),
    ((1980, 4, None, None), datetime(1980, 4, 1)),
    ((1980, None, None, None), datetime(1980, 1, 1)),
    ((1899, 12, 31, None), datetime(1899, 12, 31)),
    # Of another year: a placeholder, or a wrong hand; and the same day in another time zone.
    ((1951, 3, 5, datetime(1900, 1, 1)), datetime(1951, 3, 5)),
    ((1951, None, None, datetime(1950, 3, 5)), datetime(1951, 1, 1)),
    ((1980, 1, 1, datetime(1979, 12, 31, 23)), datetime(1979, 12, 31, 23)),
    ((None, 3, 5, datetime(1900, 1, 1)), datetime(1900, 1, 1)),
]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_birth(
    tables: Tables, convert: Callable, new_person: Callable, kind: str, capsys: pytest.CaptureFixture
) -> None:
    names = ("year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime")
    for number, (parts, _) in enumerate(BIRTHS):
        person = new_person(10 + number, 8507, None) | dict(zip(names, parts, strict=True))
        tables["person"].append(person)
    events, counts, _ = convert(tables, kind, only=("condition_occurrence",))
    births = events.filter((pl.col("code") == "MEDS_BIRTH") & (pl.col("subject_id") >= 10))
    assert births["time"].to_list() == [expected for _, expected in BIRTHS]
    assert (counts["num_conflicting_birth"], counts["num_impossible_birth"]) == (2, 0)
    assert "2 births take year_of_birth: their birth_datetime is of another year" in capsys.readouterr().err


def test_a_person_without_birth_leaves_or_gets_one(tables: Tables, convert: Callable) -> None:
    tables["person"][1]["year_of_birth"] = None
    events, counts, _ = convert(tables)
    assert events["subject_id"].unique().to_list() == [1]
    assert (counts["num_no_birth"], counts["num_events_no_birth"]) == (1, 7)
    events, counts, _ = convert(tables, assume_birth=True)
    assert (2, datetime(1969, 7, 20), "MEDS_BIRTH", None, None) in events.rows()
    assert counts["num_assumed_birth"] == 1


def test_sex_that_is_not_recorded(tables: Tables, convert: Callable) -> None:
    tables["person"][0] |= {"gender_concept_id": 0, "gender_source_value": None}
    tables["person"][1] |= {"gender_concept_id": 0, "gender_source_value": "other"}
    static = convert(tables, only=("condition_occurrence",))[0].filter(pl.col("time").is_null())
    assert static.select("subject_id", "code").rows() == [(2, "GENDER//other")]


def test_what_is_left_out_is_counted(tables: Tables, convert: Callable, new_condition: Callable) -> None:
    tables["condition_occurrence"] += [
        new_condition(1, 201826, None),
        new_condition(77, 201826, date(2001, 1, 1)),
        new_condition(77, 201826, None),
        new_condition(None, 201826, date(2001, 1, 1)),
    ]
    tables["death"].append({"person_id": 78, "death_date": date(2001, 1, 1), "death_datetime": None})
    tables["observation_period"].append(
        tables["observation_period"][0] | {"observation_period_end_date": None}
    )
    events, counts, out = convert(tables)
    left_out = json.loads((out / "manifest.json").read_text())["notes"]["left_out"]
    reasons = ("num_rows", "num_unknown_person", "num_no_date", "num_events")
    assert [left_out["condition_occurrence"][name] for name in reasons] == [6, 3, 1, 2]
    assert [left_out["death"][name] for name in reasons] == [2, 1, 0, 1]
    assert [left_out["observation_period"][name] for name in reasons] == [3, 0, 1, 5]
    assert (counts["num_unknown_person"], counts["num_no_date"]) == (4, 2)
    assert events.height == len(EXPECTED) + 1
    assert counts["num_condition_occurrence"] == 6


DATES = [
    (date(2005, 1, 1), datetime(1970, 1, 1), datetime(2005, 1, 1)),
    (date(2005, 1, 2), datetime(2005, 1, 2, 9, 15), datetime(2005, 1, 2, 9, 15)),
    (date(2005, 1, 3), datetime(2005, 1, 4, 4, 30), datetime(2005, 1, 4, 4, 30)),
    (date(2005, 1, 5), datetime(2005, 1, 7), datetime(2005, 1, 5)),
    (None, datetime(2005, 1, 9), datetime(2005, 1, 9)),
    (date(2005, 1, 10), None, datetime(2005, 1, 10)),
]


@pytest.mark.parametrize("kind", ["parquet", "csv", "duckdb"])
def test_a_datetime_that_is_not_of_its_date_gives_way(
    tables: Tables, convert: Callable, new_condition: Callable, kind: str, capsys: pytest.CaptureFixture
) -> None:
    tables["condition_occurrence"] = [new_condition(1, 0, day, at=at, source="x") for day, at, _ in DATES]
    tables["visit_occurrence"][0] |= {
        "visit_end_date": date(2005, 3, 4),
        "visit_end_datetime": datetime(2099, 12, 31),
    }
    events, counts, out = convert(tables, kind, only=("condition_occurrence", "visit_occurrence"))
    assert events.filter(code="CONDITION//x")["time"].to_list() == [expected for *_, expected in DATES]
    assert events.filter(code="DISCHARGE//Visit//OP")["time"].to_list() == [datetime(2005, 3, 4)]
    assert counts["num_conflicting_date"] == 3
    notes = json.loads((out / "manifest.json").read_text())["notes"]
    assert notes["left_out"]["condition_occurrence"]["num_conflicting_date"] == 2
    assert notes["first_left_out"]["num_conflicting_date"] == "table condition_occurrence, person_id 1"
    said = "3 rows take their date: their datetime is more than a day from it, first in table condition_"
    assert said in capsys.readouterr().err


def test_a_period_that_ends_before_it_starts_is_left_out(
    tables: Tables, convert: Callable, capsys: pytest.CaptureFixture
) -> None:
    first = tables["observation_period"][0]
    tables["observation_period"] += [
        first
        | {
            "observation_period_start_date": date(2015, 1, 1),
            "observation_period_end_date": date(2005, 1, 1),
        },
        first
        | {
            "observation_period_start_date": date(2010, 2, 3),
            "observation_period_end_date": date(2010, 2, 3),
        },
    ]
    events, counts, out = convert(tables)
    assert events.height == len(EXPECTED) + 2
    assert counts["num_reversed_period"] == 1
    left_out = json.loads((out / "manifest.json").read_text())["notes"]["left_out"]["observation_period"]
    assert [left_out[name] for name in ("num_rows", "num_events", "num_reversed_period")] == [4, 6, 1]
    assert "1 rows left out: a period that ends before it starts, first in" in capsys.readouterr().err


def test_periods_without_an_end_are_said(
    tables: Tables, convert: Callable, capsys: pytest.CaptureFixture
) -> None:
    periods = ("observation_period", "condition_occurrence")
    tables["observation_period"][0]["observation_period_end_date"] = None
    _, counts, _ = convert(tables, only=periods)
    assert (counts["num_open_periods"], counts["num_no_period"]) == (1, 1)
    said = "1 observation periods have no end: follow-up ends with the last end that the subject has"
    assert said in capsys.readouterr().err
    convert(tables, only=periods, follow_up_end=date(2012, 1, 1))
    assert said not in capsys.readouterr().err


def test_a_missing_table_of_concepts_is_said(
    tables: Tables, convert: Callable, capsys: pytest.CaptureFixture
) -> None:
    convert(tables)
    assert "no table concept" not in capsys.readouterr().err
    del tables["concept"]
    convert(tables, "csv")
    assert "no table concept: codes are OMOP's numbers" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_deaths_of_person_are_read_where_there_is_no_table_of_them(
    tables: Tables, convert: Callable, kind: str, capsys: pytest.CaptureFixture
) -> None:
    del tables["death"]
    tables["person"] = [row | {"death_datetime": None} for row in tables["person"]]
    tables["person"][1]["death_datetime"] = datetime(2010, 5, 5)
    events, counts, _ = convert(tables, kind)
    assert events.rows() == EXPECTED
    assert (counts["num_deaths"], counts["num_person_events"]) == (1, 5)
    assert "no table death; 1 deaths are taken from person.death_datetime" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb"])
def test_an_empty_table_of_deaths_is_an_absent_one(
    tables: Tables, convert: Callable, kind: str, capsys: pytest.CaptureFixture
) -> None:
    none = pl.DataFrame(schema={"person_id": pl.Int64, "death_date": pl.Date})
    tables["person"] = [row | {"death_datetime": None} for row in tables["person"]]
    tables["person"][1]["death_datetime"] = datetime(2010, 5, 5)
    events, counts, _ = convert(tables | {"death": none}, kind)
    assert events.rows() == EXPECTED
    assert counts["num_deaths"] == 1
    assert "table death is empty; 1 deaths are taken from person.death_datetime" in capsys.readouterr().err


def test_an_empty_table_of_deaths_alone_tells_of_none(tables: Tables, convert: Callable) -> None:
    none = pl.DataFrame(schema={"person_id": pl.Int64, "death_date": pl.Date})
    assert convert(tables | {"death": none})[1]["num_deaths"] == 0


def test_ids_beyond_64_bits_name_their_table(tables: Tables, convert: Callable) -> None:
    persons = pl.DataFrame(tables["person"])
    tables["person"] = persons.with_columns(person_id=pl.Series([1, 2], dtype=pl.UInt64))
    assert convert(tables)[0].rows() == EXPECTED
    ids = pl.Series([1, 2**63 + 1], dtype=pl.UInt64)
    tables["person"] = persons.with_columns(person_id=ids)
    said = "unreadable person_id; in table person; found '9223372036854775809', one of 1 rows; .*below 2"
    with pytest.raises(DataError, match=said):
        convert(tables)
    drugs = pl.DataFrame(tables["drug_exposure"] * 2).with_columns(person_id=ids)
    _, counts, _ = convert(tables | {"person": persons, "drug_exposure": drugs})
    assert counts["num_unknown_person"] == 1


def test_two_digit_years_of_birth(tables: Tables, convert: Callable) -> None:
    for row in tables["person"]:
        row |= {"year_of_birth": 51, "birth_datetime": None}
    said = r"no subject is left; .*; found 2 subjects without a birth, 2 births of a year.*four digits"
    with pytest.raises(DataError, match=said):
        convert(tables, only=("condition_occurrence",))


def test_after_death_is_kept_and_counted(
    tables: Tables, convert: Callable, new_condition: Callable, capsys: pytest.CaptureFixture
) -> None:
    tables["condition_occurrence"].append(new_condition(2, 201826, date(2010, 5, 6)))
    events, counts, _ = convert(tables)
    # The other row after the death is the end of the observation period.
    assert (counts["num_after_death"], counts["num_records_after_death"]) == (2, 1)
    assert "1 rows after their subject's death: kept, but follow-up ends with" in capsys.readouterr().err
    assert "SNOMED//44054006" in codes_of(events, 2, 2010)


def test_before_birth(tables: Tables, convert: Callable, new_condition: Callable) -> None:
    tables["condition_occurrence"] += [new_condition(2, 201826, date(1959, 12, 31))] * 2
    tables["condition_occurrence"].append(new_condition(1, 201826, date(1950, 6, 15)))
    found = r"found 2 events, the first SNOMED//44054006 of subject 2"
    with pytest.raises(DataError, match=f"events before birth; .*{found}; .*--drop-before-birth"):
        convert(tables, only=("condition_occurrence",))
    events, counts, _ = convert(tables, only=("condition_occurrence",), drop_before_birth=True)
    assert (counts["num_before_birth"], counts["num_moved_to_birth"]) == (2, 1)
    assert codes_of(events, 1, 1950) == ["MEDS_BIRTH", "SNOMED//44054006"]
    assert codes_of(events, 2, 1959) == []


def test_values_that_are_not_finite(tables: Tables, convert: Callable, new_measurement: Callable) -> None:
    tables["measurement"] = [
        new_measurement(1, date(2003, 3, day), value, 8554, None)
        for day, value in enumerate([float("nan"), float("inf"), -2.5, None], start=1)
    ]
    events, counts, _ = convert(tables, only=("measurement",))
    values = events.filter(pl.col("code") == "LOINC//4548-4")["numeric_value"].to_list()
    assert values == [None, None, -2.5, None]
    assert counts["num_non_finite"] == 2


def test_an_observation_has_its_value_and_unit(tables: Tables, convert: Callable) -> None:
    tables["observation"][0] |= {"value_as_number": Decimal("20.5"), "unit_concept_id": 8554}
    events, _, _ = convert(tables, only=("observation",))
    row = events.row(by_predicate=pl.col("code") == "SNOMED//77176002", named=True)
    assert (row["numeric_value"], row["unit"]) == (20.5, "%")


def test_only_person_and_one_event_table_are_needed(tables: Tables, convert: Callable) -> None:
    events, _, out = convert({name: tables[name] for name in ("person", "condition_occurrence")})
    assert events["code"].to_list() == [
        "Gender//F",
        "MEDS_BIRTH",
        "OMOP//201826",
        "Gender//M",
        "MEDS_BIRTH",
        "CONDITION//xyz",
    ]
    assert json.loads((out / "manifest.json").read_text())["notes"]["tables"] == [
        "condition_occurrence",
        "person",
    ]
    codes = pl.read_parquet(out / "metadata" / "codes.parquet")
    assert codes.filter(pl.col("code") == "Gender//F")["description"].to_list() == ["Female"]
    assert codes["parent_codes"].null_count() == codes.height


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        ("person", "person_id", "missing column person_id; in table person"),
        ("person", "gender_concept_id", "missing column gender_concept_id; in table person"),
        ("condition_occurrence", "condition_concept_id", "missing column condition_concept_id"),
        (
            "drug_exposure",
            "drug_exposure_start_date",
            "expected drug_exposure_start_date or drug_exposure_start_datetime",
        ),
        ("concept", "vocabulary_id", "missing column vocabulary_id; in table concept"),
        ("concept", "concept_id", "missing column concept_id; in table concept"),
    ],
)
def test_missing_columns(tables: Tables, convert: Callable, table: str, column: str, message: str) -> None:
    for row in tables[table]:
        del row[column]
    with pytest.raises(DataError, match=message):
        convert(tables)


def test_a_person_needs_some_birth_column(tables: Tables, convert: Callable) -> None:
    for row in tables["person"]:
        del row["year_of_birth"], row["birth_datetime"]
    with pytest.raises(DataError, match="missing column year_of_birth"):
        convert(tables)


def test_a_person_twice(tables: Tables, convert: Callable) -> None:
    tables["person"].append(dict(tables["person"][1]))
    with pytest.raises(DataError, match="duplicate person; in table person; found person_id 2 2 times"):
        convert(tables)


def test_a_person_without_an_id(tables: Tables, convert: Callable) -> None:
    tables["person"].append(tables["person"][1] | {"person_id": None})
    with pytest.raises(DataError, match="null person_id; in table person; found 1 rows"):
        convert(tables)


def test_a_concept_twice(tables: Tables, convert: Callable) -> None:
    tables["concept"].append(dict(tables["concept"][1]))
    with pytest.raises(DataError, match=r"duplicate concept; .*concept_id 201826 2 times"):
        convert(tables)


def as_text(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(
        [{name: None if cell is None else str(cell) for name, cell in row.items()} for row in rows]
    )


@pytest.mark.parametrize("kind", ["parquet", "csv", "duckdb"])
@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("condition_occurrence", "condition_start_date", "3/5/2012"),
        ("condition_occurrence", "condition_start_datetime", "5.3.2012 10:30"),
        ("visit_occurrence", "visit_start_date", "2012-3-5"),
        ("measurement", "measurement_concept_id", "3004410.5"),
        ("person", "person_id", "p1"),
        ("person", "year_of_birth", "1950/1951"),
    ],
)
def test_another_form_is_refused_by_table_column_and_value(
    tables: Tables, convert: Callable, kind: str, table: str, column: str, value: str
) -> None:
    tables[table][-1][column] = value
    tables[table] = as_text(tables[table])
    with pytest.raises(DataError, match=f"unreadable {column}; in table {table}; found '{value}'") as caught:
        convert(tables, kind, only=(table, "condition_occurrence"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["parquet", "csv", "duckdb"])
def test_what_is_wrong_with_one_row_leaves_the_others(tables: Tables, convert: Callable, kind: str) -> None:
    tables["measurement"][0]["value_as_number"] = ">200"
    tables["condition_occurrence"] += [
        tables["condition_occurrence"][1] | {"condition_start_date": "2010-02-30"}
    ]
    tables["visit_occurrence"] += [tables["visit_occurrence"][0] | {"person_id": "p1"}]
    tables["person"][0] |= {"birth_datetime": None, "month_of_birth": 0}
    tables["person"][1] |= {"month_of_birth": 2, "day_of_birth": 30}
    names = ("measurement", "condition_occurrence", "visit_occurrence", "person")
    events, counts, out = convert(tables | {name: as_text(tables[name]) for name in names}, kind)
    births = events.filter(code="MEDS_BIRTH")["time"].to_list()
    assert births == [datetime(1950, 1, 1), datetime(1960, 2, 1)]
    odd = {
        "num_unreadable_value": 1,
        "num_impossible_date": 1,
        "num_unknown_person": 1,
        "num_impossible_birth": 2,
    }
    assert {name: counts[name] for name in odd} == odd
    assert events.height == counts["num_events"] == len(EXPECTED)
    assert "value_as_number '>200'" in str(json.loads((out / "manifest.json").read_text())["notes"])


TIMES = [
    ("2012-03-05", datetime(2012, 3, 5)),
    ("20120305", datetime(2012, 3, 5)),
    (' "2012-03-05" ', datetime(2012, 3, 5)),
    ("2012-03-05T23:30:00-05:00", datetime(2012, 3, 6, 4, 30)),
    ("2012-03-05 23:30:00.123456789+0530", datetime(2012, 3, 5, 18, 0, 0, 123456)),
    ("2012-03-05 23:30:00 UTC", datetime(2012, 3, 5, 23, 30)),
    ("20120305T233000Z", datetime(2012, 3, 5, 23, 30)),
    ("2012-03-05T23:30", datetime(2012, 3, 5, 23, 30)),
    ("1912-03-05 00:30+01", datetime(1912, 3, 4, 23, 30)),
]


@pytest.mark.parametrize("kind", ["parquet", "csv", "duckdb"])
def test_iso_8601_is_read_the_same_from_every_source(
    tables: Tables, convert: Callable, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    rows = [{"person_id": 1, "procedure_concept_id": 4000, "procedure_datetime": text} for text, _ in TIMES]
    tables["person"][0] |= {"birth_datetime": datetime(1900, 1, 1), "year_of_birth": 1900}
    events, _, _ = convert(
        tables | {"procedure_occurrence": pl.DataFrame(rows)}, kind, only=("procedure_occurrence",)
    )
    found = events.filter(code="SNOMED//86273004")["time"].to_list()
    assert found == sorted(time for _, time in TIMES)


@pytest.mark.parametrize("kind", ["parquet", "duckdb"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_times_in_nanoseconds_are_of_the_microsecond_they_lie_in(
    tables: Tables, convert: Callable, kind: str, zone: str | None
) -> None:
    """pandas writes them, with a zone too; the last one of a year is not of the next."""
    last = pl.Series([1_325_375_999_999_999_999]).cast(pl.Datetime("ns"))
    if zone is not None:
        last = last.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    period = tables["observation_period"][0]
    tables["observation_period"] = pl.DataFrame([period]).with_columns(
        last.alias("observation_period_end_datetime"),
        pl.lit(date(2011, 12, 31)).alias("observation_period_end_date"),
    )
    tables["visit_occurrence"] = pl.DataFrame(tables["visit_occurrence"]).with_columns(
        last.alias("visit_start_datetime"), pl.lit(date(2011, 12, 31)).alias("visit_start_date")
    )
    times = dict(convert(tables, kind)[0].filter(subject_id=1).select("code", "time").rows())
    assert times["Visit//OP"] == datetime(2011, 12, 31, 23, 59, 59, 999_999)
    assert times["OBSERVATION_PERIOD//END"] == datetime(2011, 12, 31, 23, 59, 59)


def as_bytes(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A table whose text is bytes, as Impala writes it."""
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col(pl.String).cast(pl.Binary))


@pytest.mark.parametrize("kind", ["parquet", "duckdb"])
def test_text_of_parquet_without_its_mark_is_text(tables: Tables, convert: Callable, kind: str) -> None:
    tables["condition_occurrence"][1]["condition_source_value"] = 'Ménière "x"\\'
    tables["concept"][1]["concept_name"] = "Diabète"
    read = [{"person_id": 1, "procedure_concept_id": 4000, "procedure_date": "2012-03-05"}]
    changed = {name: as_bytes(tables[name]) for name in ("condition_occurrence", "concept", "measurement")}
    changed["procedure_occurrence"] = as_bytes(read)
    if kind == "duckdb":
        with pytest.raises(DataError, match=r"wrong type of vocabulary_id; .*found bytes"):
            convert(tables | {"concept": changed["concept"]}, kind)
        return
    events, _, out = convert(tables | changed, kind)
    codes = events["code"].to_list()
    assert 'CONDITION//Ménière "x"\\' in codes
    assert codes.count("LOINC//4548-4") == 2
    assert events.filter(code="SNOMED//86273004")["time"].to_list() == [datetime(2012, 3, 5)]
    described = dict(pl.read_parquet(out / "metadata" / "codes.parquet").select("code", "description").rows())
    assert described["SNOMED//44054006"] == "Diabète"
    latin = pl.col("condition_source_value").fill_null("é".encode("latin1"))
    changed["condition_occurrence"] = changed["condition_occurrence"].with_columns(latin)
    with pytest.raises(DataError, match=r"unreadable OMOP source; .*with its text in UTF-8"):
        convert(tables | changed, kind)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_whole_numbers_may_be_written_as_others_are(tables: Tables, convert: Callable, kind: str) -> None:
    tables["condition_occurrence"] = pl.DataFrame(
        {
            "person_id": ["1.0", "1e0", "2", "9007199254740993"],
            "condition_concept_id": ["201826.0", "2.01826e5", "0", ""],
            "condition_start_date": ["2001-01-01"] * 4,
            "condition_source_value": ["a", "b", "c", "d"],
        }
    )
    tables["person"].append(tables["person"][1] | {"person_id": 9007199254740993})
    events, _, _ = convert(tables, kind, only=("condition_occurrence",))
    found = events.filter(pl.col("time") == datetime(2001, 1, 1)).filter(
        ~pl.col("code").str.contains("SNOMED//[78]")
    )
    assert found.select("subject_id", "code").rows() == [
        (1, "SNOMED//44054006"),
        (1, "SNOMED//44054006"),
        (2, "CONDITION//c"),
        (9007199254740993, "CONDITION//d"),
    ]


@pytest.mark.parametrize(("table", "column"), [("person", "birth_datetime"), ("death", "death_datetime")])
def test_a_column_of_the_null_type_is_an_absent_one(
    tables: Tables, convert: Callable, table: str, column: str
) -> None:
    if table == "person":
        tables["person"][0] |= {"birth_datetime": None, "month_of_birth": 6, "day_of_birth": 15}
    frame = pl.DataFrame(tables[table]).with_columns(pl.lit(None).alias(column))
    assert frame.schema[column] == pl.Null
    events = convert(tables | {table: frame})[0]
    assert events.height == len(EXPECTED)


def test_ends_of_visits_are_discharges(tables: Tables, convert: Callable) -> None:
    def visit(concept: int, start: date, end: date | None) -> dict:
        return {"person_id": 1, "visit_concept_id": concept, "visit_start_date": start, "visit_end_date": end}

    first, last = date(2005, 3, 1), date(2005, 3, 9)
    visits = [
        (9201, first, last),
        (9201, last, last),
        (9202, last, last),
        (9202, first, None),
        (9203, last, first),
    ]
    tables["visit_occurrence"] = [visit(*one) for one in visits]
    events, counts, _ = convert(tables, only=("visit_occurrence",))
    ends = events.filter(pl.col("code").str.starts_with("DISCHARGE//")).select("time", "code").rows()
    assert ends == [(datetime(2005, 3, 9), "DISCHARGE//OMOP//9201")] * 2
    assert counts["num_discharges"] == 2


def test_a_stay_of_one_day_that_began_at_an_hour_has_a_discharge(tables: Tables, convert: Callable) -> None:
    """Of its end the date alone is recorded, which is before the hour."""
    day = date(2005, 3, 1)
    stay = {"person_id": 1, "visit_concept_id": 9201, "visit_start_date": day, "visit_end_date": day}
    begins = datetime(2005, 3, 1, 8)
    tables["visit_occurrence"] = [stay | {"visit_start_datetime": begins}]
    events, _, _ = convert(tables, only=("visit_occurrence",))
    ends = events.filter(pl.col("code").str.starts_with("DISCHARGE//")).select("time", "code").rows()
    assert ends == [(begins, "DISCHARGE//OMOP//9201")]


def test_tables_that_repeat_others_are_read_where_asked(tables: Tables, convert: Callable) -> None:
    tables["drug_era"] = [
        {"person_id": 1, "drug_concept_id": 1503297, "drug_era_start_date": date(2005, 3, 2)},
    ]
    assert convert(tables)[0].height == len(EXPECTED)
    events, _, _ = convert(tables, more_tables=["drug_era"])
    assert codes_of(events, 1, 2005).count("DRUG_ERA//RxNorm//6809") == 1
    with pytest.raises(DataError, match="missing table visit_detail"):
        convert(tables, more_tables=["visit_detail"])


def test_rows_in_are_events_out_and_rows_left_out(
    tables: Tables, convert: Callable, new_condition: Callable
) -> None:
    tables["condition_occurrence"] += [
        new_condition(1, 201826, date(2001, 1, day) if day else None) for day in range(3)
    ]
    tables["condition_occurrence"] += [
        new_condition(7, 0, date(2001, 1, 1)),
        new_condition(1, 0, date(1700, 1, 1)),
    ]
    tables["death"] += tables["death"] * 2
    tables["person"].append(
        tables["person"][0] | {"person_id": 3, "year_of_birth": None, "birth_datetime": None}
    )
    _, counts, out = convert(tables)
    notes = json.loads((out / "manifest.json").read_text())["notes"]
    made = sum(table["num_events"] for table in notes["left_out"].values())
    assert counts["num_events_in"] == made + counts["num_discharges"] + counts["num_person_events"]
    left = ("num_impossible_date", "num_repeated_death", "num_events_no_birth", "num_repeated_birth")
    assert [counts[name] for name in left] == [1, 2, 1, 0]
    assert counts["num_events"] == counts["num_events_in"] - sum(counts[name] for name in left)
    for name, table in notes["left_out"].items():
        times = 2 if name == "observation_period" else 1
        reasons = ("num_unknown_person", "num_no_date", "num_impossible_date")
        assert table["num_events"] == times * table["num_rows"] - sum(table[reason] for reason in reasons)
    assert notes["first_left_out"]["num_no_date"] == "table condition_occurrence, person_id 1"


def test_a_date_that_is_a_number(tables: Tables, convert: Callable) -> None:
    tables["procedure_occurrence"][0]["procedure_date"] = 20010101
    with pytest.raises(DataError, match="wrong type of procedure_date; in table procedure_occurrence"):
        convert(tables)


def test_an_error_leaves_nothing_behind(tables: Tables, omop: Callable, tmp_path: Path) -> None:
    tables["person"].append(dict(tables["person"][1]))
    source = omop(tables)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="duplicate person"):
        ehr(source, tmp_path / "out", workers=1)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("dialect", ["postgres", "bigquery", "snowflake", "duckdb"])
def test_the_expression_is_not_tied_to_one_database(
    tables: Tables, omop: Callable, tmp_path: Path, dialect: str
) -> None:
    import ibis

    opened = open_omop(omop(tables), tmp_path / "work")
    unbound = {name: ibis.table(table.schema(), name=name) for name, table in opened.items()}
    found = unbound | {one.table: in_types(unbound[one.table], one) for one in sources(unbound)}
    parts = conversion.convert(found)
    sql = str(ibis.to_sql(conversion.events(parts, found["person"]), dialect=dialect))
    assert sql.upper().count("UNION ALL") == len(parts) - 1


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1,201826", "Expected Number of Columns: 3 Found: 2"),
        ("1,201826,2001-01-01,9", "Expected Number of Columns: 3 Found: 4"),
        ('1,201826,"2001-01-01', "unterminated quote"),
    ],
)
def test_a_broken_line_of_a_file_is_named(
    tables: Tables, omop: Callable, tmp_path: Path, row: str, complaint: str
) -> None:
    source = omop(tables, "csv")
    good = "1,201826,2001-01-01\n" * 3
    path = source / "condition_occurrence.csv"
    path.write_text(f"person_id,condition_concept_id,condition_start_date\n{good}{row}\n{good}")
    with pytest.raises(DataError, match=r"unreadable OMOP source; in .*condition_occurrence\.csv") as caught:
        ehr(source, tmp_path / "out", workers=1)
    assert "Line: 5" in str(caught.value)
    assert complaint in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_line_too_long_to_be_read_says_so(tables: Tables, omop: Callable, tmp_path: Path) -> None:
    source = omop(tables, "csv")
    header = "person_id,observation_concept_id,observation_date,value_as_string\n"
    (source / "observation.csv").write_text(f"{header}1,5000,2001-01-01,{'x' * 17_000_000}\n")
    message = (
        r"unreadable OMOP source; .*observation.csv; found CSV Error on Line: 2. Maximum line size of .*; "
    )
    with pytest.raises(DataError, match=f"{message}remedy: close quotes, or shorten .* 16,000,000") as caught:
        ehr(source, tmp_path / "out", workers=1)
    assert "\n" not in str(caught.value)
