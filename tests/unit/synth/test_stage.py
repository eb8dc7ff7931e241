from __future__ import annotations

import builtins
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from proband.core import schema
from proband.core.errors import ConfigError
from proband.core.provenance import hash_input, read_manifest
from proband.core.units import add_years
from proband.synth import SynthConfig, synth
from proband.synth.traits import DISEASE_NAMES, TRAIT_NAMES


def test_the_same_seed_gives_the_same_files_and_another_seed_does_not(
    biobank: Path, small_config: SynthConfig, tmp_path: Path
) -> None:
    synth(tmp_path / "again", config=small_config)
    assert hash_input(tmp_path / "again") == hash_input(biobank)
    other = small_config.model_copy(update={"seed": 4})
    synth(tmp_path / "other", config=other)
    for name in (
        "genotypes/biobank.pgen",
        "omop/person.parquet",
        "truth/risk.parquet",
        "omop/measurement.parquet",
    ):
        assert hash_input(tmp_path / "other" / name) != hash_input(biobank / name)


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
    codes = {code for outcome in task["outcomes"].values() for code in outcome["codes"]}
    assert tuple(task["outcomes"]) == DISEASE_NAMES
    assert len(codes) == len(DISEASE_NAMES)
    assert codes <= known
    assert task["prediction"] == {"years_after_entry": 2}


def test_true_risks_are_for_those_at_risk_at_the_task_time(biobank: Path) -> None:
    risk = schema.RISK.read(biobank / "truth" / "risk.parquet")
    period = pl.read_parquet(biobank / "omop" / "observation_period.parquet")
    entry = dict(
        zip(period["person_id"], period["observation_period_start_date"].cast(pl.Datetime("us")), strict=True)
    )
    exits = dict(zip(period["person_id"], period["observation_period_end_date"], strict=True))
    onsets = pl.read_parquet(biobank / "truth" / "onsets.parquet")
    onset = {(row[0], row[1]): row[2] for row in onsets.select("subject_id", "disease", "time").rows()}
    assert risk["model"].unique().to_list() == ["oracle"]
    for subject, time, outcome in risk.select("subject_id", "prediction_time", "outcome").unique().rows():
        assert time == add_years(entry[subject], 2.0)
        assert time.date() <= exits[subject]
        assert onset.get((subject, outcome), time.max) > time


def test_true_risks_rise_with_the_horizon_and_carry_their_error(biobank: Path) -> None:
    risk = schema.RISK.read(biobank / "truth" / "risk.parquet")
    wide = risk.pivot("horizon_years", index=["subject_id", "outcome"], values="risk")
    assert wide.null_count().sum_horizontal().item() == 0
    assert (wide["1.0"] <= wide["5.0"]).all()
    assert (wide["5.0"] <= wide["10.0"]).all()
    assert 0 < risk["standard_error"].mean() < 0.02
    assert (risk["risk"] > 0).all()
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
        synth(tmp_path / "out", subjects=20)
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == []
