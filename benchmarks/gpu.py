"""What a GPU gives: training by preset, scoring, decoding, and whether its kernels agree with the CPU's.

    python benchmarks/gpu.py [--quick] [--out benchmarks/results/DATE_gpu.md]

1. Kernels: the largest difference from the CPU's float32 numbers of causal attention (forward and backward),
   of rotary angles and of attention over pages.
2. Training: tokens a second, model FLOP utilisation (share of the maker's dense bfloat16 peak) and memory of
   each preset at a context of 2,048, compiled, in bfloat16; aim: 40% for base.
3. Scoring: predictions of 26 outcomes a second in closed form.
4. Decoding: events of sampled paths a second, from the paged cache.

On a machine without a GPU it says so in one line, and ends with status 2.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import closed_form
import numpy as np
import torch
from forecast import DAY, HISTORY_TOKENS, VOCABULARY, make_histories, rows_of
from torch import Tensor
from training import on_gpu

from proband.forecast.engine.request import Question
from proband.forecast.engine.rollout import roll_out
from proband.model.config import ModelConfig, preset
from proband.model.kernels.attention import causal_attention
from proband.model.kernels.pages import PAGE, Pages, Window, attend
from proband.model.kernels.rotate import rotate
from proband.model.next_event.gaps import fit_gap_edges
from proband.model.transformer import Proband
from proband.model.trunk.rotary import Rotary

NO_GPU = "gpu: no GPU is here (torch.cuda.is_available() is false); run this where there is one"
HEADS, SIZE, LENGTH, ROWS = 4, 64, 256, 8
TOLERANCE = 1e-3
"""TF32 keeps 10 bits of a factor."""
AIM = 0.4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer steps and paths")
    parser.add_argument("--out", type=Path, help="write a page")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(NO_GPU)
        sys.exit(0 if options.quick else 2)  # make bench goes on
    lines = [f"# {torch.cuda.get_device_name()}, torch {torch.__version__}", *report("cuda", options.quick)]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


def report(device: str, quick: bool) -> list[str]:
    """All parts as lines of Markdown."""
    found = kernel_differences(device)
    lines = ["", "| kernel | largest difference |", "|---|---|"]
    lines += [
        f"| {name} | {value:.1e}{'' if value < TOLERANCE else ' **too large**'} |"
        for name, value in found.items()
    ]
    lines += ["", "| preset | weights | tokens/s | share of peak | memory, GB |", "|---|---|---|---|---|"]
    for size, row in on_gpu(5 if quick else 20).items():
        rate, share, memory = row["tokens_per_second"], row["flop_utilisation"], row["memory_gb"]
        missed = " (aim 0.4 missed)" if size == "base" and share < AIM else ""
        lines.append(f"| {size} | {row['weights']:,} | {rate:,} | {share}{missed} | {memory} |")
    lines += ["", f"Closed form: {scoring(device, quick):,.0f} predictions/s (small).", ""]
    lines += [f"Decoding: {decoding(device, quick):,.0f} events of paths/s (small).", ""]
    return lines


def kernel_differences(device: str) -> dict[str, float]:
    """Largest difference between a device and the CPU, by kernel."""
    torch.manual_seed(0)
    heads = [torch.randn(2, HEADS, LENGTH, SIZE) for _ in range(3)]
    angles = Rotary(SIZE)(torch.randint(0, 300, (ROWS, 1)), torch.randint(0, 40_000_000, (ROWS, 1)))
    rows = torch.randn(ROWS, 3, HEADS, SIZE)

    def backward(where: str) -> Tensor:
        given = [item.clone().to(where).requires_grad_() for item in heads]
        causal_attention(*given).square().sum().backward()
        return torch.stack([item.grad.cpu() for item in given])  # type: ignore[union-attr]

    kernels: dict[str, Callable[[str], Tensor]] = {
        "causal attention": lambda where: causal_attention(*(item.to(where) for item in heads)),
        "causal attention, backward": backward,
        "rotary angles": lambda where: rotate(rows[:, None].to(where), angles.to(where)),
        "attention over pages": lambda where: paged(rows, angles, where),
    }
    return {
        name: float((kernel(device).cpu() - kernel("cpu")).abs().max()) for name, kernel in kernels.items()
    }


def paged(rows: Tensor, angles: Tensor, device: str) -> Tensor:
    """Attention of rows to pages of their own, the first one half full."""
    generator = torch.Generator().manual_seed(1)
    pages = Pages.empty(2 * ROWS + 1, HEADS, SIZE, "cpu")
    pages.keys.normal_(generator=generator)
    pages.values[..., :SIZE].normal_(generator=generator)
    table = 1 + np.arange(2 * ROWS, dtype=np.int32).reshape(ROWS, 2)
    used = np.tile(np.array([PAGE, PAGE // 2], dtype=np.uint8), (ROWS, 1))
    begin = np.zeros(ROWS, dtype=np.int64)
    window = Window(table, used, begin, begin.copy(), np.full(ROWS, 2), 0, torch.device(device))
    there = Pages(pages.keys.to(device), pages.values.to(device))
    return attend(rows.clone().to(device), angles.to(device), None, there, window)


@torch.no_grad()
def scoring(device: str, quick: bool) -> float:
    """Predictions a second in closed form, of a model with random weights."""
    with tempfile.TemporaryDirectory() as folder:
        tokens, task = closed_form.small_biobank(Path(folder))
        number = closed_form.QUICK_PREDICTIONS if quick else 4 * closed_form.QUICK_PREDICTIONS
        seconds, done = closed_form.seconds_of(tokens, task, "tiny" if quick else "small", number, device)
    return done / seconds


@torch.no_grad()
def decoding(device: str, quick: bool) -> float:
    """Events of sampled paths a second."""
    subjects, paths, events = (8, 16, 16) if quick else (64, 64, 64)
    config = ModelConfig(
        vocabulary_size=VOCABULARY, gap_edges=fit_gap_edges(np.full(1, 30), DAY), **preset("small")
    )
    torch.manual_seed(0)
    model = Proband(config, torch.zeros(VOCABULARY, dtype=torch.bool)).eval().to(device)
    histories = make_histories(subjects, HISTORY_TOKENS, np.random.default_rng(0))
    question = Question(
        outcomes=torch.zeros(1, VOCABULARY, dtype=torch.bool),
        horizons=torch.tensor([10**9]),
        estimator="scope",
        death=0,
        num_paths=paths,
        max_events=events,
        seed=0,
    )
    began = time.perf_counter()
    for _ in roll_out(model, lambda index: rows_of(histories, index), histories.lengths.numpy(), question):
        pass
    return subjects * paths * events / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
