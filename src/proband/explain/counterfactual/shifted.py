"""Risks of changed queries: with other genomes, or of records that were changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from proband.explain.attribution.decomposition import rates_of
from proband.explain.attribution.shapley import Segments, segments, shapley_points
from proband.explain.inputs import Asked
from proband.model.config import BIN_EDGES
from proband.model.onset.inputs import Query


@dataclass(frozen=True)
class Shifted:
    """Queries, and the log ratios of the first tasks before calibration, to which something may be added.

    Attributes:
        asked: The question.
        query: What is known of n subjects.
        raw: Log ratios of the first tasks, all outcomes and death among them.
        where: Segments of the time ahead.
        rate, death_rate: Hazards by age and sex.
    """

    asked: Asked
    query: Query
    raw: Float[Tensor, "n some bins"]
    where: Segments
    rate: Float64[np.ndarray, "n outcomes segments"]
    death_rate: Float64[np.ndarray, "n outcomes segments"]

    @classmethod
    @torch.no_grad()
    def of(cls, asked: Asked, query: Query) -> Shifted:
        """Queries as they are."""
        some = 1 + max(*asked.tasks, asked.death or 0)
        where = segments(query.age.double().numpy(), asked.times)
        rate = rates_of(asked, list(asked.tasks), query, where)
        death = np.zeros_like(rate)
        if asked.death is not None:
            death = rates_of(asked, [asked.death], query, where) * asked.competes[None, :, None]
        return cls(asked, query, asked.head(query)[:, :some], where, rate, death)

    @property
    def num_tasks(self) -> int:
        """First tasks whose log ratios are there."""
        return self.raw.shape[1]

    @torch.no_grad()
    def log_ratio(
        self, shift: Float64[np.ndarray, "n some"] | None = None
    ) -> Float64[np.ndarray, "n some bins"]:
        """Calibrated log ratios with ``shift`` added before calibration."""
        raw = self.raw if shift is None else self.raw + torch.from_numpy(shift).to(self.raw)[:, :, None]
        return self.asked.head.calibrate(self.query, raw).double().numpy()

    def risk(
        self, shift: Float64[np.ndarray, "n some"] | None = None
    ) -> Float64[np.ndarray, "n outcomes horizons"]:
        """Risks with ``shift`` added to the log ratios of the first tasks."""
        ratio = self.log_ratio(shift)
        death = np.zeros((len(ratio), len(BIN_EDGES)))
        if self.asked.death is not None:
            death = ratio[:, self.asked.death]
        whole = ratio[None, :, list(self.asked.tasks)]
        gap = bool(self.asked.gap_years)
        return shapley_points(self.where, self.rate, whole, self.death_rate, death, gap).risk.clip(0, 1)
