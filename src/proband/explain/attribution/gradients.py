"""Integrated gradients: what each input gives to a number that a network computes, along straight paths.

    attribution_i = mean over baselines b of (x_i - b_i) ∫ over [0, 1] of ∂f/∂x_i (b + t (x - b)) dt

Their sum is f(x) less the mean of f(b), up to the error of the integral (completeness; Sundararajan, Taly and
Yan 2017, arXiv 1703.01365). Baselines are drawn from the data (Erion et al. 2021,
doi:10.1038/s42256-021-00343-w), so that nothing is compared with an input that nobody has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

CLOSE = 0.01
"""Completeness error, as a share of the difference explained, at which an integral counts as found."""
_SMALL = 0.01
"""Difference below which the error is taken as a share of this."""
_NODES = (16, 32, 64, 128)
Function = Callable[[Tensor], Tensor]
"""Inputs (n, ...) to numbers (n, outputs)."""


@dataclass(frozen=True)
class Integral:
    """Attributions of one input.

    Attributes:
        values: By output and element of the input, (outputs, ...).
        difference: By output, f of the input less the mean of f over baselines.
    """

    values: np.ndarray
    difference: Float64[np.ndarray, " outputs"]

    @property
    def error(self) -> float:
        """Largest completeness error, as a share of the difference."""
        total = self.values.reshape(len(self.values), -1).sum(axis=1)
        size = np.maximum(np.abs(self.difference), _SMALL)
        return float((np.abs(total - self.difference) / size).max(initial=0.0))


def integrated_gradients(function: Function, x: Tensor, baselines: Tensor) -> Integral:
    """Attributions of ``x`` against each of some baselines, mean over them.

    Gauss-Legendre nodes are doubled from 16 until the error is at most 1%, or to 128.

    Args:
        function: What is explained; differentiable.
        x: The input, (...).
        baselines: Other inputs, (baselines, ...).
    """
    for nodes in _NODES:
        parts = [_along(function, x, baseline, nodes) for baseline in baselines]
        found = Integral(
            np.mean([part.values for part in parts], axis=0),
            np.mean([part.difference for part in parts], axis=0),
        )
        if found.error <= CLOSE:
            break
    return found


def _along(function: Function, x: Tensor, baseline: Tensor, nodes: int) -> Integral:
    """Along one path."""
    place, weight = np.polynomial.legendre.leggauss(nodes)
    step = x - baseline
    at = torch.from_numpy((place + 1) / 2).to(x).reshape(-1, *[1] * x.dim())
    weights = torch.from_numpy(weight / 2).to(x)
    point = (baseline + at * step).requires_grad_()
    with torch.enable_grad():
        values = function(point).sum(dim=0).unbind()
        gradients = [
            torch.autograd.grad(one, point, retain_graph=True, allow_unused=True)[0] for one in values
        ]
    slopes = [
        torch.zeros_like(x) if one is None else torch.tensordot(weights, one, dims=1) for one in gradients
    ]
    with torch.no_grad():
        ends = function(torch.stack([baseline, x])).double().numpy()
    return Integral((torch.stack(slopes) * step).double().numpy(), ends[1] - ends[0])
