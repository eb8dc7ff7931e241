"""metrics.jsonl, the line on the terminal and the loss plot."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from proband.train.state import METRICS

PARTS = ("when", "what", "censoring")


@dataclass
class Meter:
    """Sums over the steps since the last line of the log.

    Attributes:
        nats: When, what and censoring.
        num_events: Scored events.
        num_real, num_padded: Tokens computed, without and with padding.
        seconds, waited: Training time, and that part of it spent waiting for data.
        norm: Largest norm of the gradient, before clipping.
    """

    nats: Float[np.ndarray, " parts"] = field(default_factory=lambda: np.zeros(3))
    num_events: int = 0
    num_real: int = 0
    num_padded: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    norm: float = 0.0

    def add(
        self,
        *,
        nats: Float[np.ndarray, " parts"],
        num_events: int,
        num_real: int,
        num_padded: int,
        seconds: float,
        waited: float,
        norm: float,
    ) -> None:
        """Count one step."""
        self.nats = self.nats + nats
        self.num_events += num_events
        self.num_real += num_real
        self.num_padded += num_padded
        self.seconds += seconds
        self.waited += waited
        self.norm = max(self.norm, norm)

    @property
    def events_per_second(self) -> float:
        """Scored events per second of training."""
        return self.num_events / max(self.seconds, 1e-9)

    def values(self) -> dict[str, float]:
        """The values of a line; none if there was no step."""
        if not self.num_padded:
            return {}
        losses = self.nats / max(1, self.num_events)
        values = {"loss": float(losses.sum())}
        values |= {f"loss_{name}": float(value) for name, value in zip(PARTS, losses, strict=True)}
        values |= {
            "gradient_norm": self.norm,
            "events_per_second": self.events_per_second,
            "padding_share": 1 - self.num_real / self.num_padded,
            "waiting_share": self.waited / max(self.seconds, 1e-9),
        }
        return values


class MetricsLog:
    """One JSON object a line; lines after a resumed step are dropped, so no step stands twice.

    Args:
        folder: Where metrics.jsonl lies.
        step: The step training goes on from.

    Attributes:
        last_evaluated: Step of the last line with a tuning loss, 0 if there is none.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / METRICS
        kept = [line for line in read_metrics(folder) if line["step"] <= step]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self.last_evaluated = max((line["step"] for line in kept if "tuning" in line), default=0)

    def write(self, step: int, epoch: int, seconds: float, values: dict[str, float]) -> None:
        """Append the line of one step; numbers are cut to six digits."""
        if "tuning" in values:
            self.last_evaluated = step
        line = {"step": step, "epoch": epoch, "seconds": round(seconds, 2)}
        line |= {name: float(f"{value:.6g}") for name, value in values.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of metrics.jsonl; a line cut short by a crash is left out."""
    path = folder / METRICS
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def plot_losses(folder: Path) -> None:
    """Draw train and tuning loss, and the tuning loss's parts, over steps into loss.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines = read_metrics(folder)
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    train = [line for line in lines if "loss" in line]
    axis.plot([line["step"] for line in train], [line["loss"] for line in train], lw=0.8, label="train")
    tuning = [line for line in lines if "tuning" in line]
    for name in ("tuning", *(f"tuning_{part}" for part in PARTS)):
        values = [line[name] for line in tuning]
        axis.plot([line["step"] for line in tuning], values, marker=".", label=name.replace("_", ": "))
    axis.set(xlabel="step", ylabel="nats per event")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "loss.png", dpi=120)
    plt.close(figure)
