"""A synthetic biobank: errors at equal computing, ten thousand people, and memory."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import numpy as np
import torch
from forecast_cohort import Cohort, sample_futures
from forecast_errors import errors_at_equal_compute

from proband.ehr.outcomes import load_task
from proband.forecast.config import Estimator

RISK_YEARS, PEOPLE, CORES, LIMIT_MINUTES = 5, 10_000, 2, 10
SHARD = 150
"""People that the forecast stage takes at a time."""
FEW, MORE = 2, 8
"""Numbers of paths between which the cost of a path is told from that of a history."""


def biobank_figures(model: Path, tokens: Path, task: Path, *, quick: bool) -> dict[str, object]:
    """All figures on a model of a synthetic biobank; held-out subjects."""
    people = _people(model, tokens, task)
    lengths = people.store.history_lengths(people.rows, people.start)
    figures: dict[str, object] = {
        "weights": sum(weight.numel() for weight in people.model.parameters()),
        "mean_history_tokens": round(float(lengths.mean()), 1),
    }
    print("biobank", figures, flush=True)
    sampled = people.sample(8 if quick else SHARD, 0)
    figures["panel"] = {name: panel(sampled, name, FEW, MORE) for name in ("scope", "reach")}
    print("panel", figures["panel"], flush=True)
    figures["errors"] = errors_at_equal_compute(people, *((8, 4) if quick else (24, 32)))
    print("errors", figures["errors"], flush=True)
    figures["peak_mb"] = {
        number: peak_mb(model, tokens, task, number) for number in ((8, 16) if quick else (300, 900))
    }
    print("peak_mb", figures["peak_mb"], flush=True)
    return figures


def _people(model: Path, tokens: Path, task: Path) -> Cohort:
    return Cohort.read(model, tokens, load_task(task), RISK_YEARS, ("held_out",))


def panel(cohort: Cohort, estimator: Estimator, few: int, more: int) -> dict[str, float]:
    """How long ``PEOPLE`` take on ``CORES``, by the CPU seconds of a sample, and what is known then."""
    sample_futures(cohort.sample(4, 0), estimator, few)  # compiles
    runs = {paths: sample_futures(cohort, estimator, paths) for paths in (few, more)}
    per_path = (runs[more].seconds - runs[few].seconds) / (more - few) / len(cohort)
    per_history = runs[few].seconds / len(cohort) - few * per_path
    seconds = LIMIT_MINUTES * 60 * CORES / PEOPLE
    affordable = (seconds - per_history) / per_path
    variance, risk = np.nanmean(runs[more].variance), np.nanmean(runs[more].risk)
    paths = max(1, int(affordable))
    return {
        "sampled_people": len(cohort),
        "outcomes": len(cohort.names),
        "ms_per_history": round(1000 * per_history, 2),
        "ms_per_path": round(1000 * per_path, 2),
        f"minutes_with_{few}_paths": _minutes(runs[few].seconds, len(cohort)),
        f"minutes_with_{more}_paths": _minutes(runs[more].seconds, len(cohort)),
        "paths_in_limit": round(float(affordable), 2),
        "mean_risk": round(float(risk), 5),
        "root_mean_square_error_then": round(float(np.sqrt(variance / paths)), 5),
        "positions_per_path": round(runs[more].path_positions / len(cohort) / more, 1),
    }


def _minutes(seconds: float, people: int) -> float:
    """Of ``PEOPLE`` on ``CORES`` at this rate."""
    return round(seconds * PEOPLE / people / CORES / 60, 2)


def peak_mb(model: Path, tokens: Path, task: Path, number: int) -> int:
    """Peak memory of a process of its own that forecasts so many times, MB (Linux).

    It is one history again and again, of middle length: the stage reads the longest first, and more people
    would have more long ones, which take more of the cache.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (model, tokens, task, number))


def _peak(model: Path, tokens: Path, task: Path, number: int) -> int:
    torch.set_num_threads(1)
    people = _people(model, tokens, task)
    lengths = people.store.history_lengths(people.rows, people.start)
    middle = np.argsort(lengths, kind="stable")[len(people) // 2]
    sample_futures(people.take(np.full(number, middle)), "scope", FEW)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
