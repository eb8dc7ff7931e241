from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core import schema
from proband.core.errors import ConfigError, DataError
from proband.core.files.jsonfiles import write_json
from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.lives.law import table_law
from proband.synth.lives.output.truth import true_risks
from proband.synth.oracle import oracle, replayed
from proband.synth.traits import DISEASE_NAMES
from synthetic_lives import shard_lives, write_biobank


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lived")
    law = table_law()
    config = SynthConfig(subjects=200, seed=8, truth_replicates=40)
    write_biobank(out, [shard_lives(law, 100, config, shard) for shard in (0, 1)], law, config)
    return out


def landmarks(biobank: Path, name: str = "risk") -> tuple[pl.DataFrame, pl.DataFrame]:
    stored = pl.read_parquet(biobank / "truth" / f"{name}.parquet")
    return stored, stored.select("subject_id", "prediction_time").unique()


@pytest.mark.parametrize(("name", "latent"), [("risk", False), ("onset_risk", True)])
def test_at_the_landmark_it_is_the_stored_truth(lived: Path, name: str, latent: bool) -> None:
    stored, times = landmarks(lived, name)
    found = oracle(lived, times, (1, 5, 10), replicates=40, seed=1, latent=latent)
    schema.RISK.check(found, "oracle")
    both = stored.join(found, on=["subject_id", "prediction_time", "outcome", "horizon_years", "model"])
    assert both.height == stored.height == found.height
    error = (both["standard_error"] ** 2 + both["standard_error_right"] ** 2).sqrt()
    known = both.filter(error > 1e-4)
    z = ((known["risk"] - known["risk_right"]) / error.filter(error > 1e-4)).to_numpy()
    assert abs(z.mean()) < 0.1
    # Means of 40 skewed futures: tails are heavier than normal ones.
    assert z.std() == pytest.approx(1, abs=0.2)


def test_a_subject_may_have_several_times_in_any_order(lived: Path) -> None:
    _, times = landmarks(lived)
    later = times.with_columns(pl.col("prediction_time") - timedelta(days=200))
    both = pl.concat([later, times]).sample(fraction=1, shuffle=True, seed=1)
    found = oracle(lived, both, (1,), replicates=4)
    again = oracle(lived, both.reverse(), (1,), replicates=4)
    assert found.equals(again)
    asked = both.join(found, on=["subject_id", "prediction_time"], how="anti")
    assert asked.height == 0


def test_replayed_lives_are_those_of_the_oracle(lived: Path) -> None:
    stored, times = landmarks(lived)
    found = replayed(lived, times)
    assert len(found.at.age) == found.asked.height == times.height
    risks = true_risks(found.law, found.at, (5.0,), 40, generator(3, "test"))
    known = {row: at for at, row in enumerate(found.asked.iter_rows())}
    rows = stored.filter(horizon_years=5.0)
    at = [known[pair] for pair in rows.select("subject_id", "prediction_time").iter_rows()]
    own = risks.recorded[at, [DISEASE_NAMES.index(name) for name in rows["outcome"]], 0]
    assert own.mean() == pytest.approx(rows["risk"].mean(), rel=0.03)
    assert np.corrcoef(own, rows["risk"].to_numpy())[0, 1] > 0.9


def test_a_genome_of_more_risk_lives_a_life_of_more_risk(lived: Path) -> None:
    _, times = landmarks(lived)
    found = replayed(lived, times.sort("subject_id").head(30))
    people = found.at.people
    worse = replace(found.at, people=replace(people, genetic=people.genetic + 1))
    risks = [true_risks(found.law, one, (5.0,), 10, generator(3, "x")).onset for one in (found.at, worse)]
    assert risks[1].mean() > 1.2 * risks[0].mean()


def test_risk_rises_with_the_horizon(lived: Path) -> None:
    _, times = landmarks(lived)
    found = oracle(lived, times.head(20), (0.5, 3.3, 8), replicates=10)
    wide = found.pivot(on="horizon_years", index=["subject_id", "outcome"], values="risk")
    assert (wide["3.3"] >= wide["0.5"]).all()
    assert (wide["8.0"] >= wide["3.3"]).all()


def test_who_is_not_known_or_not_alive_is_an_error(lived: Path) -> None:
    _, times = landmarks(lived)
    stranger = times.with_columns(pl.lit(5, pl.Int64).alias("subject_id"))
    with pytest.raises(DataError, match=r"unknown subjects.*first subject_id = 5"):
        oracle(lived, stranger, (1,))
    late = times.with_columns(pl.col("prediction_time") + timedelta(days=9000))
    with pytest.raises(DataError, match=r"outside the lives simulated.*rows, first subject_id"):
        oracle(lived, late, (1,))
    with pytest.raises(
        DataError, match=r"no column prediction_time.*expected subject_id and prediction_time"
    ):
        oracle(lived, times.drop("prediction_time"), (1,))
    with pytest.raises(DataError, match="no questions"):
        oracle(lived, times.clear(), (1,))


def test_options_that_make_no_sense_are_errors(lived: Path) -> None:
    _, times = landmarks(lived)
    with pytest.raises(ConfigError, match="not increasing"):
        oracle(lived, times, (5, 1))
    for longest in (151.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match=r"horizons_years (too long; .*at most 150|are not increasing)"):
            oracle(lived, times, (1, longest))
    with pytest.raises(ConfigError, match="too few replicates"):
        oracle(lived, times, (1,), replicates=1)


def test_a_folder_without_truth_or_of_another_law_is_refused(lived: Path, tmp_path: Path) -> None:
    _, times = landmarks(lived)
    with pytest.raises(DataError, match="no truth of a synthetic biobank"):
        oracle(tmp_path, times, (1,))
    shutil.copytree(lived / "truth", tmp_path / "truth")
    law = json.loads((tmp_path / "truth" / "law.json").read_text())
    write_json(tmp_path / "truth" / "law.json", law | {"traits": "another"})
    with pytest.raises(DataError, match="lived by another table of traits"):
        oracle(tmp_path, times, (1,))


def test_the_future_does_not_reach_back(lived: Path, tmp_path: Path) -> None:
    """Events after the prediction time, whatever they are, change no risk."""
    _, times = landmarks(lived)
    shutil.copytree(lived / "truth", tmp_path / "truth")
    births = pl.read_parquet(lived / "truth" / "subjects.parquet").select("subject_id", "birth")
    events = pl.read_parquet(lived / "truth" / "events.parquet").join(births, on="subject_id")
    events = events.join(times, on="subject_id", how="left")
    days = (pl.col("prediction_time") - pl.col("birth")).dt.total_days() / 365.25
    kept = events.filter(pl.col("prediction_time").is_null() | (pl.col("age_years") <= days))
    assert kept.height < events.height
    kept.select("subject_id", "event", "name", "age_years").write_parquet(
        tmp_path / "truth" / "events.parquet"
    )
    found = [oracle(folder, times, (1, 5), replicates=4) for folder in (lived, tmp_path)]
    assert found[0].equals(found[1])


def test_horizons_beyond_the_oldest_age_end(lived: Path) -> None:
    """Hazards of the last age hold on: risks of 80 years are no less than those of 30, and below 1."""
    _, times = landmarks(lived)
    found = oracle(lived, times.head(20), (30, 80), replicates=4)
    wide = found.pivot("horizon_years", index=["subject_id", "outcome"], values="risk")
    assert wide.height > 20
    assert (wide["80.0"] >= wide["30.0"] - 1e-6).all()
    assert wide["80.0"].max() <= 1  # type: ignore[operator]
