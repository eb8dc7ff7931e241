"""Estimators of risk against compute: AUROC and calibration for the CPU time that each takes.

    python experiments/estimators.py OUT --size small --seeds 0

One model (EHR) answers for the same held-out people, some of them drawn at random, by closed_form, and by mc,
scope and reach with more and more sampled paths, for a few common outcomes at all horizons. Given are, at the
longest horizon and as a mean over these outcomes, AUROC in expectation over the true risks and its paired
difference to closed form, AUROC of the cases seen, observed over expected, the slope, the share of the
variance of risks that is sampling noise, and CPU seconds per 1,000 predictions of one process (empty for a
forecast that was interrupted). OUT/SIZE gets estimators.csv and estimators.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from biobank import EHR, SIZES, Biobank, Model, arguments
from expected_auroc import ExpectedAreas
from onset_panel import read_paired
from replicates import Areas, labelled, write

from proband.core.files.jsonfiles import read_json, write_json
from proband.core.files.resume import partial_folder
from proband.core.seeds import generator
from proband.evaluate.config import NONE
from proband.evaluate.tables import read_table
from proband.forecast.choices import CLOSED_FORM, ESTIMATORS
from proband.tokens.dataset import TokenStore

SEEDS = (0,)
HORIZON = 10.0
OUTCOMES = ("type_2_diabetes", "hypertension", "coronary_artery_disease")
PATHS = {"tiny": (2, 8), "small": (8, 32), "full": (8, 32, 128, 512)}
PEOPLE = {"tiny": 450, "small": 1500, "full": 6000}
"""Held-out subjects who are asked for, at most."""
MEANS = ("observed_expected", "calibration_slope", "slope_noise_corrected", "monte_carlo_share")
CPU_SECONDS = "forecast_cpu_seconds"


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__, SEEDS).parse_args()
    runs = runs_of(PATHS[given.size])
    areas, metrics, seconds = {}, {}, {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, SIZES[given.size], seed)
        task = bank.task_of("estimators", OUTCOMES.__contains__)
        people = some_people(bank, PEOPLE[given.size])
        risks = {name: timed(bank, name, task, people, settings) for name, settings in runs.items()}
        results = bank.evaluated("estimators", list(risks.values()), [NONE], task=task)
        areas[seed] = ExpectedAreas(read_paired(bank, results, list(risks.values()), HORIZON))
        metrics[seed] = read_table(results, "metrics")
        seconds[seed] = {name: per_thousand(folder) for name, folder in risks.items()}
    rows = [row for name in runs for row in rows_of(name, areas, metrics, seconds)]
    seeds = " ".join(map(str, given.seeds))
    write(
        given.out / given.size, "estimators", {"Against compute": pl.DataFrame(rows)},
        f"{given.size}, seeds {seeds}",
    )  # fmt: skip


def runs_of(paths: tuple[int, ...]) -> dict[str, dict[str, object]]:
    """Name in tables and settings of each forecast, closed form first.

    >>> list(runs_of((8,)))
    ['closed_form', 'mc 8', 'scope 8', 'reach 8']
    """
    sampled = [name for name in ESTIMATORS if name != CLOSED_FORM]
    found: dict[str, dict[str, object]] = {CLOSED_FORM: {"estimator": CLOSED_FORM}}
    for number in paths:
        found |= {
            f"{name} {number}": {"estimator": name, "paths": number, "onsets": "events"} for name in sampled
        }
    return found


def some_people(bank: Biobank, most: int) -> Path:
    """A list of held-out subjects drawn at random, at most so many, for ``proband forecast --subjects``."""
    path = bank.folder / f"some_{most}.tsv"
    if not path.is_file():
        store = TokenStore(bank.tokens)
        held_out = store.subject_ids[store.rows_of("held_out")]
        drawn = generator(bank.seed, "some people").permutation(held_out)[:most]
        path.write_text("".join(f"{one}\n" for one in sorted(drawn)), encoding="utf-8")
    return path


def timed(bank: Biobank, name: str, task: Path, people: Path, settings: dict[str, Any]) -> Path:
    """Forecast once, in one process, with the CPU seconds that it took; returns the folder.

    A forecast that goes on from an interrupted one, or was finished before, has no seconds.
    """
    bank.model(EHR)  # its training is not part of the forecast
    named = f"EHR {name}"
    out = bank.folder / f"risk_{Model(named).slug}"
    whole = not out.exists() and not partial_folder(out).exists()
    began = time.process_time()
    bank.risks(EHR, task=task, subjects=people, workers=1, name=named, **settings)
    if whole:
        write_json(out.with_name(f"{out.name}_seconds.json"), {CPU_SECONDS: time.process_time() - began})
    return out


def per_thousand(folder: Path) -> float:
    """CPU seconds of a forecast per 1,000 predictions (a subject at a date); NaN where not known."""
    kept = folder.with_name(f"{folder.name}_seconds.json")
    seconds = read_json(kept)[CPU_SECONDS] if kept.is_file() else float("nan")
    points = pl.read_parquet(folder / "risk.parquet", columns=["subject_id", "prediction_time"])
    return 1000 * seconds / points.n_unique()


def rows_of(
    name: str,
    areas: Mapping[int, Areas],
    metrics: Mapping[int, pl.DataFrame],
    seconds: Mapping[int, Mapping[str, float]],
) -> list[dict[str, object]]:
    """A row per seed of one estimator: expected AUROC less that of closed form, and the means."""
    rows = []
    model, reference = f"EHR {name}", f"EHR {CLOSED_FORM}"
    known = {
        seed: [outcome for outcome in OUTCOMES if outcome in one.paired.rows] for seed, one in areas.items()
    }
    found = {seed: one.gain(known[seed], model, reference) for seed, one in areas.items()}
    for row in labelled(found, estimator=name, metric="expected AUROC less closed form"):
        seeds = list(areas) if row["seed"] == "mean" else [int(str(row["seed"]))]
        expected = sum(float(areas[seed].mean(known[seed], model)[0]) for seed in seeds) / len(seeds)
        own = pl.concat([metrics[seed] for seed in seeds]).filter(
            (pl.col("model") == model) & (pl.col("horizon_years") == HORIZON)
        )
        means = {metric: own.filter(metric=metric)["value"].mean() for metric in ("auroc", *MEANS)}
        took = sum(seconds[seed][name] for seed in seeds) / len(seeds)
        rows.append(row | {"expected_auroc": expected} | means | {"cpu_seconds_per_1000": took})
    return rows


if __name__ == "__main__":
    main()
