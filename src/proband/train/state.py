"""Everything a stopped training needs to go on as if it had not stopped: safetensors and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from proband.core.errors import CheckpointError
from proband.core.provenance import read_json, write_json
from proband.model.checkpoint import write_tensors
from proband.train.config import TrainConfig

STATE, BEST, METRICS, PROGRESS = "state.safetensors", "best.safetensors", "metrics.jsonl", "state.json"


@dataclass
class Progress:
    """Where training stands.

    Attributes:
        step: Optimiser steps done.
        epoch: Passes over the data done.
        batch: Batches done in the running epoch.
        seconds: Wall-clock seconds spent training, over all runs.
        best_loss: Lowest tuning loss so far, nats per event.
        best_step: Step of that loss.
        num_worse: Evaluations since.
        stopped: Whether training ended early.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0
    num_worse: int = 0
    stopped: bool = False


def save_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, config: TrainConfig
) -> None:
    """Write the whole state; a crash in the middle leaves the previous one in force.

    Tensors and progress go into one safetensors file, so that they cannot disagree.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            tensors[f"optimizer.{names[id(parameter)]}.{key}"] = value
    tensors["random.torch"] = torch.get_rng_state()
    numbers = [float(value) for value in asdict(progress).values()]
    tensors["progress"] = torch.tensor(numbers, dtype=torch.float64)
    # The settings first: whoever finds a state finds its settings too.
    write_json(folder / PROGRESS, {"config": config.model_dump(mode="json"), "progress": asdict(progress)})
    write_tensors(tensors, folder / STATE)


def load_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig
) -> Progress:
    """Restore a saved state into ``model``, ``optimizer`` and torch's random generator.

    Raises:
        CheckpointError: The state is damaged or of another configuration.
    """
    saved = read_json(folder / PROGRESS)["config"]
    now = config.model_dump(mode="json")
    differing = [f"{key} {saved.get(key)!r}, now {now[key]!r}" for key in now if saved.get(key) != now[key]]
    if differing:
        remedy = "resume with the same options, or start anew with --overwrite"
        raise CheckpointError("other settings", where=folder, found="; ".join(differing), remedy=remedy)
    try:
        tensors = load_file(folder / STATE)
        model.load_state_dict({k[len("model.") :]: v for k, v in tensors.items() if k.startswith("model.")})
        for name, parameter in model.named_parameters():
            prefix = f"optimizer.{name}."
            moments = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
            if moments:
                optimizer.state[parameter] = moments
        torch.set_rng_state(tensors["random.torch"])
        values = tensors["progress"].tolist()
    except (SafetensorError, RuntimeError, KeyError, OSError) as error:
        remedy = "start anew with --overwrite"
        found = str(error).splitlines()[0]
        raise CheckpointError("unreadable training state", where=folder, found=found, remedy=remedy) from None
    blank = asdict(Progress())
    return Progress(**{key: type(blank[key])(value) for key, value in zip(blank, values, strict=True)})
