"""New rows of an onset head: tasks fitted in closed form on a model that stays as it is."""

from __future__ import annotations

import functools
from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from proband.model.config import OnsetTask
from proband.model.onset.head import OnsetHead
from proband.model.onset.inputs import Query
from proband.model.onset.terms import OF_FOLDS
from proband.model.transformer import Proband
from proband.train.onset.decay import fit_levels
from proband.train.onset.fit import Part, mean_loss
from proband.train.onset.stage import OnsetResult, fit_modality_terms, fit_term
from proband.train.onset.terms.record import fit_inputs
from proband.train.onset.terms.shrinkage import CHOICES, Choice, fit_cross_validated, fit_of_width

_OF_TASKS = {"log_rate": 0, "bias": 0, "intercept": 0, "slope": 0}
"""Axes of tensors along which all tasks lie."""
_OF_RECORD = ("linear", "state_linear", "by_time", "interactions.weights")
"""Tensors of the named tasks alone, along axis 1; those of folds have them along axis 2."""
_BY_AGE = "by_age"
_FIT_SIZE = functools.partial(fit_of_width, width=0.5)
"""How much of the mean of known tasks a new one has: its prior is 1 ± 0.5. Rounded choice of ours."""
_FIT_KNOWN = functools.partial(
    fit_cross_validated, choices=(Choice(0.03), Choice(0.1), Choice(0.3), Choice(0.3, 0.3))
)
"""Standard deviations of the weights of known tasks beyond their mean: 1 is the known task itself."""
_FIT_FEW = functools.partial(fit_cross_validated, choices=(*CHOICES, Choice(0.04, 0.3)))
"""Of onsets, perhaps few: the last choice leaves what one strong input tells, such as blood glucose."""
_FIT_LABELS = functools.partial(
    fit_cross_validated, choices=(*map(Choice, (0.01, 0.02, 0.04, 0.1, 0.3)), Choice(0.3, 0.3))
)
"""Of the record's terms for labels, as many of which may be true as false: wider than for rare onsets."""
_DATES = 8192
"""Dates whose mean centres what known tasks say, at most."""


def rows_head(
    model: Proband,
    tasks: tuple[OnsetTask, ...],
    log_rate: Float[Tensor, "tasks sexes ages"],
    given: Collection[str],
) -> OnsetHead:
    """A head of new tasks alone that is the age-sex table, and reads its inputs as the model's own head does.

    Args:
        model: A model with onset hazards.
        tasks: The new tasks.
        log_rate: Their log incidence per year.
        given: Modalities whose linear terms are to be fitted.
    """
    own = model.onset
    assert own is not None
    linear = {name: width for name, width in own.config.linear.items() if name in given}
    shape = own.config.model_copy(update={"tasks": tasks, "num_named": len(tasks), "linear": linear})
    head = OnsetHead(model.config.model_copy(update={"onset": shape})).to(own.bias.device).eval()
    values, blank = own.state_dict(), head.state_dict()
    of_all = {name: values[name] for name in blank if _axis(name) is None and name != "decay"}
    head.load_state_dict(blank | of_all | {"log_rate": log_rate})
    return head.requires_grad_(False)


def fit_rows(head: OnsetHead, own: OnsetHead, train: Part, tuning: Part, device: torch.device) -> OnsetResult:
    """Fit all terms of the rows, first what known tasks tell of them; shrinkage is by cross-validation.

    Args:
        head: As :func:`rows_head` makes it.
        own: The model's head; its decay of the record's effects, one for all tasks, serves the new ones too.
        train, tuning: Labelled dates.
        device: Where the heads are.
    """
    result = OnsetResult({"age_sex": mean_loss(head, tuning, device)}, {})
    result.notes.update(fit_known_tasks(head, own, train, tuning, device))
    result.losses["known_tasks"] = mean_loss(head, tuning, device)
    of_record = _FIT_LABELS if head.config.tasks[0].is_label else _FIT_FEW
    fit_term("record", head, train, tuning, device, result, of_record)
    head.decay.copy_(own.decay)
    fit_levels(head, train, device)
    result.losses["decay"] = mean_loss(head, tuning, device)
    if not head.is_label.any():
        fit_term("by_time", head, train, tuning, device, result)
    fit_modality_terms(head, train, tuning, device, result)
    return result


def fit_known_tasks(
    head: OnsetHead, own: OnsetHead, train: Part, tuning: Part, device: torch.device
) -> dict[str, float]:
    """Start each new row at a sum of the record's terms of the model's named tasks.

    A new outcome is taken for one more of the kind that the model knows: without labels, what the record says
    of it is the mean of what it says of known onsets. Labels tell first how much of the mean, then by how
    much each known task counts more or less. A row is linear in all that tells it from others, so that the
    sum is a row as well. Outcomes that are labels themselves need not be like onsets, and begin at none.

    Returns:
        How coefficients were shrunk (:func:`~proband.train.onset.terms.shrinkage.fit_cross_validated`), and
        ``size``: of the mean, averaged over the new tasks.
    """
    named, onsets = own.config.num_named, own.named_onsets
    mean = own.bias.new_zeros(named, 1)
    mean[onsets] = 1 / max(1, len(onsets))
    some = np.unique(np.linspace(0, len(train) - 1, min(_DATES, len(train))).astype(np.int64))

    def told(query: Query) -> Tensor:
        return own.before_decay(query, own.inputs(query))[:, :named].mean(dim=-1)

    with torch.no_grad():
        centre = told(train.batch(some, device)[0]).mean(dim=0)
    size = torch.where(head.is_label, 0.0, 1.0)
    _set_known_tasks(head, own, mean * size, train, device)

    def of_mean(query: Query) -> Tensor:
        return (told(query) - centre) @ mean

    group = torch.zeros(named, dtype=torch.int64)  # one of all
    found = fit_inputs(head, train, tuning, device, of_mean, group[:1], _FIT_SIZE)
    size, of_size = size + found.beta[0], found.folds[:, :1]
    _set_known_tasks(head, own, mean * size, train, device)

    def beyond_mean(query: Query) -> Tensor:
        each = told(query) - centre
        return each - each @ mean

    beta, folds, _, notes = fit_inputs(head, train, tuning, device, beyond_mean, group, _FIT_KNOWN)
    weights = mean * (size - beta.sum(dim=0)) + beta
    _set_known_tasks(head, own, weights, train, device)
    _set_folds(head, own, weights, mean * (of_size - folds.sum(dim=1, keepdim=True)) + folds)
    notes["size"] = float(size.mean())
    return {f"known_tasks_{name}": value for name, value in notes.items()}


@torch.no_grad()
def _set_known_tasks(
    head: OnsetHead,
    own: OnsetHead,
    weights: Float[Tensor, "known new"],
    train: Part,
    device: torch.device,
) -> None:
    """Make the record's terms of new rows a weighted sum of those of known tasks, and set the levels."""
    for name in _OF_RECORD:
        head.get_buffer(name).copy_(own.get_buffer(name) @ weights)
    head.by_time[:, head.is_label] = 0.0
    for mine, theirs in zip(head.networks, own.networks, strict=True):
        for name in ("task", "bias"):
            mine.get_parameter(name).copy_(weights.T @ theirs.get_parameter(name)[: len(weights)])
    fit_levels(head, train, device)


@torch.no_grad()
def _set_folds(
    head: OnsetHead,
    own: OnsetHead,
    weights: Float[Tensor, "known new"],
    folds: Float[Tensor, "folds known new"],
) -> None:
    """Say what the record's terms of new rows change by if a fold of the train people is left out: by what
    those of known tasks do, and by what their ``weights`` do (``folds``). Folds are fifths of the people in
    their order, so that both are of the same people where these are the model's."""
    kept = {"linear": own.fitted, "by_time": own.fitted_by_time}
    for name in _OF_RECORD:
        coefficients, of_folds = own.get_buffer(name), own.get_buffer(f"{name}{OF_FOLDS}")
        coefficients = coefficients[kept[name]] if name in kept else coefficients
        head.get_buffer(f"{name}{OF_FOLDS}").copy_(of_folds @ weights + coefficients @ folds)
    head.by_time_folds[:, :, head.is_label] = 0.0


def add_rows(model: Proband, rows: OnsetHead) -> None:
    """Give a model the rows of new tasks, behind the tasks it names; nothing else of it changes.

    A code or family that is now an outcome loses its own row.
    """
    own = model.onset
    assert own is not None
    old, new = own.config, rows.config.tasks
    taken = {task.tokens for task in new if task.tokens}
    first = list(range(old.num_named))
    rest = [at for at in range(old.num_named, len(old.tasks)) if old.tasks[at].tokens not in taken]
    values, fitted = own.state_dict(), rows.state_dict()
    joined = {}
    for name, value in values.items():
        axis = _axis(name)
        if axis is None:
            joined[name] = value
            continue
        before = value.index_select(axis, torch.tensor(first, device=value.device))
        parts = [before, _new_rows(name, value, fitted.get(name), axis, len(new))]
        if name not in _OF_RECORD and not name.endswith(OF_FOLDS):
            parts.append(value.index_select(axis, torch.tensor(rest, dtype=torch.int64, device=value.device)))
        joined[name] = torch.cat(parts, dim=axis)
    tasks = (*(old.tasks[at] for at in first), *new, *(old.tasks[at] for at in rest))
    shape = old.model_copy(update={"tasks": tasks, "num_named": old.num_named + len(new)})
    model.attach_onset(shape).to(own.bias.device).load_state_dict(joined)
    model.eval()


def _axis(name: str) -> int | None:
    """Axis of a head's tensor along which tasks lie; None if it is of all tasks together."""
    if name in _OF_TASKS:
        return _OF_TASKS[name]
    if name in _OF_RECORD:
        return 1
    if name.endswith(OF_FOLDS):
        return 2
    group, *rest = name.split(".")
    if group == "networks" and rest[1:] in (["task"], ["bias"]):
        return 0
    return 1 if group == "modalities" and rest[-1] in ("beta", _BY_AGE, "level") else None


def _new_rows(name: str, like: Tensor, fitted: Tensor | None, axis: int, number: int) -> Tensor:
    """Rows as fitted; of modalities that were not given as before any fit: factors of 1, else 0."""
    shape = list(like.shape)
    shape[axis] = number
    blank = 1.0 if name.endswith(_BY_AGE) else 0.0
    return like.new_full(shape, blank) if fitted is None else fitted
