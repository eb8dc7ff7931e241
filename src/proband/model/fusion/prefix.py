"""Fusion by leading positions, to which every position of the record attends."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from proband.model.config import ModelConfig
from proband.model.fusion.layer import FusionLayer, FusionMethod, Latents, PassThrough, Prepared, Spans


class TimedInput(FusionLayer):
    """Adds the mean latent of each timed modality to the positions from its time on.

    Args:
        timed: Which modalities, in the latents' order, are timed.
    """

    def __init__(self, timed: list[bool]) -> None:
        super().__init__()
        self.timed = [index for index, is_timed in enumerate(timed) if is_timed]

    def prepare(self, latents: Latents) -> Prepared:
        """Mean latents and their times."""
        items = [at for at, modality in enumerate(latents.modality) if modality in self.timed]
        spans = latents.spans
        return latents.values[:, items].mean(dim=2), spans.since[:, items], spans.until[:, items]

    def forward(self, x: Tensor, ages: Tensor, prepared: Prepared) -> Tensor:
        """``x`` with what is known by then."""
        pooled, since, until = prepared
        return x + Spans(since, until).known(ages).to(x.dtype) @ pooled


class Prefix(FusionMethod):
    """Latents of untimed modalities are added to the leading positions, those of timed ones to the record."""

    def layer(self, config: ModelConfig, number: int) -> FusionLayer:
        """Before the first block, the input of timed modalities, if there are some."""
        timed = [modality.timed for _, modality in sorted(config.modalities.items())]
        return TimedInput(timed) if number == 0 and any(timed) else PassThrough()

    def lead(
        self, leading: Float[Tensor, "batch latents dim"], latents: Latents, timed: Sequence[bool]
    ) -> Float[Tensor, "batch latents dim"]:
        """The learned positions plus the latents of untimed modalities."""
        for number, is_timed in enumerate(timed):
            if not is_timed:
                leading = leading + latents.values[:, latents.of(number)].squeeze(1)
        return leading
