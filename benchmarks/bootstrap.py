"""How long the bootstrap of proband evaluate takes: all metrics of several models on the same resamples.

Made-up risks of 8 models for 20 outcomes of 10,000 people at one horizon, of whom a third leave
before it; every metric, calibration group, net benefit and difference in 1,000 replicates, with the rows of
the results tables, as the stage computes them, without and with the metrics within seven dimensions of
subgroups. Outcomes alike take alike long: some are measured and the whole is reckoned from them. The limit is
two minutes on two cores, 240 CPU seconds; the peer in the same run is scikit-learn, AUROC and average
precision alone, one replicate after another. CPU seconds count where others share the machine. The last line
is JSON.

    python benchmarks/bootstrap.py [--quick] [--measured 2] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, roc_auc_score

from proband.core.running.engine import map_shards
from proband.evaluate.frames import risk_set_frames
from proband.evaluate.groups.subgroups import subgroup_frame
from proband.evaluate.metrics.censoring import CASE
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.replicates import bootstrap
from proband.evaluate.metrics.risk_set import RiskSet

SEED, HORIZON_YEARS = 0, 10.0
LIMIT_SECONDS, CORES = 120.0, 2
PEER_REPLICATES = 3
SUBGROUPS = {"sex": 2, "age": 4, "record_years": 3, "visits": 3, "genotyped": 2, "ancestry": 4, "distance": 3}
"""Dimensions as those of the stage, and how many subgroups each has."""


def made_up(subjects: int, models: int, incidence: float, seed: int) -> RiskSet:
    """People whose hazards are known, and models that see them through more or less noise."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=subjects)
    hazard = incidence / HORIZON_YEARS * np.exp(signal)
    onset, death = rng.exponential(1 / hazard), rng.exponential(60, subjects)
    leave = rng.uniform(4, 22, subjects)
    time_years = np.minimum(np.minimum(onset, death), leave)
    event = np.where(time_years == onset, 1, np.where(time_years == death, 2, 0)).astype(np.int8)
    risks = {}
    for model in range(models):
        seen = np.log(hazard) + 0.2 * model * rng.normal(size=subjects)
        risks[f"model_{model}"] = 1 - np.exp(-HORIZON_YEARS * np.exp(seen))
    subject_id = np.arange(subjects)
    age_sex = rng.integers(0, 20, subjects)
    return RiskSet("made_up", HORIZON_YEARS, subject_id, time_years, event, risks, age_sex=age_sex)


def members(subjects: int) -> pl.DataFrame:
    """Subgroups of everybody, evenly at random."""
    rng = np.random.default_rng(SEED)
    names = {name: rng.integers(0, number, subjects) for name, number in SUBGROUPS.items()}
    return pl.DataFrame(names).cast(pl.String)


def judge(risk_set: RiskSet, resamples: Resamples, subgroups: pl.DataFrame | None = None) -> None:
    """What the stage does with one outcome and horizon."""
    found = bootstrap(risk_set, resamples)
    risk_set_frames(risk_set, found)
    if subgroups is not None:
        subgroup_frame(risk_set, subgroups, resamples, found.thresholds)


def scikit_learn(risk_set: RiskSet, resamples: Resamples) -> None:
    """AUROC and average precision of every model, replicate by replicate."""
    known = risk_set.known
    case = risk_set.status[known] == CASE
    for weights in resamples.weights(risk_set.clusters):
        for risk in risk_set.risks.values():
            for row in weights[1:]:
                roc_auc_score(case, risk[known], sample_weight=row[known])
                average_precision_score(case, risk[known], sample_weight=row[known])


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of the process, and seconds by the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the whole, reckoned from some outcomes, and as a share of the limit and of the peer."""
    measured = [made_up(options.subjects, options.models, 0.06, SEED + at) for at in range(options.measured)]
    rng = np.random.default_rng(SEED)
    resamples = Resamples(measured[0].clusters, options.replicates, rng)
    few = Resamples(measured[0].clusters, PEER_REPLICATES, rng)
    subgroups = members(options.subjects)
    judge(measured[0], few, subgroups)  # compiles
    scale = options.outcomes / options.measured
    found: dict[str, float] = {}
    for name, parts in (("without_subgroups", None), ("with_subgroups", subgroups)):
        work = partial(judge, resamples=resamples, subgroups=parts)
        run = partial(map_shards, work, measured, workers=options.workers, threads=True)
        cpu, clock = timed(run)
        found |= {f"{name}_cpu_s": cpu * scale, f"{name}_clock_s": clock * scale}
        found[f"{name}_cpu_of_limit"] = cpu * scale / (LIMIT_SECONDS * CORES)
    peer, _ = timed(partial(scikit_learn, measured[0], few))
    found["scikit_learn_two_metrics_cpu_s"] = peer * options.replicates / PEER_REPLICATES * options.outcomes
    found["over_scikit_learn"] = found["without_subgroups_cpu_s"] / found["scikit_learn_two_metrics_cpu_s"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("subjects", 10_000), ("outcomes", 20), ("models", 8), ("replicates", 1000), ("measured", 2),
        ("workers", CORES),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--quick", action="store_true", help="1,000 subjects, 50 replicates")
    options = parser.parse_args()
    if options.quick:
        options.subjects, options.replicates = 1000, 50
    found = measure(options)
    for name, value in found.items():
        print(f"{name}: {value:.3g}")
    print(json.dumps({"options": vars(options), "found": found}))


if __name__ == "__main__":
    main()
