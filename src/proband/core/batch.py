"""The one typed object between data and model.

Rows are windows of one subject each, right-padded. What a position is asked to predict is decided here, by
the data side, so the model needs to know nothing of follow-up, splits or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NOT_SCORED, EVENT, CENSORED = 0, 1, 2
"""Values of :attr:`Batch.target`."""


@dataclass(frozen=True)
class ModalityInput:
    """One modality of a batch of subjects: for each a few measurements, in the order of their ages.

    Attributes:
        values: Raw (unstandardised) values; NaN where missing.
        observed: Whether the measurement was made; those that were not stand last.
        minutes: Age in minutes from which it is known, until the next one; 0 for what is known from birth,
            such as the genome, of which there is one measurement.
    """

    values: Float[Tensor, "batch measurements width"]
    observed: Bool[Tensor, "batch measurements"]
    minutes: Int[Tensor, "batch measurements"]

    @classmethod
    def from_birth(
        cls, values: Float[Tensor, "batch width"], observed: Bool[Tensor, " batch"]
    ) -> ModalityInput:
        """A static modality."""
        minutes = torch.zeros(len(values), 1, dtype=torch.int64, device=values.device)
        return cls(values[:, None], observed[:, None], minutes)

    def map(self, function: Callable[[Tensor], Tensor]) -> ModalityInput:
        """The modality with ``function`` applied to every tensor."""
        return ModalityInput(function(self.values), function(self.observed), function(self.minutes))


@dataclass(frozen=True)
class Batch:
    """Windows of records, with what each position must predict.

    Attributes:
        tokens: Vocabulary indices; 0 is padding.
        ages: Minutes since birth of each token.
        statics: Indices of static codes such as sex; 0 where a subject has fewer.
        seen_before: Tokens that happened before the window, each once; 0 for none.
        target: Per position NOT_SCORED, EVENT or CENSORED.
        next_tokens: The next event's token where target is EVENT, else 0.
        gaps: Minutes to the next event (EVENT) or to the end of follow-up (CENSORED), else 0.
        waited: Minutes after the position that are known to be without event (delayed entry); else 0.
        modalities: Further inputs by name, such as the genome.
        rows: The windows' subjects, as rows of the tokens folder.
    """

    tokens: Int[Tensor, "batch length"]
    ages: Int[Tensor, "batch length"]
    statics: Int[Tensor, "batch statics"]
    seen_before: Int[Tensor, "batch codes"]
    target: Int[Tensor, "batch length"]
    next_tokens: Int[Tensor, "batch length"]
    gaps: Int[Tensor, "batch length"]
    waited: Int[Tensor, "batch length"]
    rows: Int[Tensor, " batch"]
    modalities: dict[str, ModalityInput] = field(default_factory=dict)

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with ``function`` applied to every tensor."""
        names = [name for name in self.__dataclass_fields__ if name != "modalities"]
        modalities = {name: item.map(function) for name, item in self.modalities.items()}
        return replace(self, **{name: function(getattr(self, name)) for name in names}, modalities=modalities)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on ``device``; a copy from :meth:`pinned` memory does not wait for its end."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """The batch in memory that a GPU can read by itself."""
        return self.map(Tensor.pin_memory)
