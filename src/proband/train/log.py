"""metrics.jsonl, TensorBoard and the loss plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from proband.core.files.jsonlines import read_lines

METRICS = "metrics.jsonl"
BOARD = "tensorboard"
ONSET = "onset.jsonl"
PARTS = ("when", "what", "censoring")


class Meter:
    """Sums over the steps since the last line of the log."""

    def __init__(self) -> None:
        self._sums = np.zeros(8)
        self._norm = 0.0

    def add(self, sums: Float[np.ndarray, " values"], norm: float) -> None:
        """Count one step.

        Args:
            sums: Nats of when, what and censoring; events; tokens without and with padding; seconds of
                training; seconds of waiting for data.
            norm: Norm of the gradient, before clipping.
        """
        self._sums += sums
        self._norm = max(self._norm, norm)

    def values(self) -> dict[str, float]:
        """The values of a line; none if there was no step."""
        *nats, num_events, num_real, num_padded, seconds, waited = self._sums.tolist()
        if not num_padded:
            return {}
        losses = [value / max(1, num_events) for value in nats]
        values = {"loss": sum(losses)}
        values |= {f"loss_{name}": value for name, value in zip(PARTS, losses, strict=True)}
        return values | {
            "gradient_norm": self._norm,
            "events_per_second": num_events / max(seconds, 1e-9),
            "padding_share": 1 - num_real / num_padded,
            "waiting_share": waited / max(seconds, 1e-9),
        }


class MetricsLog:
    """One JSON object a line; lines after a resumed step are dropped, so no step stands twice.

    The same numbers go to TensorBoard where it is installed.

    Args:
        folder: Where metrics.jsonl lies.
        step: The step training goes on from.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / METRICS
        lines = read_metrics(folder)
        kept = [line for line in lines if isinstance(line.get("step"), int) and line["step"] <= step]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._board = _board(folder / BOARD, step)

    def write(self, step: int, epoch: int, seconds: float, values: dict[str, float]) -> None:
        """Append the line of one step; numbers are cut to six digits."""
        line = {"step": step, "epoch": epoch, "seconds": round(seconds, 2)}
        line |= {name: float(f"{value:.6g}") for name, value in values.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board:
            for name, value in line.items():
                self._board.add_scalar(name.replace("_", "/", 1), value, step)
            self._board.flush()

    def close(self) -> None:
        """Nothing more will be written."""
        if self._board:
            self._board.close()


class OnsetLog:
    """One JSON object a line for each evaluation of a network of the onset head.

    Fields: ``network``, ``epoch``, ``tuning`` and, but for the first of each, ``train``.

    Args:
        folder: Where onset.jsonl lies; it begins anew.
        until: Of the lines that a stopped run left, those of steps up to this one stay.
    """

    def __init__(self, folder: Path, until: int = -1) -> None:
        self.path = folder / ONSET
        lines = read_lines(self.path)
        kept = [line for line in lines if isinstance(line.get("step"), float) and line["step"] <= until]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def write(self, values: dict[str, float]) -> None:
        """Append a line; numbers are cut to six digits."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({name: float(f"{value:.6g}") for name, value in values.items()}) + "\n")


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of metrics.jsonl; what follows a line that a crash damaged is left out."""
    return read_lines(folder / METRICS)


def plot_losses(folder: Path) -> None:
    """Draw loss.png: train and tuning loss and the tuning loss's parts over steps, and the onset head's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    onset = read_lines(folder / ONSET)
    columns = 2 if onset else 1
    figure, axes = plt.subplots(1, columns, figsize=(6 * columns, 4), layout="constrained", squeeze=False)
    _draw_likelihood(axes[0, 0], read_metrics(folder))
    if onset:
        _draw_onset(axes[0, 1], onset)
    for axis in axes.flat:
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "loss.png", dpi=120)
    plt.close(figure)


def _draw_likelihood(axis: Any, lines: list[dict[str, Any]]) -> None:
    train = [line for line in lines if "loss" in line]
    axis.plot([line["step"] for line in train], [line["loss"] for line in train], lw=0.8, label="train")
    tuning = [line for line in lines if "tuning" in line]
    for name in ("tuning", *(f"tuning_{part}" for part in PARTS)):
        values = [line[name] for line in tuning]
        axis.plot([line["step"] for line in tuning], values, marker=".", label=name.replace("_", ": "))
    axis.set(xlabel="step", ylabel="nats per event", title="next event")


def _draw_onset(axis: Any, lines: list[dict[str, Any]]) -> None:
    for number in sorted({line["network"] for line in lines}):
        own = [line for line in lines if line["network"] == number]
        for name, colour in (("train", "tab:blue"), ("tuning", "tab:orange")):
            found = [line for line in own if name in line]
            label = name if number == 0 else None
            epochs = [line["epoch"] for line in found]
            axis.plot(epochs, [line[name] for line in found], marker=".", color=colour, label=label)
    axis.axhline(lines[0]["tuning"], color="grey", lw=0.8, ls=":", label="tuning: without networks")
    axis.set(xlabel="passes over the train split's dates", ylabel="nats per date", title="onset")
