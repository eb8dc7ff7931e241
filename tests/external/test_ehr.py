"""Synthea27Nj, a synthetic OMOP CDM 5.4 of 28 persons, through ``proband ehr``."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import meds as meds_standard
import polars as pl
import pyarrow.parquet as pq
import pytest

from proband.ehr import ehr
from proband.ehr.cohort import read_follow_up
from proband.ehr.labels import labels, onset_times
from proband.ehr.outcomes import Task

pytestmark = pytest.mark.external

SOURCE = Path(os.environ.get("PROBAND_DATA", "")) / "omop-synthea27nj" / "Synthea27NjParquet_5.4.zip"

# Row counts as published with the data.
ROWS = {
    "num_person": 28,
    "num_condition_occurrence": 470,
    "num_drug_exposure": 883,
    "num_measurement": 10_040,
    "num_procedure_occurrence": 1_649,
    "num_observation": 8_099,
    "num_visit_occurrence": 1_791,
    "num_death": 3,
    "num_observation_period": 28,
}
NUM_NULL_VALUES = 933
NUM_DISCHARGES = 27
"""Visits that end on a later day than they begin, 13 of them inpatient (polars, on visit_occurrence)."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthea") / "meds"
    ehr(SOURCE, folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def events(out: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in (out / "data").rglob("*.parquet")])


def test_row_counts(out: Path, events: pl.DataFrame) -> None:
    counts = json.loads((out / "manifest.json").read_text())["counts"]
    assert {name: counts[name] for name in ROWS} == ROWS
    assert counts["num_discharges"] == NUM_DISCHARGES
    # A person makes a birth and a sex, an observation period a start and an end.
    assert events.height == counts["num_events"] == sum(ROWS.values()) + 2 * 28 + NUM_DISCHARGES
    left_out = ("num_unknown_person", "num_no_date", "num_no_birth", "num_before_birth", "num_non_finite")
    assert not any(counts[name] for name in left_out)


def test_values_and_units(events: pl.DataFrame) -> None:
    # Observations hold no values here, so every value and every unit is a measurement's.
    assert events["numeric_value"].len() - events["numeric_value"].null_count() == 10_040 - NUM_NULL_VALUES
    weight = events.filter(pl.col("code") == "LOINC//29463-7")
    assert weight["unit"].unique().to_list() == ["kg"]
    assert weight["numeric_value"].is_between(1, 200).all()


def test_every_concept_is_named(events: pl.DataFrame) -> None:
    vocabularies = events["code"].str.split("//").list.first().unique().sort().to_list()
    special = ["DISCHARGE", "Gender", "MEDS_BIRTH", "MEDS_DEATH", "OBSERVATION_PERIOD"]
    assert sorted(vocabularies) == sorted([*special, "LOINC", "RxNorm", "SNOMED", "Visit"])


def test_descriptions_and_parents(out: Path) -> None:
    codes = pl.read_parquet(out / "metadata" / "codes.parquet")
    with zipfile.ZipFile(SOURCE) as archive:
        concept, relation = (
            pl.read_parquet(archive.read(f"Synthea27NjParquet/{name}.parquet"))
            for name in ("concept", "concept_relationship")
        )
    code = pl.concat_str("vocabulary_id", "concept_code", separator="//")
    named = concept.select("concept_id", "concept_name", code=code)
    descriptions = codes.join(named, on="code")
    assert (
        descriptions.height == codes.height - 6 - 3
    )  # birth, death, two sexes, start and end; three discharges
    assert (descriptions["description"] == descriptions["concept_name"]).all()
    is_a = relation.filter((pl.col("relationship_id") == "Is a") & pl.col("invalid_reason").is_null())
    pairs = (
        is_a.join(named.select(concept_id_1="concept_id", code="code"), on="concept_id_1")
        .join(named.select(concept_id_2="concept_id", parent_codes="code"), on="concept_id_2")
        .join(codes.select("code"), on="code", how="semi")
        .select("code", "parent_codes")
        .unique()
    )
    found = codes.select("code", "parent_codes").drop_nulls().explode("parent_codes", empty_as_null=False)
    assert found.height > 0
    assert sorted(found.rows()) == sorted(pairs.rows())


def test_follow_up_and_labels(out: Path) -> None:
    spans = read_follow_up(out)
    assert spans.height == 28
    assert spans["death_time"].count() == 3
    assert (spans["entry_time"] >= spans["birth_time"]).all()
    task = Task(
        outcomes={"death": {"codes": ["MEDS_DEATH"]}},
        prediction={"years_after_entry": 0},
        horizons_years=[100],
    )
    found = labels(out, task)
    assert (found["event"] == 1).sum() == 3
    assert found.height == 28


def test_valid_by_the_standard(out: Path) -> None:
    for path in (out / "data").rglob("*.parquet"):
        meds_standard.DataSchema.validate(pq.read_table(path))


@pytest.mark.parametrize(
    ("steps", "least", "most"),
    [
        ([{"codes": "LOINC//29463-7", "above": 80}] * 2, 180, 800),
        ([{"codes": "LOINC//8480-6", "above": 120}, {"codes": "LOINC//29463-7", "above": 80}], 30, 365),
        ([{"prefixes": "Visit//"}] * 2, 1, 30),
    ],
)
def test_patterns_against_every_pair_of_events(
    out: Path, events: pl.DataFrame, steps: list[dict], least: int, most: int
) -> None:
    later = steps[1] | {"after_days": least, "within_days": most}
    task = Task(outcomes={"x": {"steps": [steps[0], later]}}, prediction={"age_years": 0}, horizons_years=[1])
    outcome, known = task.outcomes["x"], events["code"].unique().to_list()
    codes = [step.select(known) for step in outcome.steps]
    found = dict(onset_times(events, outcome, codes).rows())

    matching = []
    for step, members in zip(steps, codes, strict=True):
        chosen = events.filter(pl.col("code").is_in(members))
        if "above" in step:
            chosen = chosen.filter(pl.col("numeric_value") > step["above"])
        matching.append(chosen.select("subject_id", "time").unique())
    pairs = matching[0].join(matching[1], on="subject_id", suffix="_later")
    days = (pl.col("time_later") - pl.col("time")).dt.total_microseconds() / 86_400_000_000
    fits = pairs.filter(days.is_between(least, most)).group_by("subject_id").agg(pl.col("time_later").min())
    assert found == dict(fits.rows())
    assert 3 < len(found) < 28 or "prefixes" in steps[0]
