"""Norm and dropout of the trunk; their kernels are in :mod:`proband.model.kernels.layers`."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from proband.model.kernels.layers import dropout, rms_norm


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """``x`` over its root mean square, times the weight."""
        return rms_norm(x, self.weight, self.eps)


class Dropout(nn.Dropout):
    """Sets a share of values to 0 in training and scales the others."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """``x`` in evaluation, a random part of it in training."""
        return dropout(x, self.p) if self.training and self.p else x
