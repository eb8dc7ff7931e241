"""Sparse lifelong records: proband against an age-sex table on Delphi-2M's public simulated data.

Turns train.bin (first occurrences of ICD-10 level-3 diseases and death, by age in days) into MEDS, trains
without a genome on one thread, and prints, on its own held-out tenth of subjects, the joint negative
log-likelihood per event in nats (type and time in days, follow-up from birth to the last event, codes
already had masked) of the model and of an age-sex table fitted on the same train and tuning subjects.

    python experiments/delphi.py OUT --data FOLDER --seconds 1000

Data: gerstung-lab/Delphi (MIT), doi:10.1038/s41586-025-09529-3. The definitions of the comparison are in
docs/train.md. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

BIRTH = datetime(1950, 1, 1)  # the data give ages only; any birth date does
BAND_YEARS = 5
PRIOR_EVENTS = (0.1, 0.3, 1.0, 3.0, 10.0)


def read_events(data: Path) -> pl.DataFrame:
    """Columns subject_id, days, code, one row per stored token."""
    rows = np.fromfile(data / "train.bin", dtype=np.uint32).reshape(-1, 3).astype(np.int64)
    names = (data / "labels.csv").read_text(encoding="utf-8").splitlines()
    return pl.DataFrame({"subject_id": rows[:, 0], "days": rows[:, 1]}).with_columns(
        pl.Series("code", [code_of(names[token + 1]) for token in rows[:, 2]])
    )


def code_of(label: str) -> str:
    """MEDS code of a label: the ICD-10 category, a sex, death or a lifestyle answer."""
    if label in ("Female", "Male"):
        return f"SEX//{label}"
    if label == "Death":
        return "MEDS_DEATH"
    first = label.split()[0]
    return f"ICD10//{first}" if first[0].isalpha() and first[1:].isdigit() else f"LIFESTYLE//{label}"


def write_meds(events: pl.DataFrame, folder: Path) -> None:
    """Write a MEDS data folder of one unsplit shard, with follow-up from birth to the last event."""
    is_sex = pl.col("code").str.starts_with("SEX//")
    time = pl.lit(BIRTH) + pl.duration(days=pl.col("days"))
    clinical = events.select(
        "subject_id", time=pl.when(~is_sex).then(time).cast(pl.Datetime("us")), code="code"
    )
    spans = events.group_by("subject_id").agg(pl.col("days").max())
    marks = [
        spans.select("subject_id", time=pl.lit(BIRTH).cast(pl.Datetime("us")), code=pl.lit("MEDS_BIRTH")),
        spans.select(
            "subject_id", time=pl.lit(BIRTH).cast(pl.Datetime("us")), code=pl.lit("OBSERVATION_PERIOD//START")
        ),
        spans.select("subject_id", time=time.cast(pl.Datetime("us")), code=pl.lit("OBSERVATION_PERIOD//END")),
    ]
    table = pl.concat([clinical, *marks]).with_columns(pl.lit(None, pl.Float32).alias("numeric_value"))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table.sort("subject_id", "time", nulls_last=False).write_parquet(folder / "data" / "0.parquet")


class AgeSexTable:
    """Constant rates per code, sex and 5-year age band, shrunk to the code's rate over all ages.

    A code already had has no rate; a code never seen has the rate of half an event over all follow-up.
    """

    def __init__(self, events: pl.DataFrame, codes: list[str], prior_events: float) -> None:
        self.index = {code: at for at, code in enumerate(codes)}
        exposure, counts = self._tally(events)
        at_risk = np.maximum(exposure, 1e-9)
        overall = (counts.sum((0, 1)) + 0.5) / at_risk.sum((0, 1))
        prior_days = prior_events / overall
        self.rates = (counts + prior_events) / (at_risk + prior_days)

    def _tally(self, events: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Days at risk and events, each (sex, band, code)."""
        shape = (3, 100 // BAND_YEARS, len(self.index))
        exposure, counts = np.zeros(shape), np.zeros(shape)
        for sex, days, codes in subjects_of(events, self.index):
            exposure[sex] += overlap_days(days[-1])[:, None]
            for day, code in zip(days, codes, strict=True):
                band = band_of(day)
                counts[sex, band, code] += 1
                exposure[sex, :, code] -= overlap_days(days[-1]) - overlap_days(day)
        return exposure, counts

    def nats_per_event(self, events: pl.DataFrame) -> float:
        """Joint NLL per event: integrated rates of codes not yet had, less log rates of what happened."""
        nats, number = 0.0, 0
        for sex, days, codes in subjects_of(events, self.index):
            nats += float(overlap_days(days[-1]) @ self.rates[sex].sum(1))
            for day, code in zip(days, codes, strict=True):
                rest = overlap_days(days[-1]) - overlap_days(day)
                nats -= float(rest @ self.rates[sex, :, code]) + np.log(self.rates[sex, band_of(day), code])
            number += len(days)
        return nats / number


def subjects_of(events: pl.DataFrame, index: dict[str, int]):
    """Per subject with events: sex (0 unknown, 1, 2), days and code indices, in order of time."""
    for _, group in events.group_by("subject_id", maintain_order=True):
        clinical = group.filter(~pl.col("code").str.starts_with("SEX//"))
        sexes = group.filter(pl.col("code").str.starts_with("SEX//"))["code"].to_list()
        if clinical.height:
            sex = 0 if not sexes else 1 + (sexes[0] == "SEX//Male")
            yield sex, clinical["days"].to_numpy(), [index[code] for code in clinical["code"]]


def overlap_days(until: float) -> np.ndarray:
    """Days lived in each age band before ``until``."""
    edges = np.arange(0, 100, BAND_YEARS) * 365.25
    return np.clip(until - edges, 0, BAND_YEARS * 365.25)


def band_of(day: float) -> int:
    return int(day / 365.25) // BAND_YEARS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("PROBAND_DATA", ".")) / "delphi-simulated"
    )
    parser.add_argument("--seconds", type=float, default=1000)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--dim", type=int, default=96)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.4)
    parser.add_argument("--weight-decay", type=float, default=1.0)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    from proband.ehr import ehr
    from proband.tokens import tokens
    from proband.tokens.stage import TokensConfig
    from proband.train import likelihood, train
    from proband.train.config import TrainConfig
    from proband.train.likelihood import format_likelihood

    out = options.out
    events = read_events(options.data)
    if not (out / "meds").exists():
        write_meds(events, out / "raw")
        ehr(out / "raw", out / "meds", splits=(0.8, 0.1, 0.1), workers=1)
    tokens(out / "meds", out / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    config = TrainConfig(
        depth=options.depth,
        dim=options.dim,
        num_heads=options.heads,
        dropout=options.dropout,
        weight_decay=options.weight_decay,
        learning_rate=options.learning_rate,
        batch_tokens=options.batch_tokens,
        minutes=options.seconds / 60,
        patience=10,
        context=256,
        seed=options.seed,
    )
    name = f"model-{options.depth}x{options.dim}-{options.dropout}-{options.weight_decay}-{options.seconds:g}"
    train(out / "tokens", out / name, config=config)
    result = likelihood(out / name, out / "tokens")
    print(format_likelihood(result).rsplit("\n", 1)[0])
    report(out, out / name, events, result)


def report(out: Path, model: Path, events: pl.DataFrame, result: dict) -> None:
    """Print the comparison; the last line is JSON."""
    splits = pl.read_parquet(out / "meds" / "metadata" / "subject_splits.parquet")
    part = {
        split: events.join(splits.filter(pl.col("split") == split), on="subject_id", maintain_order="left")
        for split in ("train", "tuning", "held_out")
    }
    codes = sorted(set(events["code"]) - {"SEX//Female", "SEX//Male"})
    tables = [AgeSexTable(part["train"], codes, prior) for prior in PRIOR_EVENTS]
    best = min(tables, key=lambda table: table.nats_per_event(part["tuning"]))
    table_nats = best.nats_per_event(part["held_out"])
    # A code that train never saw is one of several: its share of the unknown token is 1 / their number.
    seen = set(part["train"]["code"])
    unseen = [code for code in codes if code not in seen]
    num_unseen = int(part["held_out"]["code"].is_in(unseen).sum())
    model_nats = result["total"] + num_unseen * np.log(max(1, len(unseen))) / result["num_events"]
    steps = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    figures = {
        "model_nats_per_event": round(float(model_nats), 4),
        "age_sex_nats_per_event": round(table_nats, 4),
        "gain": round(table_nats - float(model_nats), 4),
        "num_events": result["num_events"],
        "num_events_of_unseen_codes": num_unseen,
        "train_events_per_second": float(np.median([step["events_per_second"] for step in steps])),
        "train_seconds": json.loads((model / "manifest.json").read_text())["notes"]["train_seconds"],
        "threads": 1,
    }
    print(
        f"joint NLL, nats per event: proband {figures['model_nats_per_event']}, "
        f"age-sex table {figures['age_sex_nats_per_event']}, gain {figures['gain']}; "
        f"{figures['train_events_per_second']:,.0f} training events/s on one thread"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
