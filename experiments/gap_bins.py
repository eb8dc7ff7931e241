"""Where to put the edges of the gap bins: log-spaced, at train quantiles, or at equal shares of both.

    python experiments/gap_bins.py TOKENS --epochs 1

Trains one small model per spacing on a tokens folder, all on the same steps from the same seed, and prints
the held-out likelihood in nats per event: `when` is what the edges decide. `marginal` is that of the gaps'
histogram alone, without a model. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from proband.core.units import MINUTES_PER_DAY
from proband.model.next_event.gaps import GapBins, fit_gap_edges
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import sequential_batches
from proband.train.config import TrainConfig
from proband.train.initial import build
from proband.train.log_likelihood import measure
from proband.train.pretrain.loop import Trainer

NUM_BINS = 64


def fitted(gaps: np.ndarray, resolution: int) -> tuple[int, ...]:
    """Equal shares of the mean of train gaps and log time."""
    return fit_gap_edges(gaps, resolution, NUM_BINS)


def log_spaced(gaps: np.ndarray, resolution: int) -> tuple[int, ...]:
    """Equal shares of log time."""
    return fit_gap_edges(gaps[:0], resolution, NUM_BINS)


def quantiles(gaps: np.ndarray, resolution: int) -> tuple[int, ...]:
    """Equal shares of train gaps; the last bin goes on to 120 years."""
    last = log_spaced(gaps, resolution)[-1]
    inner = np.quantile(gaps[gaps > 0], np.arange(1, NUM_BINS - 1) / (NUM_BINS - 1), method="higher")
    return tuple(int(edge) for edge in np.unique([1, *inner, last]))


SPACINGS: dict[str, Callable[[np.ndarray, int], tuple[int, ...]]] = {
    "log-spaced": log_spaced,
    "quantiles": quantiles,
    "fitted": fitted,
}


def steps_of(store: TokenStore, split: str) -> np.ndarray:
    """Gaps before the scored events of a split, in steps."""
    gaps = []
    for row in store.rows_of(split):
        minutes = store.record(int(row))[1]
        gaps.append(np.diff(minutes)[minutes[1:] > store.entry[row]])
    return np.concatenate(gaps) // store.vocabulary.resolution_minutes


def marginal(bins: GapBins, train: np.ndarray, held_out: np.ndarray) -> float:
    """Nats per held-out gap, in days, of the train histogram."""
    counts = torch.bincount(bins.bin_of(torch.from_numpy(train)), minlength=bins.num_bins).double() + 1
    log_mass = (counts / counts.sum()).log().expand(len(held_out), -1)
    found = bins.log_probability(log_mass, torch.from_numpy(held_out))
    return float(-found.mean()) + math.log(bins.resolution_days)


def trained(store: TokenStore, edges: tuple[int, ...], config: TrainConfig) -> dict[str, float]:
    """Held-out nats per event of a model with these edges."""
    with tempfile.TemporaryDirectory() as work, patch.object(build, "gap_edges", lambda store: edges):
        model = build.build_model(store, {}, config)
        trainer = Trainer(model, store, {}, config, Path(work))
        trainer.run()
    batches = sequential_batches(store, store.rows_of("held_out"), config.context, 8192)
    return {"steps": trainer.progress.step, **measure(model, batches, store.vocabulary.kinds()).per_event()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tokens", type=Path)
    parser.add_argument("--epochs", type=float, default=1, help="Passes over the train split.")
    parser.add_argument("--quick", action="store_true", help="A fiftieth of that.")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--dim", type=int, default=96)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    store = TokenStore(options.tokens)
    train, held_out = steps_of(store, "train"), steps_of(store, "held_out")
    config = TrainConfig(
        depth=options.depth,
        dim=options.dim,
        dropout=options.dropout,
        batch_tokens=1024,
        context=256,
        epochs=options.epochs / (50 if options.quick else 1),
        patience=1_000_000,  # all steps are taken
        seed=options.seed,
    )
    rows = []
    for name, spacing in SPACINGS.items():
        edges = spacing(train, store.vocabulary.resolution_minutes)
        bins = GapBins(edges, store.vocabulary.resolution_minutes)
        row = {"num_bins": bins.num_bins, "marginal": marginal(bins, train, held_out)}
        rows.append({"edges": name} | row | trained(store, edges, config))
        print(f"{name:<12}" + "".join(f"  {key} {value:.4f}" for key, value in list(rows[-1].items())[1:]))
    days = store.vocabulary.resolution_minutes / MINUTES_PER_DAY
    print(json.dumps({"resolution_days": days, "epochs": config.epochs, "rows": rows}))


if __name__ == "__main__":
    main()
