"""AdamW and its learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from proband.model.trunk.width import WideLinear, width_scale
from proband.train.config import TrainConfig

_BETAS = (0.9, 0.95)
_FINAL_SHARE = 0.05


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves gains and biases alone.

    Each group has a ``scale``, by which :func:`rate_at` is to be multiplied for it. AdamW's decay per step
    is rate times weight decay; so that it is the same at every width, the decay of wide layers is divided by
    their scale (Wang 2024, arXiv 2405.13698).
    """
    scale = width_scale(config.size.dim)
    wide = {id(layer.weight) for layer in model.modules() if isinstance(layer, WideLinear)}
    others = [p for p in model.parameters() if id(p) not in wide]
    groups = [
        {"params": [p for p in others if p.ndim >= 2], "scale": 1.0, "weight_decay": config.weight_decay},
        {"params": [p for p in others if p.ndim < 2], "scale": 1.0, "weight_decay": 0.0},
        {
            "params": [p for p in model.parameters() if id(p) in wide],
            "scale": scale,
            "weight_decay": config.weight_decay / scale,
        },
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=_BETAS, fused=True)


def rate_at(progress: float, config: TrainConfig) -> float:
    """Learning rate at a share ``progress`` of training: linear warm-up, then half a cosine to 5%.

    >>> config = TrainConfig(learning_rate=1.0, warm_up=0.1)
    >>> rate_at(0.05, config), round(rate_at(1.0, config), 3)
    (0.5, 0.05)
    """
    if progress < config.warm_up:
        return config.learning_rate * max(progress / config.warm_up, 1e-3)
    done = min(1.0, (progress - config.warm_up) / (1 - config.warm_up))
    return config.learning_rate * (_FINAL_SHARE + (1 - _FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done)))
