"""What each code of a record gives: the linear terms and interactions of the summary, taken apart by code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from proband.model.onset.head import OnsetHead, squares
from proband.model.onset.inputs import Inputs, Query
from proband.tokens.history.summary import SummaryLayout

OTHER_CODES, NOT_HAD, AGE_SEX_TERMS = "other codes had", "codes not had", "age and sex beside the record"
"""Entries beside codes: what is not listed, the codes that the subject never had, and the interactions'
columns of age and sex alone."""


@dataclass(frozen=True)
class RecordTerms:
    """What each code gives to the record's part of the log hazard, against the mean of the train split.

    Attributes:
        bounds: Row r has the entries ``bounds[r]`` to ``bounds[r + 1]``.
        codes: Entry of the summary's layout, of codes had.
        values: What it gives by task.
        if_never: The same against never having had the code.
        not_had: What the codes give that the subject never had.
        age_sex: What the columns of age and sex alone give.
    """

    bounds: Int64[np.ndarray, " n_and_one"]
    codes: Int64[np.ndarray, " entries"]
    values: Float64[np.ndarray, "entries tasks"]
    if_never: Float64[np.ndarray, "entries tasks"]
    not_had: Float64[np.ndarray, "n tasks"]
    age_sex: Float64[np.ndarray, "n tasks"]


@torch.no_grad()
def record_terms(
    head: OnsetHead,
    layout: SummaryLayout,
    query: Query,
    tasks: list[int],
    ahead: int,
    by_time_alone: bool = False,
) -> RecordTerms:
    """Take the record's part apart, as it is in one bin of the time ahead.

    Args:
        head: Onset hazards.
        layout: Which feature is of which code.
        query: What is known of n subjects.
        tasks: Numbers of tasks; those without linear terms get 0.
        ahead: Number of the bin.
        by_time_alone: Of what changes with the time ahead alone, not of what fades as a whole.
    """
    inputs, first, timed = head.inputs(query), head.config.first_timed, head.config.num_timed
    decay, tau = head.fading[tasks, ahead] * (not by_time_alone), head.lateness[tasks, ahead]
    named = torch.tensor([task < head.config.num_named for task in tasks])
    columns = torch.tensor([min(task, head.config.num_named - 1) for task in tasks])
    effects = decay * head.linear[:, columns]
    by_time = tau * head.by_time[:, columns]
    effects[first : first + timed] += by_time[:timed]
    linear = (effects * named).double().numpy()
    code_of = layout.code_of_feature
    keys, own = _entries(query, code_of, len(layout.codes))
    row, code = np.divmod(keys, len(layout.codes))
    terms = inputs.differ.double().numpy()[:, None] * linear[query.features.numpy()]
    if_never = np.zeros((len(keys), len(tasks)))
    np.add.at(if_never, own, terms)
    never = np.zeros((len(layout.codes), len(tasks)))
    np.add.at(never, code_of, inputs.at_zero.double().numpy()[:, None] * linear)
    weights = head.interactions.weights[:, columns] * named * decay
    curved, of_never, age_sex = _interactions(head, inputs, query, weights)
    square, of_never_square = _squares(head, inputs, by_time[timed:] * named)
    curved, of_never = curved + square, of_never + of_never_square
    own_curved, place = np.zeros_like(if_never), layout.valued[code]
    has = place >= 0
    own_curved[has] = curved[row[has], place[has]]
    values = if_never + never[code] + own_curved
    if_never[has] += own_curved[has] - of_never[row[has], place[has]]
    had = np.zeros((len(query.age), len(tasks)))
    np.add.at(had, row, never[code] + own_curved)
    total = never.sum(axis=0) + curved.sum(axis=1)
    bounds = np.searchsorted(row, np.arange(len(query.age) + 1)).astype(np.int64)
    return RecordTerms(bounds, code, values, if_never, total - had, age_sex)


def _entries(query: Query, code_of: np.ndarray, num_codes: int) -> tuple[np.ndarray, np.ndarray]:
    """Each (row, code) had once, as row * num_codes + code, and which of them every feature is of."""
    sizes = np.diff(query.bounds.numpy())
    row = np.repeat(np.arange(len(sizes)), sizes)
    keys, own = np.unique(row * num_codes + code_of[query.features.numpy()], return_inverse=True)
    return keys, own.reshape(-1)


def _interactions(
    head: OnsetHead, inputs: Inputs, query: Query, weights: Float[Tensor, "width tasks"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What interactions give by code with values; what they would without any value; by age and sex alone."""
    per_code, valued = head.interactions.per_code, head.config.num_valued
    own = per_code * valued
    shaped = weights[:own].view(per_code, valued, weights.shape[1])

    def by_code(values: Tensor) -> np.ndarray:
        found = head.interactions.standardised(values, query)[:, :own]
        blocks = found.reshape(len(found), per_code, valued)
        return torch.einsum("npv,pvt->nvt", blocks, shaped).double().numpy()

    values = head.values_of(inputs)
    nothing = _without_values(head, inputs).expand(len(query.age), -1)
    alone = head.interactions.standardised(values, query)[:, own:] @ weights[own:]
    return by_code(values), by_code(nothing), alone.double().numpy()


def _squares(
    head: OnsetHead, inputs: Inputs, weights: Float[Tensor, "valued tasks"]
) -> tuple[np.ndarray, np.ndarray]:
    """What squares of last values change with the time ahead, by code with values; and without any value."""
    valued = head.config.num_valued
    found = squares(head.values_of(inputs)[:, valued:])[:, :, None] * weights
    nothing = squares(_without_values(head, inputs)[None, valued:])[:, :, None] * weights
    return found.double().numpy(), nothing.double().numpy()


def _without_values(head: OnsetHead, inputs: Inputs) -> Float[Tensor, " both"]:
    """Standardised mean and last values of who has none."""
    first = head.config.first_value
    return inputs.at_zero[first : first + 2 * head.config.num_valued]
