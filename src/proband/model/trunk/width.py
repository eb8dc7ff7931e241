"""What keeps a model's learning the same at every width, after Yang 2022, arXiv 2203.03466.

Rates are given for :data:`BASE_WIDTH`. A layer whose inputs are the residual stream, or grow with it, sums
over more terms the wider the model is, all pushed the same way by a step of AdamW: its rate falls as one over
the width, and its initial variance too. Embeddings, gains and biases move each coordinate of the stream by
themselves and keep their rate. The logits of codes are taken with the token embedding, which serves as input
as well and so must keep its rate: they are scaled by one over the width instead.
"""

from __future__ import annotations

import math

from torch import nn

BASE_WIDTH = 96
"""Where rates and initial deviations are what they are called; the width of the preset tiny."""


def width_scale(dim: int) -> float:
    """One over the width, relative to the base width; 1 below it, where a factor of two or so is harmless.

    >>> width_scale(768), width_scale(32)
    (0.125, 1.0)
    """
    return min(1.0, BASE_WIDTH / dim)


class WideLinear(nn.Linear):
    """A linear layer whose number of inputs grows with the width of the model.

    The optimiser scales its rate by :func:`width_scale`. Its initial variance is torch's, 1 / (3 inputs).
    """

    def start_small(self, sd: float, dim: int) -> None:
        """Draw the weights anew, with the deviation ``sd`` at the base width of a model of width ``dim``."""
        nn.init.normal_(self.weight, std=sd * math.sqrt(width_scale(dim)))
