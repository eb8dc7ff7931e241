"""Draws of the next gap and the next code, each a function of (seed, subject, path, step) alone."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from proband.core.seeds import uniforms


def path_uniforms(
    seed: int,
    name: str,
    subject_ids: Int[np.ndarray, " n"],
    paths: Int[np.ndarray, " n"],
    steps: Int[np.ndarray, " n"],
) -> Float[Tensor, " n"]:
    """Uniform draws of paths at their steps, float64, independent of batching and order."""
    return torch.from_numpy(uniforms(seed, f"forecast {name}", subject_ids, paths, steps))


def draw_codes(
    probabilities: Float[Tensor, "n vocabulary"], uniform: Float[Tensor, " n"]
) -> Int[Tensor, " n"]:
    """Inverse-transform draws; ``probabilities`` need not be normalised, rows must have some mass."""
    cumulative = probabilities.double().cumsum(-1)
    target = uniform * cumulative[:, -1]
    drawn = torch.searchsorted(cumulative, target[:, None], right=True).squeeze(-1)
    # A draw within rounding of the total must still be a code with mass: the last one.
    last = cumulative.shape[1] - 1 - (probabilities > 0).flip(-1).int().argmax(-1)
    return torch.minimum(drawn, last)
