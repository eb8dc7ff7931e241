"""Risks in closed form: onset hazards integrated over time with death competing.

    F_d(h) = ∫_0^h hazard_d(u) S(u) du,  S(u) = exp(-∫_0^u hazard_d + hazard_death)

in steps of a month, in which hazards are constant. The hazard of death is that of everybody alive, not of
those free of d alone, so that F_d is a little too low where d itself kills many.

A task of labels, in which the time of what happened is not known and counts as the middle of the window
(:class:`~proband.ehr.task.labelled.Labelled`), has no death competing. Its cumulative hazard Λ is then the
central rate of a life table, and its risk Λ / (1 + Λ / 2), at most 1 (Chiang 1968, Introduction to Stochastic
Processes in Biostatistics, chapter 9): with no other input the risk is the share of labels that are true.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from proband.core.statistics.incidence import MONTHS, OLDEST
from proband.forecast.estimators.estimator import RiskEstimator
from proband.model.config import BIN_EDGES
from proband.model.onset.head import OnsetHead, sex_rows

_TINY = 1e-30


class ClosedForm(RiskEstimator):
    """Integrates onset hazards (:func:`cumulative_incidence`); exact, without paths."""

    samples_paths = False


def cumulative_incidence(
    head: OnsetHead,
    log_ratio: Float[Tensor, "n tasks bins"],
    age: Float[Tensor, " n"],
    female: Float[Tensor, " n"],
    tasks: Sequence[int],
    death: int | None,
    horizons_years: Sequence[float],
) -> Float[Tensor, "n outcomes horizons"]:
    """Risk of each task by each horizon.

    Args:
        head: Whose rates.
        log_ratio: Log ratios of all tasks.
        age: Ages at the prediction time, years; they count in whole months.
        female: 1, 0, or NaN for unknown.
        tasks: Numbers of the tasks asked about.
        death: Number of the task that is death; None for risks without death competing. It does not compete
            with an outcome that it is part of, nor with labels.
        horizons_years: Horizons, ascending.

    Returns:
        Risks in [0, 1].
    """
    months = math.ceil(horizons_years[-1] * MONTHS - 1e-9)
    chosen = torch.tensor(list(tasks), dtype=torch.long, device=age.device)
    hazard = _hazards(head, log_ratio, age, female, chosen, months)
    if death is None:
        other = torch.zeros_like(hazard[:, :1])
    else:
        one = torch.tensor([death], device=age.device)
        competes = [not (_holds(head, task, death) or head.config.tasks[task].is_label) for task in tasks]
        other = _hazards(head, log_ratio, age, female, one, months)
        other = other * torch.tensor(competes, dtype=torch.bool, device=age.device)[:, None]
    total = hazard + other
    width = 1 / MONTHS
    before = torch.exp(-(total.cumsum(dim=-1) - total) * width)
    share = hazard / total.clamp(min=_TINY)
    within = before * share * -torch.expm1(-total * width)
    by_month = torch.nn.functional.pad(within.cumsum(dim=-1), (1, 0))
    found = []
    for horizon in horizons_years:
        month = min(int(horizon * MONTHS + 1e-9), months - 1)
        rest = horizon - month * width
        part = before[..., month] * share[..., month] * -torch.expm1(-total[..., month] * rest)
        found.append(by_month[..., month] + part)
    risk = torch.stack(found, dim=-1).clamp(0, 1)
    return torch.where(head.is_label[chosen, None], _of_label(risk), risk)


def _of_label(risk: Float[Tensor, "n some horizons"]) -> Float[Tensor, "n some horizons"]:
    """Λ / (1 + Λ / 2) for the risk 1 - exp(-Λ), at most 1."""
    total = -torch.log1p(-risk.clamp(max=1 - 1e-12))
    return (total / (1 + total / 2)).clamp(max=1)


def cumulative_hazards(
    head: OnsetHead,
    log_ratio: Float[Tensor, "n tasks bins"],
    age: Float[Tensor, " n"],
    female: Float[Tensor, " n"],
    tasks: Sequence[int],
    years: float,
) -> Float[Tensor, "n chosen months"]:
    """Cumulative hazards of tasks at the ends of months from 0 to ``years`` ahead, float64.

    Arguments as of :func:`cumulative_incidence`; nothing competes.
    """
    chosen = torch.tensor(list(tasks), dtype=torch.long, device=age.device)
    hazard = _hazards(head, log_ratio, age, female, chosen, math.ceil(years * MONTHS - 1e-9))
    return torch.nn.functional.pad(hazard.cumsum(dim=-1) / MONTHS, (1, 0))


def _holds(head: OnsetHead, task: int, death: int) -> bool:
    """Whether a task's tokens hold those of death."""
    return set(head.config.tasks[death].tokens) <= set(head.config.tasks[task].tokens)


def _hazards(
    head: OnsetHead,
    log_ratio: Float[Tensor, "n tasks bins"],
    age: Float[Tensor, " n"],
    female: Float[Tensor, " n"],
    tasks: Tensor,
    months: int,
) -> Float[Tensor, "n outcomes months"]:
    """Hazards per year in each month ahead."""
    ahead = torch.arange(months, dtype=torch.float64, device=age.device) / MONTHS
    month = (age.double() * MONTHS).floor()
    year = ((month[:, None] + 0.5) / MONTHS + ahead).long().clamp(0, OLDEST - 1)
    edges = torch.tensor(BIN_EDGES[1:], dtype=torch.float64, device=age.device)
    bins = torch.bucketize(ahead + 1e-9, edges, right=True)
    rate = head.log_rate[tasks[:, None], sex_rows(female)[:, None, None], year[:, None, :]].double()
    return torch.exp(rate + log_ratio[:, tasks][..., bins].double())
