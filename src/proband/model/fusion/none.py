"""No fusion: a model of records alone."""

from __future__ import annotations

from proband.model.config import ModelConfig
from proband.model.fusion.layer import FusionLayer, FusionMethod, PassThrough


class NoFusion(FusionMethod):
    """Reads no modality."""

    def layer(self, config: ModelConfig, number: int) -> FusionLayer:
        """The identity."""
        return PassThrough()
