from __future__ import annotations

import builtins
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from proband.core import schema
from proband.core.errors import ConfigError
from proband.core.files.manifest import hash_input, read_manifest
from proband.core.units import DAYS_PER_YEAR
from proband.ehr import ehr
from proband.ehr.labels import labels as make_labels
from proband.ehr.outcomes import load_task
from proband.synth import SynthConfig, stage, synth
from proband.synth.traits import DISEASE_NAMES, TRAIT_NAMES


def test_the_same_seed_gives_the_same_files_whatever_the_workers(
    biobank: Path, small_config: SynthConfig, tmp_path: Path
) -> None:
    synth(tmp_path / "again", config=small_config, workers=2)
    assert hash_input(tmp_path / "again") == hash_input(biobank)
    assert not (tmp_path / "again.partial").exists()


def test_another_seed_gives_other_files(biobank: Path, small_config: SynthConfig, tmp_path: Path) -> None:
    synth(tmp_path / "other", config=small_config.model_copy(update={"seed": 4}), workers=1)
    for name in (
        "genotypes/biobank_chr3.pgen",
        "reference/reference_chr3.pgen",
        "omop/person.parquet",
        "omop/measurement.parquet",
        "truth/risk.parquet",
    ):
        assert hash_input(tmp_path / "other" / name) != hash_input(biobank / name)


def test_a_run_stopped_again_and_again_goes_on_where_it_stopped(
    biobank: Path, small_config: SynthConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = {"simulate_chromosome": 22, "weigh_chromosome": 22, "write_scorefiles": 1, "live_shard": 3}
    calls = dict.fromkeys(shards, 0)
    for step, stop_at in zip(shards, (3, 2, 1, 2), strict=True):
        _stop_once(monkeypatch, step, stop_at, calls)
        with pytest.raises(KeyboardInterrupt, match=step):
            synth(tmp_path / "out", config=small_config, workers=1)
        assert not (tmp_path / "out").exists()
    synth(tmp_path / "out", config=small_config, workers=1)
    assert hash_input(tmp_path / "out") == hash_input(biobank)
    assert calls == {step: number + 1 for step, number in shards.items()}  # only what was cut off came twice


def _stop_once(monkeypatch: pytest.MonkeyPatch, step: str, at: int, calls: dict[str, int]) -> None:
    real = getattr(stage, step)

    def stopping(*args: object) -> object:
        calls[step] += 1
        if calls[step] == at:
            raise KeyboardInterrupt(step)
        return real(*args)

    monkeypatch.setattr(stage, step, stopping)


def test_a_finished_biobank_is_left_alone(biobank: Path, small_config: SynthConfig) -> None:
    before = (biobank / "manifest.json").stat().st_mtime_ns
    synth(biobank, config=small_config)
    assert (biobank / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match=r"other settings.*seed 3, now 5"):
        synth(biobank, config=small_config.model_copy(update={"seed": 5}))


def test_the_manifest_counts_what_was_written(biobank: Path, small_config: SynthConfig) -> None:
    counts = read_manifest(biobank)["counts"]
    assert counts["num_person"] == small_config.subjects
    assert counts["num_genotyped"] == small_config.subjects - round(0.03 * small_config.subjects)
    assert counts["num_scores"] == len(list((biobank / "scorefiles").glob("*.txt.gz"))) == small_config.scores
    assert counts["num_measurement"] == pl.read_parquet(biobank / "omop" / "measurement.parquet").height


def test_every_code_of_the_task_is_a_concept(biobank: Path) -> None:
    task = yaml.safe_load((biobank / "task.yaml").read_text())
    concept = pl.read_parquet(biobank / "omop" / "concept.parquet")
    known = set((concept["vocabulary_id"] + "//" + concept["concept_code"]).to_list())
    codes = [code for outcome in task["outcomes"].values() for code in outcome["codes"]]
    assert tuple(task["outcomes"]) == DISEASE_NAMES
    assert len(set(codes)) == len(codes) > len(DISEASE_NAMES)
    assert set(codes) <= known
    assert task["prediction"] == {"years_after_entry": 2}


def test_true_risks_are_for_those_at_risk_at_the_task_time(biobank: Path) -> None:
    risk = schema.RISK.read(biobank / "truth" / "risk.parquet")
    period = pl.read_parquet(biobank / "omop" / "observation_period.parquet")
    entry = dict(
        zip(period["person_id"], period["observation_period_start_date"].cast(pl.Datetime("us")), strict=True)
    )
    exits = dict(zip(period["person_id"], period["observation_period_end_date"], strict=True))
    assert risk["model"].unique().to_list() == ["oracle"]
    for subject, time in risk.select("subject_id", "prediction_time").unique().rows():
        assert time == entry[subject] + timedelta(days=2 * DAYS_PER_YEAR)
        assert time.date() <= exits[subject]
    events = pl.read_parquet(biobank / "truth" / "onsets.parquet").select("subject_id", "disease", "recorded")
    joined = risk.join(events, left_on=["subject_id", "outcome"], right_on=["subject_id", "disease"])
    assert (joined["recorded"].fill_null(date(2100, 1, 1)) > joined["prediction_time"]).all()


def test_labels_of_the_records_join_the_oracle_one_to_one(biobank: Path, tmp_path: Path) -> None:
    ehr(biobank / "omop", tmp_path / "meds", kinship=biobank / "kinship.tsv", workers=1)
    labels = make_labels(tmp_path / "meds", load_task(biobank / "task.yaml"))
    risk = schema.RISK.read(biobank / "truth" / "risk.parquet")
    keys = ["subject_id", "prediction_time", "outcome"]
    assert_frame_equal(risk.select(keys).unique().sort(keys), labels.select(keys).sort(keys))


def test_relatives_of_the_kinship_table_are_subjects(biobank: Path) -> None:
    pairs = pl.read_csv(biobank / "kinship.tsv", separator="\t")
    known = pl.read_parquet(biobank / "omop" / "person.parquet")["person_id"].implode()
    assert pairs.height
    assert pairs.select(pl.col("subject_id_1", "subject_id_2").is_in(known).all()).row(0) == (True, True)
    assert pairs["kinship"].is_between(0.0442, 0.25).all()


def test_true_risks_rise_with_the_horizon_and_carry_their_error(biobank: Path) -> None:
    risk = schema.RISK.read(biobank / "truth" / "risk.parquet")
    wide = risk.pivot("horizon_years", index=["subject_id", "outcome"], values="risk")
    assert wide.null_count().sum_horizontal().item() == 0
    assert (wide["1.0"] <= wide["5.0"]).all()
    assert (wide["5.0"] <= wide["10.0"]).all()
    assert 0 < risk["standard_error"].mean() < 0.02
    assert (risk["unresolved"] == 0).all()


def test_truth_names_every_subject_and_trait(biobank: Path, small_config: SynthConfig) -> None:
    liabilities = pl.read_parquet(biobank / "truth" / "liabilities.parquet")
    assert liabilities.height == small_config.subjects * len(TRAIT_NAMES)
    assert set(liabilities["trait"]) == set(TRAIT_NAMES)
    assert_frame_equal(
        liabilities.select("subject_id").unique().sort("subject_id"),
        pl.read_parquet(biobank / "omop" / "person.parquet")
        .select(subject_id="person_id")
        .sort("subject_id"),
    )


def test_without_msprime_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real_import = builtins.__import__

    def no_msprime(name: str, *args: object, **kwargs: object) -> object:
        if name == "msprime":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_msprime)
    with pytest.raises(ConfigError, match=r"pip install 'proband\[synth\]'"):
        synth(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == []
