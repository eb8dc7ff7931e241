from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from proband.core import schema
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.config import SynthConfig
from proband.synth.lives.law import Law
from proband.synth.lives.lives import NEVER, Lives
from proband.synth.lives.output.files import TRUTH_TABLES, write_truth
from proband.synth.traits import DISEASE_NAMES
from synthetic_lives import shard_subjects


def table(biobank: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(biobank / "truth" / f"{name}.parquet")


def test_both_risk_tables_hold_who_is_in_follow_up_and_free(
    lived: Path, lives: Lives, config: SynthConfig
) -> None:
    time = lives.entry + config.landmark_years * MICROSECONDS_PER_YEAR
    for name, model, happened in (
        ("risk", "oracle", lives.recorded),
        ("onset_risk", "oracle_onset", lives.onset),
    ):
        risk = table(lived, name)
        schema.RISK.check(risk, name)
        assert risk["model"].unique().to_list() == [model]
        free = (lives.exit > time)[:, None] & (happened > time[:, None])
        first_shard = risk.filter(pl.col("subject_id") <= 1150)
        assert first_shard.height == free.sum() * len(config.horizons_years)


def test_onsets_and_events_are_the_lives(lived: Path, lives: Lives) -> None:
    onsets = table(lived, "onsets").filter(pl.col("subject_id") <= 1150)
    assert onsets.height == (lives.onset < NEVER).sum()
    row = onsets.sample(1, seed=1).row(0, named=True)
    place = row["subject_id"] - 1001, DISEASE_NAMES.index(row["disease"])
    assert (
        onsets.filter(pl.col("recorded").is_null()).height
        == ((lives.onset < NEVER) & (lives.recorded == NEVER)).sum()
    )
    events = table(lived, "events").filter(pl.col("subject_id") == row["subject_id"])
    exact = events.filter((pl.col("event") == "onset") & (pl.col("name") == row["disease"]))[
        "age_years"
    ].item()
    assert exact == lives.state.onset[place]
    assert 0 <= exact - row["age_years"] < 1 / 525_960 + 1e-9


def test_hazards_at_the_landmark_agree_with_the_one_year_risk(lived: Path) -> None:
    joined = table(lived, "hazards").join(
        table(lived, "onset_risk").filter(pl.col("horizon_years") == 1),
        on=["subject_id", "prediction_time", "outcome"],
    )
    # A year's risk is near the hazard, a little less by death and a little more by ageing.
    ratio = joined["risk"].sum() / joined["onset_per_year"].sum()
    assert 0.9 < ratio < 1.1
    had = table(lived, "hazards").filter(pl.col("onset_per_year") == 0)
    assert had.height > 0


def test_a_shard_written_again_is_the_same_byte_for_byte(
    tmp_path: Path, law: Law, lives: Lives, config: SynthConfig
) -> None:
    contents = []
    for name in ("first", "again"):
        folder = tmp_path / name
        folder.mkdir()
        counts = write_truth(folder, 0, shard_subjects(lives), lives, law, config)
        contents.append([(folder / f"{table}.parquet").read_bytes() for table in TRUTH_TABLES])
    assert contents[0] == contents[1]
    assert counts["subjects"] == len(lives.birth)


def test_people_and_subjects_hold_what_stays(lived: Path, lives: Lives) -> None:
    subjects = table(lived, "subjects")
    assert subjects["shard"].to_list() == [0] * 150 + [1] * 150
    np.testing.assert_array_equal(subjects["quit_age"][:150], lives.people.quit_age)
    people = table(lived, "people")
    np.testing.assert_array_equal(
        people["missed_gout"][:150], lives.people.missed[:, DISEASE_NAMES.index("gout")]
    )
    assert people.width == 1 + lives.people.missed.shape[1] + lives.people.willing.shape[1]
