"""Everything a stopped training needs to go on as if it had not stopped, in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from proband.core.errors import CheckpointError, first_line
from proband.core.files.resume import clear_marks
from proband.core.running.team import Team
from proband.model.folder import write_tensors
from proband.train.pretrain.parallel import full_tensor, sharded_like

STATE, BEST = "state.safetensors", "best.safetensors"
"""The last saved state, and that of the best tuning evaluation."""
WEIGHTS, AVERAGE = "model", "average"
"""The weights after the last step, and their running mean: beginnings of the names of a state's tensors."""
STATES = (STATE, BEST)
"""Files that a finished output needs no longer."""


@dataclass
class Progress:
    """Where training stands.

    Attributes:
        step: Optimiser steps done.
        epoch: Passes over the data done.
        index: Steps done in the running pass.
        seconds: Seconds spent training, over all runs.
        events: Scored events of all steps.
        first_loss: Loss of the untrained model, nats per event.
        best_mean: Lowest mean loss of a window of steps so far, nats per event.
        best_loss: Lowest tuning loss so far, nats per event.
        best_step: Step of that loss.
        evaluated: Step of the last tuning evaluation.
        num_worse: Evaluations since.
        stopped: Whether training ended early.
    """

    step: int = 0
    epoch: int = 0
    index: int = 0
    seconds: float = 0.0
    events: float = 0.0
    first_loss: float = float("inf")
    best_mean: float = float("inf")
    best_loss: float = float("inf")
    best_step: int = 0
    evaluated: int = 0
    num_worse: int = 0
    stopped: bool = False


def save_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    team: Team,
    average: Mapping[str, torch.Tensor] = MappingProxyType({}),
) -> None:
    """Write the whole state; a crash in the middle leaves the previous one in force.

    Tensors and progress go into one file, so that they cannot disagree; shards of a team are put together,
    so that any other team can go on. No random generator needs saving: order and dropout are functions of
    the seed and the step.
    """
    tensors = {f"{WEIGHTS}.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"{AVERAGE}.{name}": tensor for name, tensor in average.items()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            tensors[f"optimizer.{names[id(parameter)]}.{key}"] = value
    gathered = {}
    for name, tensor in tensors.items():
        full = full_tensor(tensor.detach())
        if team.is_first:
            gathered[name] = full.cpu()
    if team.is_first:
        numbers = [float(value) for value in asdict(progress).values()]
        write_tensors(gathered | {"progress": torch.tensor(numbers, dtype=torch.float64)}, path)
    team.wait()


def drop_states(out: Path) -> None:
    """Remove what only resuming needs from a finished output."""
    for name in STATES:
        (out / name).unlink(missing_ok=True)
    clear_marks(out)


def load_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, torch.Tensor] = MappingProxyType({}),
) -> Progress:
    """Restore a saved state into ``model``, ``optimizer`` and ``average``, shared as this team shares them.

    Raises:
        CheckpointError: The state is damaged or of another model.
    """
    tensors = load_weights(path, model)
    for name, mean in average.items():
        mean.copy_(sharded_like(tensors[f"{AVERAGE}.{name}"], mean))
    for name, parameter in model.named_parameters():
        moments = _below(tensors, f"optimizer.{name}.")
        if moments:
            optimizer.state[parameter] = {
                # AdamW's count of steps is one number, whatever the shape of the weights.
                key: value.to(parameter.device) if key == "step" else sharded_like(value, parameter)
                for key, value in moments.items()
            }
    values = tensors["progress"].tolist()
    blank = asdict(Progress())
    return Progress(**{key: type(blank[key])(value) for key, value in zip(blank, values, strict=True)})


def load_weights(path: Path, model: nn.Module, which: str = WEIGHTS) -> dict[str, torch.Tensor]:
    """Restore the weights of a saved state; returns all of the state's tensors.

    Args:
        path: The state.
        model: Gets the weights.
        which: ``WEIGHTS`` of the last step, or ``AVERAGE`` for their mean where the state has one.

    Raises:
        CheckpointError: The state is damaged or of another model.
    """
    try:
        tensors = load_file(path)
        weights, here = _below(tensors, f"{WEIGHTS}."), model.state_dict()
        if which != WEIGHTS:
            weights |= _below(tensors, f"{which}.")
        model.load_state_dict(
            {
                name: sharded_like(value, here[name]) if name in here else value
                for name, value in weights.items()
            }
        )
        if len(tensors["progress"]) != len(asdict(Progress())):
            raise KeyError("progress of another version")
    except (SafetensorError, RuntimeError, KeyError, OSError) as error:
        remedy = "start anew with --overwrite"
        found = first_line(error)
        raise CheckpointError("unreadable training state", where=path, found=found, remedy=remedy) from None
    return tensors


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
