"""Three unbiased estimators of cumulative incidence from the same kind of paths.

Let p_k be the model's probability that the k-th event of a path is the outcome, given its gap.

- mc: share of paths on which the outcome happens.
- scope: mean over ordinary paths of the sum of p_k while the outcome has not happened.
- reach: mean over paths on which the outcome cannot happen of 1 − Π(1 − p_k); never more variance than mc.

Scope and reach are due to Solo et al. 2026 (arXiv 2602.03730). An unresolved path counts with the middle of
its bounds: at least what it has gathered; at most 1 for mc and reach, at most 1 more for scope, whose sum
may pass 1 on a single path. So the risk is known up to half the unresolved share.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from proband.forecast.config import Estimator
from proband.forecast.sums import PathSums


@dataclass(frozen=True)
class Risks:
    """Risks of subjects by outcome and horizon.

    Attributes:
        risk: Cumulative incidence, 0 to 1.
        standard_error: Of the sampling of paths alone.
        unresolved: Share of paths cut before the answer; ``risk`` is known up to half of it.
    """

    risk: Float[Tensor, "*subjects outcomes horizons"]
    standard_error: Float[Tensor, "*subjects outcomes horizons"]
    unresolved: Float[Tensor, "*subjects outcomes horizons"]


def path_values(sums: PathSums, estimator: Estimator) -> Float[Tensor, "*subjects paths outcomes horizons"]:
    """What each path says about the risk; their mean is the estimate."""
    if estimator == "mc":
        value = sums.hit.double()
    elif estimator == "scope":
        value = sums.expected
    else:
        value = -torch.expm1(sums.log_escape)
    room = 1 - value if estimator == "reach" else torch.ones_like(value)
    return torch.where(sums.cut, value + room / 2, value)


def estimate(sums: PathSums, estimator: Estimator, after_gap: bool = False) -> Risks:
    """Mean, standard error and unresolved share over paths.

    Args:
        sums: What the paths gave.
        estimator: mc, scope or reach.
        after_gap: The first horizon is a blanking gap: the risks of the others are conditional on no outcome
            within it, (F(h) − F(gap)) / (1 − F(gap)), as the labels of such a task are.
    """
    values, unresolved = path_values(sums, estimator), sums.cut.double().mean(dim=-3)
    if after_gap:
        values, unresolved = _beyond_gap(values), unresolved[..., 1:]
    error = values.std(dim=-3, correction=1) / values.shape[-3] ** 0.5
    return Risks(
        risk=values.mean(dim=-3).clamp(0, 1), standard_error=error.clamp(max=1), unresolved=unresolved
    )


def _beyond_gap(
    values: Float[Tensor, "*subjects paths outcomes horizons"],
) -> Float[Tensor, "*subjects paths outcomes rest"]:
    """The ratio estimate, linearised: the paths' mean is the ratio, their spread its error (delta method)."""
    early, late = values[..., :1], values[..., 1:]
    escaped = (1 - early.mean(dim=-3, keepdim=True)).clamp(min=torch.finfo(values.dtype).tiny)
    ratio = (late - early).mean(dim=-3, keepdim=True) / escaped
    return ratio + ((late - early) - ratio * (1 - early)) / escaped


def stacked(parts: list[Risks]) -> Risks:
    """Risks of single subjects as one."""
    return Risks(
        *(torch.stack([getattr(part, name) for part in parts]) for name in Risks.__dataclass_fields__)
    )
