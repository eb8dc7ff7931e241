"""metrics.jsonl and the loss plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from proband.train.state import METRICS


class MetricsLog:
    """One JSON object a line; lines after a resumed step are dropped, so no step stands twice.

    Args:
        folder: Where metrics.jsonl lies.
        step: The step training goes on from.

    Attributes:
        last_step: Step of the last line, 0 if there is none.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / METRICS
        kept = [line for line in read_metrics(folder) if line["step"] <= step]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self.last_step = kept[-1]["step"] if kept else 0

    def write(self, step: int, **values: Any) -> None:
        """Append the line of one step."""
        self.last_step = step
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | values) + "\n")


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
    """Draw tuning loss and its parts over steps into loss.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines = [line for line in read_metrics(folder) if "tuning" in line]
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    steps = [line["step"] for line in lines]
    for part in ("tuning", "when", "what", "censoring"):
        label = "total" if part == "tuning" else part
        axis.plot(steps, [line[part] for line in lines], marker=".", label=label)
    axis.set(xlabel="step", ylabel="nats per event (tuning split)")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "loss.png", dpi=120)
    plt.close(figure)
