"""Onsets of standard normal inputs, as regressions of onset hazards read them."""

from __future__ import annotations

import numpy as np
import torch

from proband.train.onset.terms.ridge import Counts


def simulated_counts(seed: int, n: int, beta: np.ndarray, exposure: float = 0.3) -> Counts:
    """Onsets of independent standard normal inputs; ``beta`` is (inputs, tasks)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(beta)))
    mean = exposure * np.exp(x @ beta)
    parts = (x, rng.poisson(mean), np.full_like(mean, exposure))
    return Counts(*(torch.from_numpy(part.astype(np.float32)) for part in parts))
