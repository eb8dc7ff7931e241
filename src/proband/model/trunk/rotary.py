"""Rotary embeddings of position and of age."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor, nn

from proband.core.units import DAYS_PER_YEAR, MINUTES_PER_YEAR
from proband.model.kernels.rotate import RotaryAngles

_POSITION_BASE = 10_000.0  # as in Su et al. 2021, doi:10.1016/j.neucom.2023.127063
_SHORTEST_PERIOD_YEARS = 30 / DAYS_PER_YEAR
_LONGEST_PERIOD_YEARS = 200.0


class Rotary(nn.Module):
    """Half the rotary pairs rotate with position, half with age in years.

    Age periods are log-spaced from a month to two centuries, so that attention sees how long ago, not only
    how many tokens ago.
    """

    position_rates: Tensor
    age_rates: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        pairs = head_dim // 2
        half = pairs // 2
        position = _POSITION_BASE ** (-torch.arange(half) / half)
        periods = torch.logspace(
            math.log10(_SHORTEST_PERIOD_YEARS), math.log10(_LONGEST_PERIOD_YEARS), pairs - half
        )
        self.register_buffer("position_rates", position, persistent=False)
        self.register_buffer("age_rates", 2 * math.pi / periods, persistent=False)

    def forward(
        self, positions: Int[Tensor, "batch length"], ages: Int[Tensor, "batch length"]
    ) -> RotaryAngles:
        """Cosines and sines per position, shared by all heads."""
        years = ages.float() / MINUTES_PER_YEAR
        angles = torch.cat(
            [positions.float()[..., None] * self.position_rates, years[..., None] * self.age_rates], dim=-1
        )
        return torch.stack([angles.cos(), angles.sin()], dim=-1)[:, :, None, None]
