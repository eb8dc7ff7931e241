"""AdamW and its learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from proband.train.config import TrainConfig

_BETAS = (0.9, 0.95)
_FINAL_SHARE = 0.05


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves gains and biases alone."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.peak_rate, betas=_BETAS, fused=True)


def rate_at(progress: float, config: TrainConfig) -> float:
    """Learning rate at a share ``progress`` of training: linear warm-up, then half a cosine to 5%.

    >>> config = TrainConfig(learning_rate=1.0, warm_up=0.1)
    >>> rate_at(0.05, config), round(rate_at(1.0, config), 3)
    (0.5, 0.05)
    """
    if progress < config.warm_up:
        return config.peak_rate * max(progress / config.warm_up, 1e-3)
    done = min(1.0, (progress - config.warm_up) / (1 - config.warm_up))
    return config.peak_rate * (_FINAL_SHARE + (1 - _FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done)))
