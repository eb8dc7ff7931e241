"""Make tests/reference/aces/: events, and the rows and labels that ACES itself gives for the configurations.

Usage: python tests/reference/make/aces_rows.py tests/reference/aces
(in an environment of its own: pip install es-aces==0.7.3; made with polars 1.44.2)

Writes events.parquet (MEDS, times in multiples of six hours, so that many lie on the bounds of windows) and
for each NAME.yaml there NAME.tsv: subject_id, prediction_time, boolean_value.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from aces import config, predicates, query
from omegaconf import DictConfig

STAY = ["LAB//GLU", "LAB//GLU", "ICD10//I10", "ICD10//E11.9", "ICD10//E11.2", "ATC//A10BA02", "NOTE"]
SHARES = [0.3, 0.2, 0.2, 0.02, 0.02, 0.02, 0.24]


def events(num_subjects: int = 160, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows: list[tuple] = []
    for subject in range(1, num_subjects + 1):
        rows.append((subject, None, "GENDER//F" if rng.random() < 0.5 else "GENDER//M", None))
        rows.append((subject, datetime(1950, 1, 1), "MEDS_BIRTH", None))
        now = datetime(2010, 1, 1) + timedelta(hours=6 * int(rng.integers(0, 400)))
        for _ in range(rng.integers(1, 7)):
            rows.append((subject, now, str(rng.choice(["ADMISSION//ER", "ADMISSION//EW"])), None))
            for _ in range(rng.integers(0, 8)):
                now += timedelta(hours=6 * int(rng.integers(0, 5)))
                code = str(rng.choice(STAY, p=SHARES))
                value = float(rng.choice([4, 5, 6, 7, 9, 11, 12])) if code == "LAB//GLU" else None
                rows.append((subject, now, code, value))
            rows.append((subject, now, "DISCHARGE//HOME", None))
            now += timedelta(days=int(rng.choice([1, 10, 30, 31, 200, 365, 400])))
        if rng.random() < 0.6:
            dies = rows[-1][1] + timedelta(hours=6 * int(rng.integers(0, 10))) if rng.random() < 0.5 else now
            rows.append((subject, dies, "MEDS_DEATH", None))
    names = {
        "subject_id": pl.Int64,
        "time": pl.Datetime("us"),
        "code": pl.String,
        "numeric_value": pl.Float32,
    }
    return pl.DataFrame(rows, schema=names, orient="row").sort("subject_id", "time", maintain_order=True)


def rows_of(task: Path, data: Path) -> pl.DataFrame:
    asked = config.TaskExtractorConfig.load(config_path=task)
    counts = predicates.get_predicates_df(asked, DictConfig({"path": str(data), "standard": "meds"}))
    found = query.query(asked, counts)
    return found.select(
        "subject_id",
        pl.col("index_timestamp").alias("prediction_time"),
        (pl.col("label") > 0).alias("boolean_value"),
    ).sort("subject_id", "prediction_time")


def main(out: Path) -> None:
    events().write_parquet(out / "events.parquet", compression="zstd")
    for task in sorted(out.glob("*.yaml")):
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "events.parquet"
            events().write_parquet(data)
            rows_of(task, data).write_csv(task.with_suffix(".tsv"), separator="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
