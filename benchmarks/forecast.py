"""Sampling from the cache against reading the whole prefix again for every event, in the same run.

    python benchmarks/forecast.py [--quick]

Random weights of the tiny preset, one thread. The naive way reads all paths of all subjects together too,
so the ratio is that of the cache alone. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch

from proband.forecast.histories import Histories
from proband.forecast.rollout import roll_out
from proband.forecast.sums import Question
from proband.model.config import ModelConfig, preset
from proband.model.gaps import fit_gap_edges
from proband.model.transformer import Proband

VOCABULARY, DAY = 500, 1440


def make_histories(num_subjects: int, length: int, rng: np.random.Generator) -> Histories:
    """Random records of ``length`` tokens, a month apart."""
    tokens = torch.from_numpy(rng.integers(2, VOCABULARY - 1, (num_subjects, length)))
    ages = torch.arange(length).expand(num_subjects, -1) * 30 * DAY
    none = torch.zeros(num_subjects, 1, dtype=torch.int64)
    lengths = torch.full((num_subjects,), length)
    return Histories(tokens, ages, lengths, none, none, ages[:, -1], np.arange(num_subjects), {})


def cached_seconds(model: Proband, histories: Histories, num_paths: int, num_events: int) -> float:
    """Time of ``num_events`` events on every path; the horizon is far enough for nearly all to run."""
    question = Question(
        outcomes=torch.zeros(1, VOCABULARY, dtype=torch.bool),
        horizons=torch.tensor([10**9]),
        estimator="scope",
        death=0,
        num_paths=num_paths,
        max_events=num_events,
        seed=0,
    )
    lengths = histories.lengths.numpy()
    started = time.perf_counter()
    for _ in roll_out(model, lambda index: rows_of(histories, index), lengths, question):
        pass
    return time.perf_counter() - started


def rows_of(histories: Histories, index: np.ndarray) -> Histories:
    """Some of the histories."""
    items = {name: value[index] for name, value in vars(histories).items() if name != "modalities"}
    return Histories(**items, modalities={})


@torch.no_grad()
def naive_seconds(model: Proband, histories: Histories, num_paths: int, num_events: int) -> float:
    """Time of reading prefix and path again for each of ``num_events`` events (drawing not counted)."""
    tokens, ages, statics = (
        getattr(histories, name).repeat_interleave(num_paths, 0) for name in ("tokens", "ages", "statics")
    )
    started = time.perf_counter()
    for _ in range(num_events):
        model.hidden(tokens, ages, statics, {})
        tokens = torch.cat([tokens, tokens[:, -1:]], dim=1)
        ages = torch.cat([ages, ages[:, -1:] + 30 * DAY], dim=1)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer subjects, paths and repeats.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    num_subjects, num_paths, num_events, repeats = (4, 8, 16, 3) if options.quick else (16, 16, 32, 5)
    edges = fit_gap_edges(np.full(1, 30), 1440)
    config = ModelConfig(vocabulary_size=VOCABULARY, gap_edges=edges, **preset("tiny"))
    model = Proband(config, torch.zeros(VOCABULARY, dtype=torch.bool)).eval()
    histories = make_histories(num_subjects, 256, np.random.default_rng(0))
    cached_seconds(model, histories, num_paths, 4)  # warm-up
    pairs = [
        (
            naive_seconds(model, histories, num_paths, num_events),
            cached_seconds(model, histories, num_paths, num_events),
        )
        for _ in range(repeats)
    ]
    figures = {
        "history_tokens": 256,
        "paths": num_subjects * num_paths,
        "events_per_path": num_events,
        "naive_over_cached_median": round(statistics.median(naive / cached for naive, cached in pairs), 1),
        "cached_path_events_per_second": round(
            num_subjects * num_paths * num_events / statistics.median(cached for _, cached in pairs)
        ),
    }
    print(f"cached sampling is {figures['naive_over_cached_median']} times faster than reading again")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
