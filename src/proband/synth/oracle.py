"""The oracle: true risks of a synthetic biobank's subjects at any prediction times.

Reads ``truth/`` of a biobank. Each shard's drift is drawn again from its stream and joined with the stored
events; the state at each time is entered and lived forward many times over by the law it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from proband.core import schema
from proband.core.errors import ConfigError, DataError
from proband.core.files.provenance import is_finished, stage_output
from proband.core.files.tables import read_parquet
from proband.core.running.progress import track
from proband.core.seeds import generator
from proband.core.text.predictiontimes import prediction_times_of
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.config import ADDITIVE, OracleConfig
from proband.synth.lives.law import Law, table_law
from proband.synth.lives.lives import calendar
from proband.synth.lives.output.begun import already_begun, join_already_begun
from proband.synth.lives.output.files import ALREADY_BEGUN, ONSET_MODEL, RECORDED_MODEL
from proband.synth.lives.output.read import Shard, read_law, row_of
from proband.synth.lives.output.replay import moments_of
from proband.synth.lives.output.truth import Moments, joined, risk_table, true_risks
from proband.synth.traits import ADULT_AGE


def oracle(
    biobank: Path,
    times: pl.DataFrame,
    horizons_years: Sequence[int | float],
    *,
    replicates: int = 100,
    seed: int = 0,
    latent: bool = False,
) -> pl.DataFrame:
    """True risks at any prediction times, given everything latent then.

    Args:
        biobank: A biobank of ``proband synth``; its ``truth/`` is read.
        times: subject_id and prediction_time, a row per question; a subject may come several times.
        horizons_years: Horizons, increasing.
        replicates: Futures behind each risk, at least 2.
        seed: Seed of the futures.
        latent: Risk of onset itself instead of the first record of the diagnosis.

    Returns:
        ``core.schema.RISK`` with model ``oracle`` or ``oracle_onset``, for the diseases not recorded (with
        ``latent``: not begun) by the prediction time.

    Raises:
        DataError: No questions, no truth, truth of another table of traits, an unknown subject, or a time
            outside the life simulated: before 18, at or after death, or after the administrative end.
        ConfigError: The horizons do not increase, or there are too few replicates.
    """
    horizons = tuple(float(horizon) for horizon in horizons_years)
    _check_options(horizons, replicates)
    truth = biobank / "truth"
    law_file = read_law(truth)
    law = table_law(law_file["step_years"], law_file.get("law", ADDITIVE))
    asked = _asked(truth, times)
    frames = [
        _of_shard(
            Shard.read(truth, rows["shard"][0], law_file), law, rows, horizons, replicates, seed, latent
        )
        for rows in track(asked.partition_by("shard", maintain_order=True), "Shards")
    ]
    return schema.RISK.check(pl.concat(frames), "the oracle's risks")


@dataclass(frozen=True)
class Replayed:
    """Lives entered at prediction times, to be lived on by their law.

    Attributes:
        asked: subject_id and prediction_time, a row per moment.
        law: The law.
        at: The lives.
    """

    asked: pl.DataFrame
    law: Law
    at: Moments


def replayed(biobank: Path, times: pl.DataFrame) -> Replayed:
    """The latent state of subjects at prediction times, for whoever changes it and asks for the risks then.

    Args:
        biobank: As for :func:`oracle`, with the same errors.
        times: See there.
    """
    truth = biobank / "truth"
    law_file = read_law(truth)
    law = table_law(law_file["step_years"], law_file.get("law", ADDITIVE))
    parts = _asked(truth, times).partition_by("shard", maintain_order=True)
    found = [_moments(Shard.read(truth, rows["shard"][0], law_file), law, rows) for rows in parts]
    return Replayed(pl.concat(parts).drop("shard"), law, joined(found))


def already_begun_at(
    biobank: Path, times: pl.DataFrame, horizons_years: Sequence[int | float]
) -> pl.DataFrame:
    """Later cases begun, but unrecorded, by the prediction times (:mod:`proband.synth.lives.output.begun`).

    Args:
        biobank: As for :func:`oracle`, like the next two, with the same errors.
        times: See there.
        horizons_years: See there.
    """
    horizons = tuple(float(horizon) for horizon in horizons_years)
    _check_options(horizons, 2)
    truth = biobank / "truth"
    law_file = read_law(truth)
    parts = []
    for rows in _asked(truth, times).partition_by("shard", maintain_order=True):
        shard = Shard.read(truth, rows["shard"][0], law_file)
        row, _, age = _places(shard, rows)
        parts.append(already_begun(shard.events.onset[row], shard.events.recorded[row], age, horizons))
    return join_already_begun(parts)


def _check_options(horizons: tuple[float, ...], replicates: int) -> None:
    if not horizons or horizons[0] <= 0 or list(horizons) != sorted(set(horizons)):
        raise ConfigError("horizons_years are not increasing", found=horizons, expected="such as (1, 5, 10)")
    longest = schema.RISK.bounds["horizon_years"][1]
    if not horizons[-1] <= longest:
        raise ConfigError("horizons_years too long", found=horizons[-1], expected=f"at most {longest:g}")
    if replicates < 2:
        raise ConfigError("too few replicates for an error", found=replicates, expected="at least 2")


def _asked(truth: Path, times: pl.DataFrame) -> pl.DataFrame:
    """The questions with each subject's shard, once each, by shard."""
    if times.is_empty():
        raise DataError("no questions", found="times of no rows", expected="a subject and a prediction time")
    asked = prediction_times_of(times, "the prediction times")
    shards = pl.read_parquet(truth / "subjects.parquet", columns=["subject_id", "shard"])
    asked = asked.unique().join(shards, on="subject_id", how="left")
    unknown = asked.filter(pl.col("shard").is_null())
    if unknown.height:
        raise DataError(
            "unknown subjects",
            where=truth / "subjects.parquet",
            found=f"{unknown.height} rows, first subject_id = {unknown['subject_id'].sort()[0]}",
            expected="subjects of this biobank",
        )
    return asked.sort("shard", "subject_id", "prediction_time")


def oracle_stage(
    biobank: Path,
    times: Path,
    out: Path,
    *,
    config: OracleConfig | None = None,
    overwrite: bool = False,
) -> None:
    """Write :func:`oracle` of the times in a Parquet file as risk.parquet, a RiskTable like any model's.

    Beside it, already_begun.parquet is :func:`already_begun_at` of the same times.

    Args:
        biobank: As for :func:`oracle`.
        times: Parquet with subject_id and prediction_time.
        out: Output folder.
        config: Settings, as the arguments of :func:`oracle` of the same names.
        overwrite: Make the output anew.

    Raises:
        ConfigError: The horizons do not increase, or ``out`` is in use.
        DataError: As of :func:`oracle`.
    """
    config = config or OracleConfig()
    inputs = [biobank / "truth", times]
    if is_finished(out, "oracle", config, overwrite, inputs):
        return
    with stage_output(
        out, stage="oracle", config=config, inputs=inputs, seed=config.seed, overwrite=overwrite
    ) as run:
        asked = read_parquet(times)
        risk = oracle(biobank, asked, **config.model_dump())
        schema.RISK.write(risk, run.folder / "risk.parquet")
        begun = already_begun_at(biobank, asked, config.horizons_years)
        begun.write_parquet(run.folder / f"{ALREADY_BEGUN}.parquet", compression="zstd")
        run.counts["num_risks"] = risk.height


def _of_shard(
    shard: Shard,
    law: Law,
    asked: pl.DataFrame,
    horizons: tuple[float, ...],
    replicates: int,
    seed: int,
    latent: bool,
) -> pl.DataFrame:
    row, time, _ = _places(shard, asked)
    at = _moments(shard, law, asked)
    random = generator(seed, "synth", "oracle", shard.number)
    risks = true_risks(law, at, horizons, replicates, random)
    risk, error = (risks.onset, risks.onset_error) if latent else (risks.recorded, risks.recorded_error)
    ages = (shard.events.onset if latent else shard.events.recorded)[row]
    happened = calendar(shard.birth[row], ages) <= time[:, None]
    model = ONSET_MODEL if latent else RECORDED_MODEL
    ids, times = shard.subject_id[row], asked["prediction_time"]
    return risk_table(ids, times, happened, risk, error, horizons, model)


def _moments(shard: Shard, law: Law, asked: pl.DataFrame) -> Moments:
    row, _, age = _places(shard, asked)
    end_age = (shard.end - shard.birth) / MICROSECONDS_PER_YEAR
    names = (shard.seed, shard.number)
    return moments_of(law, shard.people, shard.events, shard.life, end_age, names, row, age)


def _places(shard: Shard, asked: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row in the shard, time in microseconds and age in years of each question."""
    row = row_of(pl.Series(shard.subject_id), asked)
    time = asked["prediction_time"].cast(pl.Int64).to_numpy()
    age = (time - shard.birth[row]) / MICROSECONDS_PER_YEAR
    _check_times(asked, (age < ADULT_AGE) | (time > shard.end) | (age >= shard.events.death[row]))
    return row, time, age


def _check_times(asked: pl.DataFrame, outside: np.ndarray) -> None:
    if outside.any():
        first = asked.filter(pl.Series(outside)).row(0, named=True)
        who = f"subject_id = {first['subject_id']} at {first['prediction_time']!s}"
        raise DataError(
            "prediction times outside the lives simulated",
            found=f"{outside.sum()} rows, first {who}",
            expected="from age 18, before death and by the end of the biobank",
        )
