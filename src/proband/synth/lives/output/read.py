"""A synthetic biobank's lives, read back from its ``truth/``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.files.jsonfiles import read_object
from proband.synth.config import ADDITIVE
from proband.synth.lives.law import NUM_MARKERS
from proband.synth.lives.laws import LAWS
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, calendar_year
from proband.synth.lives.output.files import LAW_FILE
from proband.synth.lives.people import People
from proband.synth.lives.state import State, healthy
from proband.synth.traits import DISEASE_NAMES, TRAIT_NAMES, TREATMENT_NAMES, table_hash


def read_law(truth: Path) -> dict[str, Any]:
    """What says by which law lives were lived, checked.

    Raises:
        DataError: There is none, or it is of another table of traits or an unknown law.
    """
    if not (truth / LAW_FILE).is_file():
        raise DataError(
            "no truth of a synthetic biobank",
            where=truth,
            expected=LAW_FILE,
            remedy="give the folder that proband synth made",
        )
    law_file: dict[str, Any] = read_object(truth / LAW_FILE, ["traits", "step_years"])
    if law_file["traits"] != table_hash():
        raise DataError(
            "this biobank was lived by another table of traits",
            where=truth / LAW_FILE,
            found=law_file["traits"],
            expected=table_hash(),
            remedy="make the biobank anew, or use the version in its manifest",
        )
    if (name := law_file.get("law", ADDITIVE)) not in LAWS:
        raise DataError(
            "this biobank was lived by an unknown law",
            where=truth / LAW_FILE,
            found=name,
            expected=", ".join(LAWS),
            remedy="use the version in its manifest",
        )
    return law_file


@dataclass(frozen=True)
class Shard:
    """A shard's lives as ``truth/`` holds them."""

    number: int
    seed: int
    subject_id: np.ndarray
    birth: np.ndarray
    end: int
    people: People
    events: State
    life: np.ndarray

    @staticmethod
    def read(truth: Path, number: int, law_file: dict[str, Any]) -> Shard:
        """Read one shard's subjects, in the order of their arrays."""
        subjects = pl.read_parquet(truth / "subjects.parquet").filter(pl.col("shard") == number)
        ids = subjects["subject_id"]
        end = np.datetime64(date.fromisoformat(law_file["end"]), "D").astype(np.int64)
        return Shard(
            number=number,
            seed=law_file["seed"],
            subject_id=ids.to_numpy(),
            birth=subjects["birth"].cast(pl.Int64).to_numpy(),
            end=int(end) * MICROSECONDS_PER_DAY,
            people=_people(truth, subjects),
            events=_events(truth, ids),
            life=subjects.select("life_round", "life_copy").to_numpy(),
        )


def _people(truth: Path, subjects: pl.DataFrame) -> People:
    ids = subjects["subject_id"]
    wanted = pl.col("subject_id").is_in(ids.implode())
    traits = pl.scan_parquet(truth / "liabilities.parquet").filter(wanted).collect()
    liability, genetic, unobserved = (
        subjects.select("subject_id").join(
            traits.pivot(on="trait", index="subject_id", values=values),
            on="subject_id",
            how="left",
            maintain_order="left",
        )
        for values in ("liability", "genetic", "unobserved")
    )
    flags = pl.scan_parquet(truth / "people.parquet").filter(wanted).collect()
    flags = subjects.select("subject_id").join(flags, on="subject_id", how="left", maintain_order="left")
    return People(
        male=subjects["male"].to_numpy(),
        genetic=genetic.select(DISEASE_NAMES).to_numpy(),
        unobserved=unobserved.select(DISEASE_NAMES).to_numpy(),
        stable=liability.select(TRAIT_NAMES[:NUM_MARKERS]).to_numpy(),
        deprivation=subjects["deprivation"].to_numpy(),
        quit_age=subjects["quit_age"].to_numpy(),
        willing=flags.select(f"willing_{name}" for name in TREATMENT_NAMES).to_numpy(),
        missed=flags.select(f"missed_{name}" for name in DISEASE_NAMES).to_numpy(),
        birth_year=calendar_year(subjects["birth"].cast(pl.Int64).to_numpy()),
    )


def _events(truth: Path, ids: pl.Series) -> State:
    wanted = pl.col("subject_id").is_in(ids.implode())
    events = pl.scan_parquet(truth / "events.parquet").filter(wanted).collect()
    state = healthy(len(ids))
    kinds = {"onset": DISEASE_NAMES, "recorded": DISEASE_NAMES}
    kinds |= {"started": TREATMENT_NAMES, "stopped": TREATMENT_NAMES}
    for event, names in kinds.items():
        rows = events.filter(pl.col("event") == event)
        column = rows["name"].replace_strict(list(names), list(range(len(names))), return_dtype=pl.Int64)
        getattr(state, event)[row_of(ids, rows), column.to_numpy()] = rows["age_years"].to_numpy()
    deaths = events.filter(pl.col("event") == "death")
    state.death[row_of(ids, deaths)] = deaths["age_years"].to_numpy()
    return state


def row_of(ids: pl.Series, rows: pl.DataFrame) -> np.ndarray:
    """Place of each row's subject among sorted ids."""
    return np.asarray(np.searchsorted(ids.to_numpy(), rows["subject_id"].to_numpy()))
