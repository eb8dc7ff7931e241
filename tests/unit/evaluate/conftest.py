"""A small known world: MEDS, genome and RiskTables written by hand, without any other stage."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.schema import RISK, SCORES
from proband.ehr.outcomes import Task, save_task

ENTRY = datetime(2000, 1, 1)
DAYS_PER_YEAR = 365.25
HORIZONS = (1.0, 5.0)
TASK = Task.model_validate(
    {
        "outcomes": {"type_2_diabetes": {"codes": ["SNOMED//1"]}, "stroke": {"codes": ["SNOMED//2"]}},
        "prediction": {"years_after_entry": 2},
        "horizons_years": list(HORIZONS),
    }
)


@dataclass
class World:
    """Paths, and the true hazard per year of type 2 diabetes of each subject from prediction on."""

    folder: Path
    meds: Path
    genome: Path
    split: np.ndarray
    hazard: np.ndarray
    task: Task = TASK

    def risk_table(
        self, model, noise=0.0, scale=1.0, splits=("held_out",), outcomes=tuple(TASK.outcomes), seed=1
    ):
        rng = np.random.default_rng(seed)
        chosen = np.flatnonzero(np.isin(self.split, splits))
        hazard = scale * self.hazard[chosen] * np.exp(noise * rng.normal(size=len(chosen)))
        frames = []
        for outcome in outcomes:
            for horizon in HORIZONS:
                frames.append(
                    pl.DataFrame(
                        {
                            "subject_id": chosen.astype(np.int64) + 1,
                            "prediction_time": [ENTRY + timedelta(days=2 * DAYS_PER_YEAR)] * len(chosen),
                            "outcome": outcome,
                            "horizon_years": horizon,
                            "model": model,
                            "risk": 1 - np.exp(-hazard * horizon),
                            "standard_error": 0.0,
                            "unresolved": 0.01,
                        },
                        schema=dict(RISK.columns),
                    )
                )
        return pl.concat(frames)

    def risk_folder(self, model, task=None, **options):
        folder = self.folder / f"risk_{model}"
        folder.mkdir(exist_ok=True)
        RISK.write(self.risk_table(model, **options), folder / "risk.parquet")
        save_task(task or self.task, folder / "task.yaml")
        return folder


def make_world(folder, num_subjects=2000, seed=0, sexes=("Gender//M", "Gender//F")):
    rng = np.random.default_rng(seed)
    split = np.array(["train", "held_out", "tuning"])[np.arange(num_subjects) % 20 // 9]
    pgs = rng.normal(size=(num_subjects, 3)).astype(np.float32)
    female = rng.random(num_subjects) < 0.55
    age = rng.uniform(35, 65, num_subjects)
    hazard = 0.03 * np.exp(0.8 * pgs[:, 0] + 0.05 * (age - 50) + 0.3 * female)
    onset = 2 + rng.exponential(1 / hazard)
    stroke = rng.exponential(1 / 0.001, num_subjects)
    death = 2 + rng.exponential(1 / 0.01, num_subjects)
    leave = rng.uniform(2.2, 14, num_subjects)
    rows = []
    for number in range(num_subjects):
        subject, end = number + 1, min(death[number], leave[number])

        def at(years):
            return ENTRY + timedelta(days=years * DAYS_PER_YEAR)

        rows.append((subject, None, sexes[int(female[number])]))
        events = [
            (-age[number], "MEDS_BIRTH"),
            (0.0, "OBSERVATION_PERIOD//START"),
            (end, "OBSERVATION_PERIOD//END"),
        ]
        events += [(death[number], "MEDS_DEATH")] if death[number] <= leave[number] else []
        events += [
            (time, code)
            for time, code in ((onset[number], "SNOMED//1"), (stroke[number], "SNOMED//2"))
            if time < end
        ]
        rows += [(subject, at(time), code) for time, code in sorted(events)]
    frame = pl.DataFrame(
        rows, schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}, orient="row"
    )
    frame = frame.with_columns(
        pl.lit(None, pl.Float32).alias("numeric_value"), pl.lit(None, pl.String).alias("unit")
    )
    meds = folder / "meds"
    for name in ("train", "tuning", "held_out"):
        (meds / "data" / name).mkdir(parents=True)
        members = (np.flatnonzero(split == name) + 1).tolist()
        frame.filter(pl.col("subject_id").is_in(members)).write_parquet(meds / "data" / name / "0.parquet")
    genome = folder / "genome"
    genome.mkdir()
    names = ["PGS000001", "PGS000002", "PGS000003"]
    scores = pl.DataFrame({"subject_id": np.arange(1, num_subjects + 1)}).with_columns(
        *(pl.Series(name, pgs[:, column]) for column, name in enumerate(names))
    )
    SCORES.write(scores.filter(pl.col("subject_id") % 10 != 0), genome / "scores.parquet")
    traits = {"PGS000001": "Type 2 diabetes", "PGS000002": "Height", "PGS000003": "Eye colour"}
    described = {name: {"name": f"name_{name}", "trait": trait} for name, trait in traits.items()}
    (genome / "scores.json").write_text(json.dumps(described))
    return World(folder, meds, genome, split, hazard)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def other_world(tmp_path):
    """Makes the world anew, with sex under other codes."""
    return lambda sexes: make_world(tmp_path, sexes=sexes)


@pytest.fixture(scope="session")
def tokens_folder(world):
    from proband.tokens import tokens
    from proband.tokens.config import TokensConfig

    tokens(world.meds, world.folder / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    return world.folder / "tokens"


@pytest.fixture(scope="session")
def results(world):
    from proband.evaluate import evaluate
    from proband.evaluate.config import EvaluateConfig

    out = world.folder / "results"
    risks = [world.risk_folder("plain", noise=1.5), world.risk_folder("sharp")]
    evaluate(risks, world.meds, out, genome=world.genome, config=EvaluateConfig(bootstrap=50))
    return out
