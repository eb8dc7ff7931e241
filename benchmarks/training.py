"""Speed of training: events per second against a naive model, share of the processor's peak, loader, memory.

    python benchmarks/training.py [--quick] [--data FOLDER] [--device cuda]

On a CPU, one thread, in CPU seconds of that thread, everything in one run so that ratios hold on a shared
machine: (a) about 2.2 million weights on sparse lifelong records (PROBAND_DATA's, else drawn ones of the same
length law) against the naive model of naive.py; (b) share of the measured peak of matrix products, in
bfloat16 at a width of 384; (c) share of computed positions that are real; (d) the loader's share of a step;
(e) CPU seconds per event and memory from 1 to 30 million events; (f) memory of (a). With --device cuda the
presets at a context of 2,048, compiled, in bfloat16. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from naive import LENGTH, ROWS, naive_batch, naive_model
from records import BIOBANK, SPARSE, ArrayStore, drawn_records, mapped_records, sparse_records
from torch.nn import functional as F

from proband.core.units import MINUTES_PER_DAY
from proband.model.config import PRESETS, ModelConfig, preset
from proband.model.next_event.gaps import fit_gap_edges
from proband.model.transformer import Proband
from proband.tokens.loader import Windows, epoch_batches, load_batch, make_windows
from proband.train.config import TrainConfig
from proband.train.pretrain.optimizer import make_optimizer

PEER_EVENTS_PER_SECOND = 1347  # one core of another machine, float32; sexes counted as events there
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bfloat16, dense, from the makers' sheets
SPARSE_SHAPE = {"depth": 2, "dim": 256, "num_heads": 4, "num_latents": 1}
"""2.37 million weights in all, of which the embedding has 0.24: few, wide layers, which a processor likes."""
WIDE_SHAPE = {"depth": 6, "dim": 384, "num_heads": 6}
SMALL_SHAPE = {"depth": 1, "dim": 32, "num_heads": 1, "num_latents": 1}


def make_model(store: ArrayStore, context: int, **shape: int) -> Proband:
    """A fresh model without dropout for the store's vocabulary."""
    torch.manual_seed(0)
    gaps = np.diff(store.minutes[:100_000].astype(np.int64)) // MINUTES_PER_DAY
    config = ModelConfig(
        vocabulary_size=len(store.vocabulary),
        num_statics=2,
        resolution_minutes=MINUTES_PER_DAY,
        context=context,
        dropout=0.0,
        gap_edges=fit_gap_edges(gaps[gaps >= 0], MINUTES_PER_DAY),
        **shape,
    )
    return Proband(config, torch.from_numpy(store.once))


@dataclass
class Tally:
    """What some steps took and did."""

    load_seconds: float = 0.0
    seconds: float = 0.0
    events: int = 0
    computed: int = 0
    flops: float = 0.0


class Steps:
    """Training steps of a model over a store, one batch each."""

    def __init__(self, model: Proband, store: ArrayStore, budget: int, half: bool) -> None:
        self.model, self.store, self.half = model.train(), store, half
        self.windows: Windows = make_windows(store, np.arange(len(store.offsets) - 1), model.config.context)
        self.budget, self.optimizer = budget, make_optimizer(model, TrainConfig())

    def plan(self, epoch: int = 0) -> Iterator[np.ndarray]:
        """The batches of one pass."""
        yield from epoch_batches(self.windows, self.budget, 0, epoch)

    def take(self, index: np.ndarray, tally: Tally) -> float:
        """One step; returns its loss."""
        began = time.thread_time()
        batch = load_batch(self.store, self.windows.take(index))
        tally.load_seconds += time.thread_time() - began
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            loss = self.model(batch)
            mean = loss.mean
        mean.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        tally.seconds += time.thread_time() - began
        tally.events += loss.num_events
        rows, length = batch.tokens.shape
        tally.computed += rows * (length + self.model.config.num_latents)
        tally.flops += step_flops(self.model, rows, length + self.model.config.num_latents, loss.num_events)
        return float(mean.detach())


def real_share(steps: Steps) -> float:
    """Of the positions computed in a whole pass, leading ones included, those that are tokens of records."""
    lengths, extra = steps.windows.lengths, steps.model.config.num_latents
    computed = sum(len(index) * (int(lengths[index].max()) + extra) for index in steps.plan())
    return round(int(lengths.sum()) / computed, 4)


def step_flops(model: Proband, rows: int, length: int, events: int) -> float:
    """Floating-point operations of a step: six per weight and position, and attention's causal half."""
    config = model.config
    trunk = sum(weight.numel() for weight in model.blocks.parameters() if weight.ndim == 2)
    heads = sum(weight.numel() for weight in model.what.mix.parameters()) + model.when.output.weight.numel()
    attention = 6 * config.depth * config.dim * length
    return rows * length * (6 * trunk + attention) + events * 6 * (
        heads + config.vocabulary_size * config.dim
    )


def peak_flops(model: Proband, positions: int, repeats: int) -> float:
    """Best rate of bfloat16 matrix products of the model's own shapes, forward and back, per CPU second."""
    shapes = {tuple(w.shape) for block in model.blocks for w in block.parameters() if w.ndim == 2}
    best = 0.0
    for wide, narrow in shapes:
        x, w, g = (
            torch.randn(*size, dtype=torch.bfloat16)
            for size in ((positions, narrow), (wide, narrow), (positions, wide))
        )
        for _ in range(repeats):
            began = time.thread_time()
            for product in (lambda: F.linear(x, w), lambda: g @ w, lambda: g.T @ x):  # noqa: B023
                product()
            best = max(best, 6 * positions * wide * narrow / (time.thread_time() - began))
    return best


def anonymous_mb() -> float:
    """Memory of this process beyond mapped files, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))


def cycle(steps: Steps) -> Iterator[np.ndarray]:
    epoch = 0
    while True:
        yield from steps.plan(epoch)
        epoch += 1


def against_naive(store: ArrayStore, rounds: int) -> dict[str, float]:
    """(a), (d), (f): turns of both models, so that both meet the same neighbours on the machine."""
    rng = np.random.default_rng(0)
    naive = naive_model(store)
    naive_optimizer = torch.optim.AdamW(naive.parameters(), lr=1e-3)
    own = {
        name: Steps(make_model(store, 256, **SPARSE_SHAPE), store, 3072, name == "bfloat16")
        for name in ("float32", "bfloat16")
    }
    orders = {name: cycle(steps) for name, steps in own.items()}
    tallies = {name: [] for name in ("naive", *own)}
    peak = 0.0
    for _ in range(len(list(own["bfloat16"].plan())) if rounds > 2 else 0):
        own["bfloat16"].take(next(orders["bfloat16"]), Tally())  # a pass, which meets most sizes of batch
    for turn in range(rounds + 1):
        given, events = naive_batch(store, rng.integers(0, len(store.offsets) - 1, ROWS), rng)
        began = time.thread_time()
        naive_optimizer.zero_grad(set_to_none=True)
        naive(*given).backward()
        torch.nn.utils.clip_grad_norm_(naive.parameters(), 1.0)
        naive_optimizer.step()
        seconds = time.thread_time() - began
        rest = Tally(seconds=seconds, events=events, computed=ROWS * LENGTH)
        for name in tallies:
            tally = rest if name == "naive" else Tally()
            if name != "naive":
                for _ in range(2):
                    own[name].take(next(orders[name]), tally)
            if turn:  # the first meets cold kernels
                tallies[name].append(tally)
        peak = max(peak, anonymous_mb())
    rates = {name: [t.events / t.seconds for t in found] for name, found in tallies.items()}
    figures = {f"{name}_events_per_second": round(statistics.median(rate)) for name, rate in rates.items()}
    for name in own:
        ratio = statistics.median(a / b for a, b in zip(rates[name], rates["naive"], strict=True))
        figures[f"{name}_over_naive"] = round(ratio, 2)
        figures[f"{name}_over_peer"] = round(figures[f"{name}_events_per_second"] / PEER_EVENTS_PER_SECOND, 2)
        figures[f"{name}_loader_share"] = round(
            sum(t.load_seconds for t in tallies[name]) / sum(t.seconds for t in tallies[name]), 4
        )
    figures["real_share_sparse"] = real_share(own["bfloat16"])
    figures["real_share_naive"] = round(
        sum(t.events for t in tallies["naive"]) / sum(t.computed for t in tallies["naive"]), 4
    )
    figures["weights"] = sum(p.numel() for p in own["bfloat16"].model.parameters())
    figures["naive_weights"] = sum(p.numel() for p in naive.parameters() if p.requires_grad)
    figures["peak_mb_all_three"] = round(peak)
    return figures


def share_of_peak(rounds: int) -> dict[str, float]:
    """(b): turns of steps and of bare matrix products; also (c) and (d) at this shape."""
    store = drawn_records(400_000, BIOBANK, 340, seed=1)
    steps = Steps(make_model(store, 512, **WIDE_SHAPE), store, 2048, half=True)
    order, tallies, peaks = cycle(steps), [], []
    for turn in range(rounds + 1):
        tally = Tally()
        for _ in range(2):
            steps.take(next(order), tally)
        if turn:
            tallies.append(tally)
            peaks.append(peak_flops(steps.model, 2048, repeats=3))
    shares = [t.flops / t.seconds / peak for t, peak in zip(tallies, peaks, strict=True)]
    return {
        "width": WIDE_SHAPE["dim"],
        "share_of_peak": round(statistics.median(shares), 3),
        "peak_gflops": round(statistics.median(peaks) / 1e9, 1),
        "loader_share": round(sum(t.load_seconds for t in tallies) / sum(t.seconds for t in tallies), 4),
        "real_share_biobank": real_share(steps),
    }


def curve(millions: list[int]) -> list[dict[str, float]]:
    """(e): one pass of a very small model over mapped files, each in a process of its own."""
    rows = []
    for million in millions:
        with tempfile.TemporaryDirectory() as folder:
            drawn_records(million * 1_000_000, SPARSE, 200, seed=2, folder=Path(folder))
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                rows.append(pool.apply(one_pass, (Path(folder),)))
        print(rows[-1], flush=True)
    return rows


def one_pass(folder: Path) -> dict[str, float]:
    """Train over the records of ``folder`` once."""
    torch.set_num_threads(1)
    store = mapped_records(folder)
    before, began = anonymous_mb(), time.thread_time()
    steps, tally = Steps(make_model(store, 64, **SMALL_SHAPE), store, 8192, half=False), Tally()
    peak = 0.0
    for number, index in enumerate(steps.plan()):
        steps.take(index, tally)
        if number % 50 == 0:
            peak = max(peak, anonymous_mb())
    seconds = time.thread_time() - began
    return {
        "events": tally.events,
        "seconds_per_million": round(seconds / tally.events * 1e6, 2),
        "loader_share": round((tally.load_seconds + seconds - tally.seconds) / seconds, 4),
        "growth_mb": round(peak - before),
        "windows_mb": round(4 * 8 * len(steps.windows) / 1e6),
    }


def on_gpu(rounds: int) -> dict[str, dict[str, float]]:
    """Presets at a context of 2,048, compiled, in bfloat16; shares of the maker's peak."""
    store = drawn_records(4_000_000, (np.log(4096), 0.3), 5000, seed=3)
    name = torch.cuda.get_device_name()
    peak = next((flops for part, flops in PEAK_FLOPS.items() if part in name), float("nan"))
    return {size: {"device": name, **preset_on_gpu(store, size, peak, rounds)} for size in PRESETS}


def preset_on_gpu(store: ArrayStore, size: str, peak: float, rounds: int) -> dict[str, float]:
    model = make_model(store, 2048, **preset(size)).cuda()
    for block in model.blocks:
        block.compile()
    optimizer = make_optimizer(model, TrainConfig())
    windows = make_windows(store, np.arange(len(store.offsets) - 1), 2048)
    full = np.flatnonzero(windows.lengths == 2048)
    rows = 8 if size == "large" else 16
    batches = [load_batch(store, windows.take(full[k * rows :][:rows])).to("cuda") for k in range(4)]
    torch.cuda.reset_peak_memory_stats()
    seconds, flops = [], 0.0
    for turn in range(rounds + 3):
        torch.cuda.synchronize()
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(batches[turn % len(batches)])
        loss.mean.backward()
        optimizer.step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        flops = step_flops(model, rows, 2048 + model.config.num_latents, loss.num_events)
    step = statistics.median(seconds[3:])  # the first compile
    return {
        "weights": sum(p.numel() for p in model.parameters()),
        "tokens_per_second": round(rows * 2048 / step),
        "flop_utilisation": round(flops / step / peak, 3),
        "memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few turns, and the curve to 1 million only")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--data", type=Path, default=None, help="folder of the sparse records")
    options = parser.parse_args()
    data = options.data or Path(os.environ.get("PROBAND_DATA", ".")) / "delphi-simulated"
    if options.device == "cuda":
        figures: dict = on_gpu(5 if options.quick else 20)
        for size, row in figures.items():
            print(size, row)
    else:
        torch.set_num_threads(1)
        real = (data / "train.bin").is_file()
        store = sparse_records(data) if real else drawn_records(180_000, SPARSE, 918, seed=0)
        figures = {"real_records": real}
        parts: dict[str, Callable[[], object]] = {
            "speed": lambda: against_naive(store, 2 if options.quick else 8),
            "peak": lambda: share_of_peak(2 if options.quick else 10),
            "curve": lambda: curve([1] if options.quick else [1, 3, 10, 30]),
        }
        for name, part in parts.items():
            figures[name] = part()
            print(name, json.dumps(figures[name], indent=1), flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
