"""The truth as files: one set of Parquet files per shard, joined at the end.

``subjects``, ``people``, ``liabilities`` and ``events`` hold everything latent but the drift, which
:mod:`proband.synth.lives.output.replay` draws again: together the whole state of every life at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int64

from proband.core import schema
from proband.core.files.jsonfiles import write_json
from proband.core.files.tables import join_parquet
from proband.core.seeds import generator
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.config import ADDITIVE, SynthConfig
from proband.synth.genomes.polygenic.liability import liabilities
from proband.synth.lives.law import Law
from proband.synth.lives.lives import EVENTS, NEVER, Lives
from proband.synth.lives.output.begun import already_begun, join_already_begun
from proband.synth.lives.output.replay import enter_lives
from proband.synth.lives.output.truth import risk_table, true_risks
from proband.synth.traits import DISEASE_NAMES, TRAIT_NAMES, TREATMENT_NAMES, table_hash

TRUTH_TABLES = (
    "subjects",
    "people",
    "liabilities",
    "events",
    "onsets",
    "risk",
    "onset_risk",
    "hazards",
)
ALREADY_BEGUN = "already_begun"
"""A table of counts: shards are added up, not joined."""
LAW_FILE = "law.json"
RECORDED_MODEL, ONSET_MODEL = "oracle", "oracle_onset"
"""Models of the true risks: of the diagnosis recorded first, and of latent onset."""


@dataclass(frozen=True)
class ShardSubjects:
    """Who a shard holds, in the order of its arrays, and what their genomes give them."""

    subject_id: Int64[np.ndarray, " subjects"]
    population: np.ndarray
    family: Int64[np.ndarray, " subjects"]
    genetic: Float[np.ndarray, "subjects traits"]
    unobserved: Float[np.ndarray, "subjects traits"]


def write_truth(
    folder: Path, shard: int, subjects: ShardSubjects, lives: Lives, law: Law, config: SynthConfig
) -> dict[str, int]:
    """Write a shard's truth, one Parquet file per table of :data:`TRUTH_TABLES`, and :data:`ALREADY_BEGUN`.

    Args:
        folder: Where; it exists.
        shard: Number of the shard, as it was given to ``live``.
        subjects: Who, in the order of ``lives``.
        lives: Their lives.
        law: The law they were lived by.
        config: Landmark, horizons, replicates, seed.

    Returns:
        Rows written, by table.
    """
    at_landmark, begun = _at_landmark(subjects, lives, law, config, shard)
    frames = {
        "subjects": _subjects(subjects, lives, shard),
        "people": _people(subjects, lives),
        "liabilities": _liabilities(subjects),
        "events": _events(subjects, lives),
        "onsets": _onsets(subjects, lives),
        **at_landmark,
        ALREADY_BEGUN: begun,
    }
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd")
    return {name: frame.height for name, frame in frames.items()}


def join_truth(folders: Sequence[Path], out: Path, config: SynthConfig) -> None:
    """Join shards' tables, in their order, into one file each, and note the law they were lived by."""
    out.mkdir(parents=True, exist_ok=True)
    for name in TRUTH_TABLES:
        join_parquet([folder / f"{name}.parquet" for folder in folders], out / f"{name}.parquet")
    begun = [pl.read_parquet(folder / f"{ALREADY_BEGUN}.parquet") for folder in folders]
    join_already_begun(begun).write_parquet(out / f"{ALREADY_BEGUN}.parquet", compression="zstd")
    law = {"traits": table_hash(), "seed": config.seed, "step_years": config.step_years}
    law |= {} if config.law == ADDITIVE else {"law": config.law}
    write_json(out / LAW_FILE, law | {"end": config.end.isoformat()})


def _subjects(subjects: ShardSubjects, lives: Lives, shard: int) -> pl.DataFrame:
    people, count = lives.people, len(lives.birth)
    times = {name: _times(getattr(lives, name)) for name in ("birth", "record_start", "entry", "exit")}
    return pl.DataFrame(
        {
            "subject_id": subjects.subject_id,
            "shard": pl.Series(np.full(count, shard), dtype=pl.Int32),
            "population": subjects.population,
            "family": subjects.family,
            "male": people.male,
            "deprivation": people.deprivation,
            "quit_age": people.quit_age,
            **times,
            "life_round": lives.life[:, 0],
            "life_copy": lives.life[:, 1],
        }
    )


def _times(values: Int64[np.ndarray, " rows"]) -> pl.Series:
    """Calendar times; null for never."""
    known = values != NEVER
    return pl.Series(np.where(known, values, 0)).set(pl.Series(~known), None).cast(schema.TIME)


def _people(subjects: ShardSubjects, lives: Lives) -> pl.DataFrame:
    missed = {f"missed_{name}": lives.people.missed[:, k] for k, name in enumerate(DISEASE_NAMES)}
    willing = {f"willing_{name}": lives.people.willing[:, k] for k, name in enumerate(TREATMENT_NAMES)}
    return pl.DataFrame({"subject_id": subjects.subject_id, **missed, **willing})


def _liabilities(subjects: ShardSubjects) -> pl.DataFrame:
    traits = liabilities(subjects.genetic, subjects.unobserved)
    subject, trait = (index.ravel() for index in np.indices(traits.shape))
    return pl.DataFrame(
        {
            "subject_id": subjects.subject_id[subject],
            "trait": np.array(TRAIT_NAMES)[trait],
            "liability": traits.ravel(),
            "genetic": subjects.genetic.ravel(),
            "unobserved": subjects.unobserved.ravel(),
        }
    )


def _events(subjects: ShardSubjects, lives: Lives) -> pl.DataFrame:
    """Exact ages at all events, also those after follow-up."""
    parts = []
    for event in EVENTS:
        ages = getattr(lives.state, event)
        names = DISEASE_NAMES if event in ("onset", "recorded") else TREATMENT_NAMES
        subject, kind = np.nonzero(np.isfinite(ages))
        parts.append((event, np.array(names)[kind], subject, ages[subject, kind]))
    dead = np.flatnonzero(np.isfinite(lives.state.death))
    parts.append(("death", np.full(len(dead), "death"), dead, lives.state.death[dead]))
    frames = [
        pl.DataFrame({"subject_id": subjects.subject_id[rows], "name": names, "age_years": ages}).select(
            "subject_id", pl.lit(event).alias("event"), "name", "age_years"
        )
        for event, names, rows, ages in parts
    ]
    return pl.concat(frames).sort("subject_id", "age_years", "event", "name")


def _onsets(subjects: ShardSubjects, lives: Lives) -> pl.DataFrame:
    subject, disease = np.nonzero(lives.onset < NEVER)
    onset = lives.onset[subject, disease]
    return pl.DataFrame(
        {
            "subject_id": subjects.subject_id[subject],
            "disease": np.array(DISEASE_NAMES)[disease],
            "time": _times(onset),
            "age_years": (onset - lives.birth[subject]) / MICROSECONDS_PER_YEAR,
            "in_follow_up": (onset >= lives.entry[subject]) & (onset <= lives.exit[subject]),
            "recorded": _times(lives.recorded[subject, disease]),
        }
    )


def _at_landmark(
    subjects: ShardSubjects, lives: Lives, law: Law, config: SynthConfig, shard: int
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """True risks and hazards at the landmark of everyone in follow-up there; cases begun by then."""
    time = lives.entry + config.landmark_years * MICROSECONDS_PER_YEAR
    row = np.flatnonzero(lives.exit > time)
    time = time[row]
    at = enter_lives(law, lives, config, shard, row, time)
    random = generator(config.seed, "synth", "truth", shard)
    risks = true_risks(law, at, config.horizons_years, config.truth_replicates, random)
    ids, times = subjects.subject_id[row], _times(time)
    had, known = (happened[row] <= time[:, None] for happened in (lives.onset, lives.recorded))
    tables = {
        "risk": (known, risks.recorded, risks.recorded_error, RECORDED_MODEL),
        "onset_risk": (had, risks.onset, risks.onset_error, ONSET_MODEL),
    }
    frames = {
        name: risk_table(ids, times, happened, risk, error, config.horizons_years, model)
        for name, (happened, risk, error, model) in tables.items()
    }
    subject, disease = (index.ravel() for index in np.indices(known.shape))
    frames["hazards"] = pl.DataFrame(
        {
            "subject_id": ids[subject],
            "prediction_time": times.gather(subject),
            "outcome": np.array(DISEASE_NAMES)[disease],
            "onset_per_year": risks.hazards[0].ravel(),
            "recorded_per_year": risks.hazards[1].ravel(),
        }
    )
    begun = already_begun(
        lives.state.onset[row], lives.state.recorded[row], lives.age(row, time), config.horizons_years
    )
    return frames, begun
