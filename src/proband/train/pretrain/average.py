"""The running mean of the weights over the last steps, by which a model is judged and which is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

DECAY = 0.99
"""Share of the mean that a step leaves: the mean is over some 100 steps."""


class WeightAverage:
    """Exponential moving average of a model's parameters.

    The weights after one step carry the noise of the last batches, which a learning rate near its peak does
    not average out: of a rare event such as death the expected number then differs by tenths from step to
    step. The mean of the last weights does not.

    Args:
        model: The model that is trained; its parameters' values now are the mean before the first step.

    Attributes:
        values: The mean, by name of the parameter, as the parameter is shared among processes.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters = dict(model.named_parameters())
        self.values: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps; early on the mean is over a tenth of the steps so far."""
        decay = min(DECAY, (1 + step) / (10 + step))
        own = [parameter.detach() for parameter in self._parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), own, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the mean for its weights; afterwards its own again, to the bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            own = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(own)
