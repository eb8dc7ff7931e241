from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from proband.synth.care.cdm import CDM
from proband.synth.care.concepts import ANCESTORS, CONDITIONS, DISEASE_PROCEDURES, PROCEDURES, concept_table
from proband.synth.traits import BIOMARKERS, DISEASES, TREATMENTS

TIMES = {
    "visit_occurrence": "visit_start_datetime",
    "condition_occurrence": "condition_start_datetime",
    "drug_exposure": "drug_exposure_start_datetime",
    "procedure_occurrence": "procedure_datetime",
    "measurement": "measurement_datetime",
    "observation": "observation_datetime",
}
CONCEPTS = {table: f"{table.split('_')[0]}_concept_id" for table in TIMES}


@pytest.fixture(scope="module")
def omop(biobank: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(biobank / "omop" / f"{name}.parquet") for name in CDM}


def test_tables_have_the_columns_and_types_of_the_model(omop: dict[str, pl.DataFrame]) -> None:
    for name, columns in CDM.items():
        assert dict(omop[name].schema) == columns, name
        if name not in ("person", "death") and f"{name}_id" in columns:
            assert omop[name][f"{name}_id"].is_unique().all()


def test_every_concept_recorded_is_in_the_concept_table(omop: dict[str, pl.DataFrame]) -> None:
    known = set(omop["concept"]["concept_id"])
    for table, column in CONCEPTS.items():
        assert set(omop[table][column]) <= known - {0}, table
    assert set(omop["measurement"]["unit_concept_id"]) <= known
    assert set(omop["person"]["gender_concept_id"]) == {8507, 8532}
    assert omop["concept"]["concept_id"].is_unique().all()


def test_every_concept_the_tables_name_exists_with_its_domain() -> None:
    domain = dict(concept_table().select("concept_id", "domain_id").rows())
    for trait in (*DISEASES, *CONDITIONS):
        assert domain[trait.concept_id] == "Condition"
    for marker in BIOMARKERS:
        assert (domain[marker.concept_id], domain[marker.unit_concept_id]) == ("Measurement", "Unit")
    drugs = {drug.drug_concept_id for drug in (*TREATMENTS, *CONDITIONS)} - {0}
    assert {domain[drug] for drug in drugs} == {"Drug"}
    procedures = {kind.concept_id for kind in PROCEDURES}
    procedures |= {concept for pairs in DISEASE_PROCEDURES.values() for concept, _ in pairs}
    assert {domain[procedure] for procedure in procedures} == {"Procedure"}
    assert {concept for row in ANCESTORS for concept in row[:2]} <= set(domain)


def test_nothing_is_recorded_before_birth_or_after_exit(omop: dict[str, pl.DataFrame]) -> None:
    people = omop["person"].select("person_id", "birth_datetime")
    periods = omop["observation_period"].select("person_id", "observation_period_end_date")
    deaths = omop["death"].select("person_id", "death_datetime")
    for table, time in TIMES.items():
        rows = omop[table].join(people, on="person_id").join(periods, on="person_id")
        rows = rows.join(deaths, on="person_id", how="left")
        assert (rows[time] >= rows["birth_datetime"].dt.offset_by("17y")).all(), table
        assert (rows[time].dt.date() <= rows["observation_period_end_date"]).all(), table
        dead = rows.filter(pl.col("death_datetime").is_not_null())
        assert (dead[time] <= dead["death_datetime"]).all(), table


def test_records_begin_before_enrolment_and_periods_at_it(omop: dict[str, pl.DataFrame]) -> None:
    first = omop["visit_occurrence"].group_by("person_id").agg(pl.col("visit_start_date").min())
    rows = omop["observation_period"].join(first, on="person_id")
    assert rows.height == omop["person"].height
    start = rows["observation_period_start_date"]
    assert start.dt.year().is_between(2008, 2012).all()
    assert (rows["visit_start_date"] <= start).all()
    assert (rows["visit_start_date"] < start).mean() > 0.9
    assert (rows["observation_period_end_date"] > start).mean() > 0.95


def test_a_disease_is_recorded_at_its_onset_or_at_the_first_visit(
    biobank: Path, omop: dict[str, pl.DataFrame]
) -> None:
    onsets = pl.read_parquet(biobank / "truth" / "onsets.parquet")
    concept = {disease.name: disease.concept_id for disease in DISEASES}
    onsets = onsets.with_columns(concept_id=pl.col("disease").replace_strict(concept, return_dtype=pl.Int32))
    first_code = (
        omop["condition_occurrence"]
        .group_by("person_id", "condition_concept_id")
        .agg(pl.col("condition_start_datetime").min().alias("recorded"))
    )
    first_visit = (
        omop["visit_occurrence"]
        .group_by("person_id")
        .agg(pl.col("visit_start_datetime").min().alias("first_visit"))
    )
    exits = omop["observation_period"].select("person_id", "observation_period_end_date")
    rows = (
        onsets.join(exits, left_on="subject_id", right_on="person_id")
        .filter(pl.col("time").dt.date() < pl.col("observation_period_end_date"))
        .join(
            first_code,
            left_on=["subject_id", "concept_id"],
            right_on=["person_id", "condition_concept_id"],
            how="left",
        )
        .join(first_visit, left_on="subject_id", right_on="person_id")
    )
    assert rows.height > 50
    at_onset = rows["recorded"] == rows["time"]
    at_first = (rows["recorded"] == rows["first_visit"]) & (rows["time"] < rows["recorded"])
    assert (at_onset | at_first).all()
    assert at_onset.any()
    assert at_first.any()


def test_rows_name_a_visit_at_their_time(omop: dict[str, pl.DataFrame]) -> None:
    visits = omop["visit_occurrence"].select("visit_occurrence_id", "person_id", "visit_start_datetime")
    for table in ("condition_occurrence", "procedure_occurrence", "measurement", "observation"):
        rows = omop[table].join(visits, on="visit_occurrence_id", how="left", suffix="_visit")
        assert (rows["person_id"] == rows["person_id_visit"]).all(), table
        assert (rows[TIMES[table]] == rows["visit_start_datetime"]).all(), table


def test_values_are_plausible_and_sexes_differ_where_they_should(omop: dict[str, pl.DataFrame]) -> None:
    median = dict(
        omop["measurement"].group_by("measurement_concept_id").agg(pl.col("value_as_number").median()).rows()
    )
    for marker in BIOMARKERS:
        mean = sum(marker.mean) / 2
        assert abs(median[marker.concept_id] - mean) < 2 * marker.sd, marker.name
    sex = omop["person"].select("person_id", "gender_concept_id")
    mammography = omop["procedure_occurrence"].filter(pl.col("procedure_concept_id") == 4324693)
    assert mammography.height > 0
    assert set(mammography.join(sex, on="person_id")["gender_concept_id"]) == {8532}


def test_a_subject_has_a_record_worth_reading(omop: dict[str, pl.DataFrame]) -> None:
    rows = pl.concat([omop[table].select("person_id") for table in TIMES])
    assert 80 < rows.group_by("person_id").len()["len"].median() < 220
