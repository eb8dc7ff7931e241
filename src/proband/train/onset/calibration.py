"""Calibration of onset hazards on the tuning split, shrunk towards none.

log H' = a + s log H for the cumulative hazard H of ten years: a subject's hazards are multiplied by
exp(a + (s - 1) log H). s - 1, and what the two give at the mean of log H, have normal priors around 0, so
that outcomes of few tuning onsets keep the model's risk. The level is known from the train split already, by
its onsets: the prior of the correction is no wider than that, or a tuning split that has more cases than
others by chance would raise the risks of everybody.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from proband.model.onset.head import CALIBRATION_YEARS, OnsetHead
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import expected_and_happened

PRIOR_SD = (0.1, 0.1)
"""Of the correction at the mean of log H, at most, and of slope less 1. Rounded choices of ours."""
_STEPS = 30
_JUDGED_AT_ONCE = 2048


@torch.no_grad()
def calibrate(head: OnsetHead, train: Part, tuning: Part, device: torch.device) -> None:
    """Set the head's intercepts and slopes; those of codes and families stay 0 and 1.

    Args:
        head: Fitted, its levels on the dates of ``train``.
        train: By its onsets levels are known.
        tuning: Dates to calibrate on.
        device: Where the head is.
    """
    named = head.config.num_named
    log_total, expected, happened = [], [], []
    for begin in range(0, len(tuning), _JUDGED_AT_ONCE):
        chosen = np.arange(begin, min(begin + _JUDGED_AT_ONCE, len(tuning)))
        query, followed = tuning.batch(chosen, device)
        log_ratio = head(query)[:, :named]
        found = expected_and_happened(head, query, log_ratio, followed.first(named))
        log_total.append(head.log_expected(query.age, query.female, log_ratio, CALIBRATION_YEARS))
        expected.append(found[0])
        happened.append(found[1].float())
    total, mean, onsets = (torch.cat(parts).double().cpu() for parts in (log_total, expected, happened))
    level_sd = train.onsets(named).clamp(min=1).rsqrt()
    intercept, slope = fit_calibration(total, mean, onsets, tuning.per_subject, level_sd)
    head.intercept[:named] = intercept.to(head.intercept)
    head.slope[:named] = slope.to(head.slope)


def fit_calibration(
    log_total: Float[Tensor, "n tasks"],
    expected: Float[Tensor, "n tasks"],
    happened: Float[Tensor, "n tasks"],
    per_subject: float = 1.0,
    level_sd: Float[Tensor, " tasks"] | None = None,
) -> tuple[Float[Tensor, " tasks"], Float[Tensor, " tasks"]]:
    """Intercept and slope of each task by Newton's method.

    Args:
        log_total: Log cumulative hazard of ten years.
        expected: Cumulative hazard over the follow-up.
        happened: Whether the onset came.
        per_subject: Dates per subject: each counts as one over it, so that the prior meets subjects.
        level_sd: Standard error with which the level of each task is known; default, and at most,
            ``PRIOR_SD``.
    """
    centre = (expected * log_total).sum(dim=0) / expected.sum(dim=0).clamp(min=1e-12)
    design = torch.stack([torch.ones_like(log_total), log_total - centre])
    of_level = torch.full_like(centre, PRIOR_SD[0])
    if level_sd is not None:
        of_level = torch.minimum(of_level, level_sd.to(of_level))
    precision = torch.stack([of_level, torch.full_like(centre, PRIOR_SD[1])], dim=1) ** -2
    theta = torch.zeros(2, log_total.shape[1], dtype=torch.float64)
    for _ in range(_STEPS):
        predictor = torch.einsum("knt,kt->nt", design, theta).clamp(-5, 5)
        mean = expected * predictor.exp() / per_subject
        gradient = torch.einsum("knt,nt->tk", design, mean - happened / per_subject)
        gradient = gradient + theta.T * precision
        curvature = torch.einsum("knt,lnt,nt->tkl", design, design, mean) + torch.diag_embed(precision)
        step = torch.linalg.solve(curvature, gradient).T
        theta = theta - step.clamp(-0.5, 0.5)
        if step.abs().max() < 1e-8:
            break
    return theta[0] - theta[1] * centre, 1 + theta[1]
