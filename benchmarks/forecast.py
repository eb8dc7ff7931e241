"""Speed of forecasting, errors of its estimators at equal computing, and memory.

    python benchmarks/forecast.py [--quick] [--sparse MODEL TOKENS] [--biobank MODEL TOKENS TASK]

One thread, CPU seconds of the process. Without options only (1):

1. Sampling from the cache against reading the whole prefix again for every event, by turns. The naive way
   reads all paths of all subjects together too, so the ratio is that of the cache alone.
2. --sparse: futures per second from age 60 to 80 on sparse lifelong records; errors of scope and reach
   against mc at equal computing; paths that reach needs for the AUROC of mc with 1,000.
3. --biobank: the same errors on records of care; how long 10,000 people take, and with which error; memory
   by number of people.

What these read is made by (PROBAND_DATA is where the sparse records lie):

    python experiments/delphi.py SPARSE --quick
    proband train SPARSE/tokens SPARSE/model --depth 2 --dim 256 --num-heads 4 --context 256 --dropout 0.4 \\
        --weight-decay 1 --batch-tokens 1024 --epochs 6
    proband synth BIOBANK --preset demo --subjects 20000 --variants 4400 --scores 1
    proband ehr BIOBANK/omop BIOBANK/meds --splits 0.4 0.05 0.55 --kinship BIOBANK/kinship.tsv
    proband tokens BIOBANK/meds BIOBANK/tokens --min-subjects 2
    proband train BIOBANK/tokens BIOBANK/model --preset small --batch-tokens 1024 --minutes 7

and TASK is BIOBANK/task.yaml (26 outcomes) with a horizon of 5 years alone.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from forecast_biobank import biobank_figures
from forecast_sparse import sparse_figures

from proband.forecast.engine.histories import Histories
from proband.forecast.engine.request import Question
from proband.forecast.engine.rollout import roll_out
from proband.model.config import ModelConfig, preset
from proband.model.next_event.gaps import fit_gap_edges
from proband.model.transformer import Proband

VOCABULARY, DAY, HISTORY_TOKENS = 500, 1440, 256
READ_EVERY = 4
"""Events of the naive way of which one is timed: it would take most of the benchmark."""


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
    started = time.process_time()
    for _ in roll_out(model, lambda index: rows_of(histories, index), lengths, question):
        pass
    return time.process_time() - started


def rows_of(histories: Histories, index: np.ndarray) -> Histories:
    """Some of the histories."""
    items = {name: value[index] for name, value in vars(histories).items() if name != "modalities"}
    return Histories(**items, modalities={})


@torch.no_grad()
def naive_seconds(model: Proband, histories: Histories, num_paths: int, num_events: int) -> float:
    """Time of reading prefix and path again for each of ``num_events`` events (drawing not counted).

    One event in ``READ_EVERY`` is read, and counts for those up to the next, whose prefixes are longer.
    """
    tokens, ages, statics = (
        getattr(histories, name).repeat_interleave(num_paths, 0) for name in ("tokens", "ages", "statics")
    )
    started = time.process_time()
    for _ in range(0, num_events, READ_EVERY):
        model.hidden(tokens, ages, statics, {})
        tokens = torch.cat([tokens, tokens[:, -READ_EVERY:]], dim=1)
        ages = torch.cat([ages, ages[:, -READ_EVERY:] + READ_EVERY * 30 * DAY], dim=1)
    return (time.process_time() - started) * READ_EVERY


def against_reading_again(*, quick: bool) -> dict[str, object]:
    """Both ways by turns, on random weights of the tiny preset."""
    torch.manual_seed(0)
    num_subjects, num_paths, num_events, repeats = (4, 8, 16, 3) if quick else (16, 16, 32, 3)
    edges = fit_gap_edges(np.full(1, 30), DAY)
    config = ModelConfig(vocabulary_size=VOCABULARY, gap_edges=edges, **preset("tiny"))
    model = Proband(config, torch.zeros(VOCABULARY, dtype=torch.bool)).eval()
    histories = make_histories(num_subjects, HISTORY_TOKENS, np.random.default_rng(0))
    cached_seconds(model, histories, num_paths, 4)  # warm-up
    pairs = [
        (
            naive_seconds(model, histories, num_paths, num_events),
            cached_seconds(model, histories, num_paths, num_events),
        )
        for _ in range(repeats)
    ]
    return {
        "history_tokens": HISTORY_TOKENS,
        "paths": num_subjects * num_paths,
        "events_per_path": num_events,
        "naive_over_cached_median": round(statistics.median(naive / cached for naive, cached in pairs), 1),
        "cached_path_events_per_cpu_second": round(
            num_subjects * num_paths * num_events / statistics.median(cached for _, cached in pairs)
        ),
    }


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer subjects, paths and repeats.")
    parser.add_argument("--sparse", type=Path, nargs=2, metavar=("MODEL", "TOKENS"))
    parser.add_argument("--biobank", type=Path, nargs=3, metavar=("MODEL", "TOKENS", "TASK"))
    return parser


def main() -> None:
    options = arguments().parse_args()
    torch.set_num_threads(1)
    figures: dict[str, object] = {"again": against_reading_again(quick=options.quick)}
    print("again", figures["again"], flush=True)
    for name, part in (("sparse", sparse_figures), ("biobank", biobank_figures)):
        given = getattr(options, name)
        if given:
            figures[name] = part(*given, quick=options.quick)
        else:
            print(f"{name}: left out, since --{name} was not given", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
