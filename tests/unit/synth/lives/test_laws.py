from __future__ import annotations

import shutil
import typing
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.files.jsonfiles import read_object, write_json
from proband.synth.config import ADDITIVE, SynthConfig
from proband.synth.lives.calibrate import recentred
from proband.synth.lives.law import read_calibration, table_law
from proband.synth.lives.laws import LAWS
from proband.synth.lives.lifecourse import Course
from proband.synth.lives.state import healthy
from proband.synth.oracle import oracle
from proband.synth.traits import ADULT_AGE, BIOMARKER_NAMES, DISEASE_NAMES
from synthetic_lives import average_people, shard_lives, write_biobank

T2D, COPD, GLAUCOMA, DEATH = (
    *(DISEASE_NAMES.index(name) for name in ("type_2_diabetes", "copd", "glaucoma")), len(DISEASE_NAMES),
)  # fmt: skip
AGE = 58.0


def hazards(law, people):
    """Hazards of people at 58, years and step of whom are one."""
    count = len(people.male)
    course = Course(law, people, healthy(count))
    step = np.full(count, int((AGE - ADULT_AGE) / law.step_years))
    return course.hazards(step, np.full(count, AGE)).onset


def ratio(name, **changed):
    """Hazards of a changed average person over those of an unchanged one, less what the table's law does."""
    people = average_people(2)
    for field, row in changed.items():
        values = np.array(getattr(people, field), dtype=float)
        values[1] = row
        people = replace(people, **{field: values})
    by_law = [hazards(replace(table_law(), term=LAWS[one]), people) for one in (name, ADDITIVE)]
    with np.errstate(invalid="ignore"):  # prostate cancer of women
        return np.nan_to_num(by_law[0][1] / by_law[1][1] / (by_law[0][0] / by_law[1][0]), nan=1.0)


def markers(**levels):
    row = np.zeros(len(BIOMARKER_NAMES))
    for name, level in levels.items():
        row[BIOMARKER_NAMES.index(name)] = level
    return row


def test_a_biomarker_beyond_its_threshold_doubles_the_hazard():
    beyond, short = (ratio("thresholds", stable=markers(hba1c=level)) for level in (1.1, 0.9))
    assert beyond[T2D] == pytest.approx(2, rel=1e-4)
    assert beyond[[COPD, GLAUCOMA, DEATH]] == pytest.approx(1, rel=1e-4)
    assert short == pytest.approx(1, rel=1e-4)
    low, high = (ratio("thresholds", stable=markers(bone_mineral_density=level)) for level in (-1.1, 1.1))
    bones = DISEASE_NAMES.index("osteoporosis")
    assert (low[bones], high[bones]) == pytest.approx((2, 1), rel=1e-4)


def test_genes_count_more_in_current_smokers_alone():
    genetic = np.zeros(len(DISEASE_NAMES))
    genetic[[COPD, GLAUCOMA]] = 2
    smokes, quit_before = (ratio("interactions", genetic=genetic, quit_age=age) for age in (80.0, 50.0))
    assert smokes[COPD] == pytest.approx(np.exp(0.7), rel=1e-4)
    assert smokes[[T2D, GLAUCOMA, DEATH]] == pytest.approx(1, rel=1e-4)
    assert quit_before == pytest.approx(1, rel=1e-4)


def test_hazards_drift_with_the_year_and_stop_at_both_ends():
    born = 2005 - AGE
    people = replace(average_people(4), birth_year=np.array([born, born + 10, born - 40, np.nan]))
    with np.errstate(invalid="ignore"):
        found = hazards(replace(table_law(), term=LAWS["calendar"]), people) / hazards(table_law(), people)
    found = np.nan_to_num(found, nan=1.0)
    assert found[0, [T2D, COPD, GLAUCOMA, DEATH]] == pytest.approx([1 / 1.5, 1 / 0.7, 1, 1 / 0.85], rel=1e-4)
    assert found[[1, 3]] == pytest.approx(1, rel=1e-4)
    assert found[2, T2D] == pytest.approx(1.5**-2, rel=1e-4)


def test_the_option_names_the_laws():
    assert typing.get_args(SynthConfig.model_fields["law"].annotation) == tuple(LAWS)


def test_stored_baselines_are_those_found_anew_from_few_people():
    found = (recentred("thresholds", 1500, seed=1) - read_calibration())[:, :40, T2D]
    table, own = (table_law(0.25, name).log_rate[:, : 4 * 40, T2D] for name in (ADDITIVE, "thresholds"))
    stored = table - own
    assert stored.mean() == pytest.approx(found.mean(), abs=0.04)
    assert stored.mean() > 0.15


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("thresholds")
    config = SynthConfig(subjects=100, seed=3, truth_replicates=20, law="thresholds")
    law = table_law(0.25, "thresholds")
    write_biobank(out, [shard_lives(law, 100, config)], law, config)
    return out


def test_the_oracle_lives_on_by_the_law_of_the_biobank(lived, tmp_path):
    stored = pl.read_parquet(lived / "truth" / "risk.parquet")
    times = stored.select("subject_id", "prediction_time").unique()
    shutil.copytree(lived / "truth", tmp_path / "truth")
    law = read_object(lived / "truth" / "law.json", ["traits", "law"])
    write_json(tmp_path / "truth" / "law.json", {name: law[name] for name in law if name != "law"})
    distance = []
    for biobank in (lived, tmp_path):
        found = oracle(biobank, times, (10,), replicates=20, seed=1)
        both = stored.join(found, on=["subject_id", "prediction_time", "outcome", "horizon_years", "model"])
        error = (both["standard_error"] ** 2 + both["standard_error_right"] ** 2).sqrt()
        known = both.with_columns(z=(both["risk"] - both["risk_right"]) / error).filter(error > 1e-4)
        distance.append(known["z"].std())
    assert distance[0] == pytest.approx(1, abs=0.3)
    assert distance[1] > 1.2 * distance[0]


def test_a_law_that_is_unknown_is_refused(lived, tmp_path):
    law = read_object(lived / "truth" / "law.json", ["traits"])
    assert law["law"] == "thresholds"
    (tmp_path / "truth").mkdir()
    write_json(tmp_path / "truth" / "law.json", law | {"law": "chaos"})
    times = pl.read_parquet(lived / "truth" / "risk.parquet").select("subject_id", "prediction_time")
    with pytest.raises(
        DataError, match=r"lived by an unknown law; in .*law.json; found chaos; expected addit"
    ):
        oracle(tmp_path, times, (10,))
