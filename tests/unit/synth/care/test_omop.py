from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.files.manifest import hash_input
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.ehr import ehr
from proband.ehr.labels import labels
from proband.ehr.meds.dataset import read_codes
from proband.ehr.outcomes import load_task, require_known
from proband.synth.care.cdm import CDM
from proband.synth.care.concepts import descendants, meds_code
from proband.synth.care.omop import SHARD_TABLES, join_omop_shards, write_omop_shard
from proband.synth.care.records import make_records
from proband.synth.care.task import write_task
from proband.synth.lives.lives import NEVER, Lives
from proband.synth.traits import DISEASE_NAMES, DISEASES

END = date(2024, 12, 31)
PER_SHARD = 150
TIMES = {
    "visit_occurrence": "visit_start_datetime",
    "condition_occurrence": "condition_start_datetime",
    "drug_exposure": "drug_exposure_start_datetime",
    "procedure_occurrence": "procedure_datetime",
    "measurement": "measurement_datetime",
    "observation": "observation_datetime",
}


@pytest.fixture(scope="module")
def shards(make_lives: Callable) -> list[tuple[Lives, np.ndarray]]:
    first = 1001
    return [(make_lives(PER_SHARD, seed), first + seed * PER_SHARD + np.arange(PER_SHARD)) for seed in (0, 1)]


def write(folder: Path, shards: list[tuple[Lives, np.ndarray]]) -> tuple[Path, dict[str, int]]:
    counts: dict[str, int] = {}
    for number, (lives, ids) in enumerate(shards):
        records = make_records(lives, np.random.default_rng(number))
        for name, rows in write_omop_shard(folder / str(number), lives, ids, records, number).items():
            counts[name] = counts.get(name, 0) + rows
    joined = join_omop_shards([folder / str(number) for number in range(len(shards))], folder / "omop", END)
    assert {name: joined[name] for name in counts} == counts
    return folder / "omop", joined


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, shards: list) -> tuple[Path, dict[str, int]]:
    return write(tmp_path_factory.mktemp("omop"), shards)


@pytest.fixture(scope="module")
def omop(written: tuple[Path, dict[str, int]]) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(written[0] / f"{name}.parquet") for name in CDM}


def test_tables_have_the_columns_and_types_of_the_model(
    omop: dict[str, pl.DataFrame], written: tuple[Path, dict[str, int]]
) -> None:
    for name, columns in CDM.items():
        assert dict(omop[name].schema) == columns, name
        assert written[1][f"num_{name}"] == omop[name].height > 0


def test_ids_are_unique_over_the_shards(omop: dict[str, pl.DataFrame]) -> None:
    for name in SHARD_TABLES:
        key = "person_id" if name in ("person", "death") else f"{name}_id"
        assert omop[name][key].is_unique().all(), name
    assert omop["person"]["person_id"].to_list() == list(range(1001, 1001 + 2 * PER_SHARD))


def test_a_joined_table_is_its_parts_in_order(written: tuple[Path, dict[str, int]]) -> None:
    folder = written[0]
    for name in SHARD_TABLES:
        parts = [pl.read_parquet(folder.parent / str(number) / f"{name}.parquet") for number in (0, 1)]
        assert pl.read_parquet(folder / f"{name}.parquet").equals(pl.concat(parts)), name


def test_the_same_seed_gives_the_same_bytes(
    written: tuple[Path, dict[str, int]], shards: list, tmp_path: Path
) -> None:
    assert hash_input(write(tmp_path, shards)[0]) == hash_input(written[0])


def test_shards_without_deaths_or_drugs_join(make_lives: Callable, tmp_path: Path) -> None:
    lives = make_lives(1, 3)
    never = np.full_like(lives.started, NEVER)
    alive = replace(lives, death=np.array([NEVER]), exit=lives.entry + 10**14, started=never, stopped=never)
    folder, counts = write(tmp_path, [(alive, np.array([7])), (alive, np.array([8]))])
    assert (counts["num_person"], counts["num_death"]) == (2, 0)
    assert pl.read_parquet(folder / "death.parquet").schema == CDM["death"]


def test_every_concept_and_visit_referred_to_exists(omop: dict[str, pl.DataFrame]) -> None:
    known = set(omop["concept"]["concept_id"])
    visits = omop["visit_occurrence"].select("visit_occurrence_id", "person_id", "visit_start_datetime")
    for table, time in TIMES.items():
        concepts = {name for name in omop[table].columns if name.endswith("_concept_id")}
        for name in concepts:
            assert set(omop[table][name].drop_nulls()) <= known, (table, name)
        if table in ("visit_occurrence", "drug_exposure"):
            continue
        rows = omop[table].join(visits, on="visit_occurrence_id", suffix="_visit")
        assert rows.height == omop[table].height
        assert (rows["person_id"] == rows["person_id_visit"]).all(), table
        assert (rows[time] == rows["visit_start_datetime"]).all(), table
    ancestors = omop["concept_ancestor"]
    assert set(ancestors["ancestor_concept_id"]) | set(ancestors["descendant_concept_id"]) == known - {0}


def test_people_and_periods_are_those_of_the_lives(
    omop: dict[str, pl.DataFrame], shards: list[tuple[Lives, np.ndarray]]
) -> None:
    period = omop["observation_period"]
    for lives, ids in shards:
        mine = period.filter(pl.col("person_id").is_in(ids.tolist()))
        start = mine["observation_period_start_date"].cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()
        assert np.array_equal(start, lives.entry)
        dead = omop["death"].filter(pl.col("person_id").is_in(ids.tolist()))
        assert np.array_equal(dead["person_id"], ids[lives.death < NEVER])
        sex = omop["person"].filter(pl.col("person_id").is_in(ids.tolist()))["gender_concept_id"]
        assert np.array_equal(sex == 8507, lives.people.male)


def test_source_values_say_what_was_entered(omop: dict[str, pl.DataFrame]) -> None:
    rows = omop["condition_occurrence"]
    assert rows["condition_source_value"].null_count() / rows.height < 0.05
    atrial = rows.filter(pl.col("condition_concept_id") == 4154290)["condition_source_value"]
    assert set(atrial) == {"I48.0"}
    index = omop["observation"].filter(pl.col("observation_concept_id") == 0)
    assert set(index["observation_source_value"]) == {"deprivation_index"}
    bone = omop["measurement"].filter(pl.col("measurement_concept_id") == 0)
    assert set(bone["measurement_source_value"]) == {"bone_mineral_density"}
    assert set(bone["unit_concept_id"]) == {32701}


def test_the_task_names_every_code_of_every_disease(tmp_path: Path) -> None:
    write_task(tmp_path / "task.yaml", 2, (1, 5, 10))
    task = load_task(tmp_path / "task.yaml")
    assert tuple(task.outcomes) == DISEASE_NAMES
    for disease in DISEASES:
        codes = task.outcomes[disease.name].codes
        assert codes[0] == meds_code(disease.concept_id)
        assert len(codes) == 1 + len(descendants(disease.concept_id))
    assert task.prediction.years_after_entry == (2,)
    assert task.horizons_years == (1, 5, 10)


def test_labels_from_the_tables_are_the_law_read_off_the_lives(
    written: tuple[Path, dict[str, int]], shards: list[tuple[Lives, np.ndarray]], tmp_path: Path
) -> None:
    """OMOP to MEDS to labels: what a model is trained on is lives.recorded, found through the hierarchy."""
    write_task(tmp_path / "task.yaml", 2, (10,))
    task = load_task(tmp_path / "task.yaml")
    ehr(written[0], tmp_path / "meds", workers=1)
    require_known(task, read_codes(tmp_path / "meds"))
    made = labels(tmp_path / "meds", task, ["train", "tuning", "held_out"])
    row_of = {int(one): (lives, row) for lives, ids in shards for row, one in enumerate(ids)}
    found = {(subject, outcome): rest for subject, _, outcome, _, *rest in made.rows()}
    num_events = 0
    for subject, (lives, row) in row_of.items():
        time = int(lives.entry[row]) + 2 * MICROSECONDS_PER_YEAR
        for disease, outcome in enumerate(DISEASE_NAMES):
            recorded = int(lives.recorded[row, disease])
            if time >= lives.exit[row] or recorded <= time:
                assert (subject, outcome) not in found
                continue
            years, event = found[subject, outcome]
            assert (event == 1) == (recorded <= lives.exit[row])
            if event == 1:
                num_events += 1
                assert years == pytest.approx((recorded - time) / MICROSECONDS_PER_YEAR, abs=1e-9)
    assert num_events > 100
