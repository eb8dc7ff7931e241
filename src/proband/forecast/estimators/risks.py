"""Unbiased estimators of cumulative incidence from sampled paths, with their errors.

At its k-th event, given all before, let S_k be the model's probability that the event falls within the last
horizon, and p_k that its code is in the outcome set, given its gap.

- mc: share of paths on which the outcome happens.
- scope: mean over ordinary paths of the sum of S_k p_k while the outcome has not happened.
- reach: mean over paths on which the outcome cannot happen of the sum of S_k p_k Π_{j<k} (1 − p_j). A path's
  value lies between 0 and 1, so its variance never exceeds that of mc.

Scope and reach extend the estimators of Solo et al. 2026 (arXiv 2602.03730), whose paths draw whether an
event falls within the horizon where these use the probability S_k. An unresolved path counts with the middle
of its bounds: at least what it has gathered; at most 1 more for mc and scope (whose sum may pass 1 on a
single path), Π (1 − p_j) more for reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from proband.forecast.choices import ESTIMATORS
from proband.forecast.estimators.estimator import PathEstimator
from proband.forecast.estimators.path_values import PathValues


@dataclass(frozen=True)
class Risks:
    """Risks of subjects by outcome and horizon.

    Attributes:
        risk: Cumulative incidence, 0 to 1.
        standard_error: Of the sampling of paths alone.
        unresolved: Share of paths cut before the answer.
        low, high: What the risk would be if unresolved paths contributed the least and the most they may; the
            sampling error comes on top.
        fit_error: Standard error of the fit of onset hazards; NaN where it is not known, as of sampled paths.
    """

    risk: Float[Tensor, "*subjects outcomes horizons"]
    standard_error: Float[Tensor, "*subjects outcomes horizons"]
    unresolved: Float[Tensor, "*subjects outcomes horizons"]
    low: Float[Tensor, "*subjects outcomes horizons"]
    high: Float[Tensor, "*subjects outcomes horizons"]
    fit_error: Float[Tensor, "*subjects outcomes horizons"]


@dataclass(frozen=True)
class Precision:
    """When a risk is known well enough.

    Attributes:
        absolute: Largest standard error.
        relative: The same as a share of the risk; the larger of the two counts.
    """

    absolute: float = 0.0
    relative: float = 0.0

    def reached(self, risk: Float[Tensor, "*n"], standard_error: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        """Whether each standard error is small enough."""
        return standard_error <= (risk * self.relative).clamp(min=self.absolute)


def in_closed_form(
    risk: Float[Tensor, "*subjects outcomes horizons"],
    by_fold: Float[Tensor, "folds *subjects outcomes horizons"],
) -> Risks:
    """Risks that need no paths, with their errors of the fit.

    Args:
        risk: The risks.
        by_fold: Those of a fit without each fold of the train people (:func:`jackknife`).
    """
    exact = torch.zeros_like(risk)
    return Risks(risk, exact, exact, risk, risk, jackknife(by_fold))


def jackknife(
    by_fold: Float[Tensor, "folds *subjects outcomes horizons"],
) -> Float[Tensor, "*subjects outcomes horizons"]:
    """Standard errors of what was computed without each of K folds: the root of (K − 1) / K times the sum of
    squares around their mean (Tukey 1958); NaN where it is not known without a fold.

    >>> round(jackknife(torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)).item(), 6)
    0.11547
    """
    folds = len(by_fold)
    return ((folds - 1) / folds * (by_fold - by_fold.mean(dim=0)).square().sum(dim=0)).sqrt()


def estimate(paths: PathValues, estimator: str, after_gap: bool = False) -> Risks:
    """Mean, standard error and bounds over paths.

    Args:
        paths: What each path contributes.
        estimator: By which rule.
        after_gap: The first horizon is a blanking gap: the risks of the others are conditional on no outcome
            within it, (F(h) − F(gap)) / (1 − F(gap)), as the labels of such a task are.
    """
    method: PathEstimator = ESTIMATORS[estimator]()
    low = paths.value.mean(dim=-3).clamp(0, 1)
    high = (paths.value + paths.margin).mean(dim=-3).clamp(0, 1)
    values, unresolved = contributions(paths, after_gap), (paths.margin > 0).double().mean(dim=-3)
    if after_gap:
        unresolved = unresolved[..., 1:]
        low, high = _bounds_beyond_gap(low, high)
    return Risks(
        risk=values.mean(dim=-3).clamp(0, 1),
        standard_error=method.standard_error(values).clamp(max=1),
        unresolved=unresolved,
        low=low,
        high=high,
        fit_error=torch.full_like(low, torch.nan),
    )


def contributions(
    paths: PathValues, after_gap: bool = False
) -> Float[Tensor, "*subjects paths outcomes horizons"]:
    """What each path contributes to the risks, their mean; arguments as of :func:`estimate`."""
    values = paths.value + paths.margin / 2
    return _beyond_gap(values) if after_gap else values


def _beyond_gap(
    values: Float[Tensor, "*subjects paths outcomes horizons"],
) -> Float[Tensor, "*subjects paths outcomes rest"]:
    """The ratio estimate, linearised (delta method): the paths' mean is the ratio, their sd gives its error.

    Where hardly anybody is free of an outcome at the gap's end, scope's share of those who are may come out
    at 0 or less. The error then grows beyond all bounds, as it must: nothing is known of the few.
    """
    early, late = values[..., :1], values[..., 1:]
    free = (1 - early.mean(dim=-3, keepdim=True)).clamp(min=torch.finfo(values.dtype).eps)
    ratio = (late - early).mean(dim=-3, keepdim=True) / free
    return ratio + ((late - early) - ratio * (1 - early)) / free


def _bounds_beyond_gap(
    low: Float[Tensor, "*subjects outcomes horizons"], high: Float[Tensor, "*subjects outcomes horizons"]
) -> tuple[Tensor, Tensor]:
    """Bounds of the ratio, which falls with F(gap) and rises with F(h); none where F(gap) is 1."""
    tiny = torch.finfo(low.dtype).tiny
    least, most = low[..., :1], high[..., :1]
    lowest = (low[..., 1:] - most) / (1 - most).clamp(min=tiny)
    highest = (high[..., 1:] - least) / (1 - least).clamp(min=tiny)
    return lowest.clamp(0, 1), torch.where(least < 1, highest.clamp(0, 1), 1.0)


def stacked(parts: list[Risks]) -> Risks:
    """Risks of single subjects as one."""
    return Risks(
        *(torch.stack([getattr(part, name) for part in parts]) for name in Risks.__dataclass_fields__)
    )


def side_by_side(parts: list[Risks]) -> Risks:
    """Risks of the same subjects about different outcomes as one."""
    return Risks(
        *(torch.cat([getattr(part, name) for part in parts], dim=-2) for name in Risks.__dataclass_fields__)
    )
