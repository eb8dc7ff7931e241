"""Loss against parameters and against events, and the best learning rate at several widths.

Makes a synthetic biobank and trains on its records alone, on one thread. Every run is a line of
OUT/runs.jsonl; a run that is there is not repeated, so the script can be stopped and goes on.

    python experiments/scaling.py OUT --plot docs/scaling.png

- sizes: models of depths 2 to 6 on all train subjects, one pass over the same tokens.
- events: the preset tiny on ever fewer train subjects, as many steps, the best tuning loss of each run.
- rates: depth 2 at several widths and rates, scaled with width and, as control, not; one short run each.

The loss is that of the tuning split, nats per event. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

DEPTHS = (2, 3, 4, 5, 6)
SHARES = (1 / 27, 1 / 9, 1 / 3)
WIDTHS = {96: 3, 192: 6, 384: 12}  # and heads of 32
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3)
TUNING_SUBJECTS = 200


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        kind: sizes, events or rates.
        depth: Blocks.
        dim: Width; None is the depth's.
        share: Share of the train subjects.
        tokens: Train tokens to read, again and again if there are fewer.
        batch_tokens: Padded tokens per step.
        rate: Peak learning rate.
        scaled: Whether rates scale with width.
    """

    kind: str
    depth: int
    tokens: int
    dim: int | None = None
    share: float = 1.0
    batch_tokens: int = 2048
    rate: float = 4e-3
    scaled: bool = True


def runs(tokens: int, rate_tokens: int) -> list[Run]:
    """All runs, the most telling first."""
    sizes = [Run("sizes", depth, tokens) for depth in DEPTHS]
    events = [Run("events", 4, tokens, share=share) for share in SHARES]
    rates = [
        Run("rates", 2, rate_tokens, dim=dim, batch_tokens=1024, rate=rate, scaled=scaled)
        for dim in WIDTHS
        for scaled in ((True, False) if dim > min(WIDTHS) else (True,))
        for rate in RATES
    ]
    return [*rates, *sizes, *events]


def prepare(out: Path, subjects: int) -> Path:
    """The tokens folder of a new biobank."""
    from proband.ehr import ehr
    from proband.synth import synth
    from proband.synth.config import SynthConfig
    from proband.tokens import tokens

    if not (out / "tokens").exists():
        synth(out / "biobank", config=SynthConfig(preset="demo", subjects=subjects, seed=0), workers=1)
        ehr(out / "biobank" / "omop", out / "meds", kinship=out / "biobank" / "kinship.tsv", workers=1)
        tokens(out / "meds", out / "tokens", workers=1)
    return out / "tokens"


def fit(run: Run, folder: Path) -> dict:
    """Train once; weights, events and the best tuning loss."""
    from proband.model.trunk import width
    from proband.tokens.dataset import TokenStore
    from proband.train.config import TrainConfig
    from proband.train.initial.build import build_model
    from proband.train.pretrain.loop import Trainer

    class Part(TokenStore):
        """Fewer subjects, always the same ones."""

        def rows_of(self, split: str) -> np.ndarray:
            rows = super().rows_of(split)
            number = round(run.share * len(rows)) if split == "train" else TUNING_SUBJECTS
            return np.sort(np.random.default_rng(0).permutation(rows)[:number])

    store = Part(folder)
    train_rows = store.rows_of("train")
    lengths = np.diff(store.offsets)[train_rows]
    config = TrainConfig(
        depth=run.depth,
        dim=run.dim,
        num_heads=WIDTHS.get(run.dim) if run.dim else None,
        learning_rate=run.rate,
        batch_tokens=run.batch_tokens,
        epochs=run.tokens / int(lengths.sum()),
        context=256,
        evaluate_steps=max(1, run.tokens // run.batch_tokens // 5),
        patience=100,
        save_seconds=1e6,
    )
    base = width.BASE_WIDTH
    width.BASE_WIDTH = base if run.scaled else 10**6
    started = time.process_time()
    try:
        with tempfile.TemporaryDirectory() as work:
            model = build_model(store, {}, config)
            result = Trainer(model, store, {}, config, Path(work)).run()
    finally:
        width.BASE_WIDTH = base
    blocks = sum(parameter.numel() for parameter in model.blocks.parameters())
    figures = {"weights": blocks, "train_tokens": int(lengths.sum()), "loss": round(result.total, 4)}
    return figures | {"cpu_seconds": round(time.process_time() - started, 1)}


def exponent(x: list[float], y: list[float]) -> dict[str, float]:
    """Slope of loss against log10 x by least squares, and the largest distance from that line, in nats."""
    slope, start = np.polyfit(np.log10(x), y, 1)
    distance = np.abs(np.polyval([slope, start], np.log10(x)) - y).max()
    return {"nats_per_decade": round(float(slope), 4), "largest_residual": round(float(distance), 4)}


def summarise(done: list[dict]) -> dict:
    """Tables on the terminal; figures for the last line."""
    figures: dict = {}
    for kind, column in (("sizes", "weights"), ("events", "train_tokens")):
        full = [row for row in done if row["kind"] == "sizes" and row["depth"] == 4]
        rows = [row for row in done if row["kind"] == kind] + (full if kind == "events" else [])
        rows.sort(key=lambda row: row[column])
        print(f"\n{column:>14}{'loss':>10}{'CPU s':>9}")
        for row in rows:
            print(f"{row[column]:>14,}{row['loss']:>10.4f}{row['cpu_seconds']:>9.0f}")
        if len(rows) > 2:
            figures[kind] = exponent([row[column] for row in rows], [row["loss"] for row in rows])
            figures[kind]["losses"] = [row["loss"] for row in rows]
    figures["best_rate"] = rate_table([row for row in done if row["kind"] == "rates"])
    return figures


def rate_table(rows: list[dict]) -> dict[str, float]:
    """Loss by width and rate; the best rate of each width."""
    best = {}
    print(f"\n{'width':>14}" + "".join(f"{rate:>10g}" for rate in RATES))
    for dim, scaled in sorted({(row["dim"], row["scaled"]) for row in rows}, reverse=True):
        found = {row["rate"]: row["loss"] for row in rows if (row["dim"], row["scaled"]) == (dim, scaled)}
        name = f"{dim} {'scaled' if scaled else 'plain'}"
        print(f"{name:>14}" + "".join(f"{found.get(rate, np.nan):>10.4f}" for rate in RATES))
        best[name] = min(found, key=lambda rate: found[rate])
    return best


def plot(done: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    sizes = sorted((row["weights"], row["loss"]) for row in done if row["kind"] == "sizes")
    events = sorted(
        (row["train_tokens"], row["loss"])
        for row in done
        if row["kind"] == "events" or (row["kind"] == "sizes" and row["depth"] == 4)
    )
    for axis, points, label in zip(
        axes, (sizes, events), ("weights in blocks", "train tokens"), strict=False
    ):
        axis.semilogx(*zip(*points, strict=True), marker="o")
        axis.set(xlabel=label, ylabel="tuning loss, nats per event")
    rates = [row for row in done if row["kind"] == "rates"]
    for dim, scaled in sorted({(row["dim"], row["scaled"]) for row in rates}):
        line = sorted((r["rate"], r["loss"]) for r in rates if (r["dim"], r["scaled"]) == (dim, scaled))
        style = "-" if scaled else ":"
        axes[2].semilogx(
            *zip(*line, strict=True), style, marker=".", label=f"{dim}{'' if scaled else ' plain'}"
        )
    axes[2].set(xlabel="learning rate", ylabel="tuning loss")
    axes[2].legend(frameon=False, fontsize=7)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--subjects", type=int, default=5000)
    parser.add_argument("--tokens", type=int, default=400_000, help="train tokens each model of a size reads")
    parser.add_argument("--rate-tokens", type=int, default=100_000, help="train tokens of one rate's run")
    parser.add_argument("--kind", choices=("sizes", "events", "rates"), help="only these")
    parser.add_argument("--seconds", type=float, default=1e9, help="start no run after this long")
    parser.add_argument("--plot", type=Path, help="PNG to write")
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: to see that it runs"
    )
    options = parser.parse_args()
    if options.quick:
        options.subjects, options.tokens, options.rate_tokens = 300, 4000, 2000

    import torch

    torch.set_num_threads(1)
    until = time.monotonic() + options.seconds
    options.out.mkdir(parents=True, exist_ok=True)
    folder, path = prepare(options.out, options.subjects), options.out / "runs.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for run in runs(options.tokens, options.rate_tokens):
        known = any(row.items() >= asdict(run).items() for row in done)
        if known or (options.kind and run.kind != options.kind) or time.monotonic() > until:
            continue
        done.append(asdict(run) | fit(run, folder))
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(done[-1]) + "\n")
        print(done[-1], flush=True)
    figures = summarise(done)
    if options.plot:
        plot(done, options.plot)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
