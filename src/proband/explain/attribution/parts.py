"""The sum that a log hazard is: age and sex, the record, the trunk's state, modalities, calibration.

    log hazard_d(t + u) = log rate_d(age at t + u, sex) + Σ over parts of g_{d,part}(u)

with parts ``record`` (linear terms and interactions of the record summary), ``record_by_time`` (what these
change with the time ahead; listed together with ``record``), ``networks``, ``state`` (of the trunk), one for
each modality such as ``genome``, and ``calibration`` (levels by time ahead, and the calibration found on the
tuning split). The record fades with the time ahead, by the head's decay and single values at a pace of their
own; in parts of modalities are their factors and levels by age.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from proband.model.onset.head import OnsetHead
from proband.model.onset.inputs import Inputs, Query

AGE_SEX, RECORD, BY_TIME, NETWORKS, STATE, CALIBRATION, DEATH = (
    "age_sex",
    "record",
    "record_by_time",
    "networks",
    "state",
    "calibration",
    "competing_death",
)
"""Names of parts, beside those of modalities. ``age_sex`` is the table of rates; ``competing_death`` is what
the subject's own hazard of death changes, against that of age and sex."""


def part_names(head: OnsetHead) -> tuple[str, ...]:
    """Parts of the log ratios, in the order of :func:`log_ratio_parts`."""
    return (RECORD, BY_TIME, NETWORKS, STATE, *head.modalities, CALIBRATION)


def log_ratio_parts(head: OnsetHead, query: Query) -> dict[str, Float[Tensor, "n tasks bins"]]:
    """The parts of every task's log ratio; their sum is ``head.calibrated(query)``.

    Args:
        head: Onset hazards.
        query: What is known of each subject; a modality that is not given has a part of 0.
    """
    inputs = head.inputs(query)
    networks = head.of_networks(inputs, query)
    parts = {
        RECORD: head.fading * _padded(head, named_record(head, inputs, query)),
        BY_TIME: head.change_with_time(inputs),
        NETWORKS: head.fading * networks,
        STATE: head.fading * _padded(head, inputs.state @ head.state_linear),
    }
    for name in head.modalities:
        term = torch.zeros_like(networks[..., 0])
        if name in query.modalities:
            term = head.linear_of(name)(query.modalities[name], query.age)
        parts[name] = term[:, :, None].expand_as(networks)
    parts[CALIBRATION] = head.calibrated(query) - sum(parts.values())
    return parts


def named_record(head: OnsetHead, inputs: Inputs, query: Query) -> Float[Tensor, "n named"]:
    """Linear terms and interactions of the record summary, before decay, of the tasks that have them."""
    return inputs.times(head.linear) + head.interactions(head.values_of(inputs), query)


def _padded(head: OnsetHead, named: Float[Tensor, "n named"]) -> Float[Tensor, "n tasks bins"]:
    """Terms of the named tasks, 0 for the others, at every time ahead."""
    full = F.pad(named, (0, len(head.bias) - named.shape[1]))
    return full[:, :, None].expand(-1, -1, head.bias.shape[1])
