"""How long risks in closed form take: histories read, features, hazards, integration, on one core.

A model of a preset with random weights and the onset tasks of a tokens folder answers a task for some of its
subjects; what it answers does not matter for the time. The peer in the same run is the record summary alone,
which a regression would read: the ratio says what the trunk costs.

    python benchmarks/closed_form.py TOKENS TASK --preset small --predictions 2000
    python benchmarks/closed_form.py --quick
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from proband.forecast.estimators.closed_form import cumulative_incidence
from proband.model.onset.head import OnsetHead
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SummaryLayout, summarise
from proband.train.config import OnsetOptions, TrainConfig
from proband.train.initial.build import build_model
from proband.train.onset.queries import draw_dates, read_queries
from proband.train.onset.stage import attach_head
from proband.train.onset.tasks import choose_tasks

HORIZONS = (1.0, 5.0, 10.0)
QUICK_SUBJECTS, QUICK_PREDICTIONS = 400, 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tokens", type=Path, nargs="?")
    parser.add_argument("task", type=Path, nargs="?")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--predictions", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="a small biobank made for it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            report(*small_biobank(Path(folder)), "tiny", QUICK_PREDICTIONS)
    else:
        report(options.tokens, options.task, options.preset, options.predictions)


def small_biobank(folder: Path) -> tuple[Path, Path]:
    from proband.ehr import ehr
    from proband.ehr.config import EhrConfig
    from proband.synth import synth
    from proband.synth.config import SynthConfig
    from proband.tokens import tokens

    biobank = folder / "biobank"
    config = SynthConfig(preset="demo", subjects=QUICK_SUBJECTS, variants=880, scores=4, truth_replicates=2)
    synth(biobank, config=config, workers=1)
    ehr(biobank / "omop", folder / "meds", config=EhrConfig(splits=(0.6, 0.2, 0.2)), workers=1)
    tokens(folder / "meds", folder / "tokens", workers=1)
    return folder / "tokens", biobank / "task.yaml"


@torch.no_grad()
def report(folder: Path, task: Path, preset: str, predictions: int) -> None:
    """Print seconds of CPU, predictions a second, and the ratio to the summary alone."""
    store = TokenStore(folder)
    tasks = choose_tasks(store, [task], with_codes=True)
    assert tasks is not None
    model = build_model(store, {}, TrainConfig(preset=preset, onset=OnsetOptions()))  # type: ignore[arg-type]
    head = attach_head(model, store, {}, tasks).eval()
    model.eval()
    rows, minutes = draw_dates(store, store.rows_of("held_out").astype(np.int64), 1, 0, "benchmark")
    rows, minutes = rows[:predictions], minutes[:predictions]
    layout = SummaryLayout.of(store.vocabulary)
    summarise(store, layout, rows[:2], minutes[:2])  # compiles
    start = time.process_time()
    summarise(store, layout, rows, minutes)
    alone = time.process_time() - start
    start = time.process_time()
    answer(model, head, store, rows, minutes, tasks.num_named)
    seconds = time.process_time() - start
    history = int(sum((store.record(int(r))[1] <= m).sum() for r, m in zip(rows, minutes, strict=True)))
    print(
        f"preset {preset}: {len(rows):,} predictions of {tasks.num_named} outcomes and {history:,} tokens of "
        f"history in {seconds:.1f} CPU s of one core: {len(rows) / seconds:,.0f} predictions/s, "
        f"{history / seconds:,.0f} tokens/s; {seconds / alone:,.0f} times the record summary alone"
    )


@torch.no_grad()
def seconds_of(folder: Path, task: Path, preset: str, predictions: int, device: str) -> tuple[float, int]:
    """Seconds by the clock of a second answer on a device, and the number of predictions."""
    store = TokenStore(folder)
    tasks = choose_tasks(store, [task], with_codes=True)
    assert tasks is not None
    model = build_model(store, {}, TrainConfig(preset=preset, onset=OnsetOptions()))  # type: ignore[arg-type]
    head = attach_head(model, store, {}, tasks).eval().to(device)
    model.eval().to(device)
    rows, minutes = draw_dates(store, store.rows_of("held_out").astype(np.int64), 1, 0, "benchmark")
    rows, minutes = rows[:predictions], minutes[:predictions]
    for _ in range(2):  # the first meets cold kernels
        start = time.perf_counter()
        answer(model, head, store, rows, minutes, tasks.num_named).cpu()
    return time.perf_counter() - start, len(rows)


def answer(
    model: torch.nn.Module,
    head: OnsetHead,
    store: TokenStore,
    rows: np.ndarray,
    minutes: np.ndarray,
    num: int,
) -> torch.Tensor:
    """Risks of all named tasks."""
    queries = read_queries(model, store, {}, rows, minutes, {})  # type: ignore[arg-type]
    device = head.bias.device
    query = queries.batch(np.arange(len(queries))).map(lambda item: item.to(device))
    log_ratio = head.calibrated(query)
    return cumulative_incidence(head, log_ratio, query.age, query.female, range(num), num - 1, HORIZONS)


if __name__ == "__main__":
    main()
