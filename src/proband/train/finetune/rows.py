"""New rows of an onset head: tasks fitted in closed form on a model that stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from proband.model.config import OnsetConfig, OnsetTask
from proband.model.onset.head import OnsetHead
from proband.model.transformer import Proband
from proband.train.onset.decay import fit_levels
from proband.train.onset.fit import Part, mean_loss
from proband.train.onset.stage import OnsetResult, fit_modality_terms, fit_record_terms

_OF_TASKS = {"log_rate": 0, "bias": 0, "intercept": 0, "slope": 0}
_OF_NAMED = {"linear": 1, "state_linear": 1, "interactions.weights": 1}
"""Axes of tensors along which tasks lie, of all tasks and of named ones."""
_TABLES = ("feature_mean", "feature_sd", "state_mean", "state_sd", "interactions.mean", "interactions.sd")


def rows_head(model: Proband, tasks: tuple[OnsetTask, ...], log_rate: Tensor, given: set[str]) -> OnsetHead:
    """A head of new tasks alone that is the age-sex table, and reads its inputs as the model's own head does.

    Args:
        model: A model with onset hazards.
        tasks: The new tasks.
        log_rate: Their log rates, (tasks, sexes, ages).
        given: Modalities whose linear terms are to be fitted.
    """
    own = model.onset
    assert own is not None
    shape = own.config.model_copy(
        update={
            "tasks": tasks,
            "num_named": len(tasks),
            "linear": {name: width for name, width in own.config.linear.items() if name in given},
            # Networks are of no use to tasks that they were not trained on: one that gives 0.
            **{"num_networks": 1, "width": 1, "hidden": 1, "rank": 1},
        }
    )
    head = OnsetHead(model.config.model_copy(update={"onset": shape})).to(own.bias.device).eval()
    values = own.state_dict()
    copied = {name: values[name] for name in _TABLES}
    for name in head.modalities:
        copied |= {
            f"modalities.{name}.{part}": values[f"modalities.{name}.{part}"] for part in ("mean", "sd")
        }
    head.load_state_dict(head.state_dict() | copied | {"log_rate": log_rate})
    return head


def fit_rows(head: OnsetHead, decay: Tensor, train: Part, tuning: Part, device: torch.device) -> OnsetResult:
    """Fit all terms of the rows but networks, by the fits of training.

    Args:
        head: As :func:`rows_head` makes it.
        decay: How the record's effects fade with the time ahead: the model's, of all tasks together.
        train, tuning: Labelled dates.
        device: Where the head is.
    """
    result = fit_record_terms(head, train, tuning, device)
    head.decay.copy_(decay)
    fit_levels(head, train, device)
    result.losses["decay"] = mean_loss(head, tuning, device)
    fit_modality_terms(head, train, tuning, device, result)
    return result


def add_rows(model: Proband, rows: OnsetHead) -> None:
    """Give a model the rows of new tasks, behind the tasks it names; nothing else of it changes.

    A code or family that is now an outcome loses its own row.
    """
    own = model.onset
    assert own is not None
    old, new = own.config, rows.config.tasks
    taken = {task.tokens for task in new}
    kept = [at for at, task in enumerate(old.tasks) if at < old.num_named or task.tokens not in taken]
    before, after = torch.tensor(kept).to(own.bias.device).tensor_split([old.num_named])
    values, fitted = own.state_dict(), rows.state_dict()
    joined = {}
    for name, value in values.items():
        axis = _axis(name)
        if axis is None:
            joined[name] = value
        elif name in _OF_NAMED:
            joined[name] = torch.cat([value, fitted[name]], dim=axis)
        else:
            middle = _new_rows(value, fitted.get(name), axis, len(new))
            parts = [value.index_select(axis, before), middle, value.index_select(axis, after)]
            joined[name] = torch.cat(parts, dim=axis)
    tasks = (*(old.tasks[at] for at in before), *new, *(old.tasks[at] for at in after))
    head = model.attach_onset(_reshaped(old, tasks, len(new)))
    head.to(own.bias.device).load_state_dict(joined)
    model.eval()


def _reshaped(old: OnsetConfig, tasks: tuple[OnsetTask, ...], num_new: int) -> OnsetConfig:
    return old.model_copy(update={"tasks": tasks, "num_named": old.num_named + num_new})


def _axis(name: str) -> int | None:
    """Axis of a head's tensor along which tasks lie; None if it is of all tasks together."""
    of_head = _OF_TASKS | _OF_NAMED
    if name in of_head:
        return of_head[name]
    room, *rest = name.split(".")
    if room == "networks" and rest[1:] in (["task"], ["bias"]):
        return 0
    return 1 if room == "modalities" and rest[-1] == "beta" else None


def _new_rows(like: Tensor, fitted: Tensor | None, axis: int, number: int) -> Tensor:
    """Rows as fitted; of networks, and of modalities that were not given, zeros."""
    shape = list(like.shape)
    shape[axis] = number
    is_fitted = fitted is not None and list(fitted.shape) == shape
    return fitted if is_fitted and fitted is not None else like.new_zeros(shape)
