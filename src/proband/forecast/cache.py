"""The key/value cache: a prompt computed once and shared by a subject's paths, and the paths' own part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.forecast.histories import Histories
from proband.model.transformer import BlockCache, Proband

_FIRST_CAPACITY = 32


@dataclass
class PathCache:
    """Cache of some subjects times ``paths``.

    Attributes:
        prompt: Per block, keys and values (subjects, heads, prompt, head_dim), then the fusion layer's own.
        prompt_mask: Which prompt positions are real.
        next_position: Position of the first sampled token, per subject.
        paths: Per block, buffers (subjects, heads, paths, head_dim, capacity).
        length: Tokens on the paths so far.
    """

    prompt: list[BlockCache]
    prompt_mask: Bool[Tensor, "subjects prompt"]
    next_position: Int[Tensor, " subjects"]
    paths: list[tuple[Tensor, Tensor]]
    length: int = 0

    def make_room(self) -> None:
        """Double the buffers when they are full."""
        capacity = self.paths[0][0].shape[-1]
        if self.length < capacity:
            return
        self.paths = [(_widened(keys), _widened(values)) for keys, values in self.paths]

    def keep(self, subjects: Int[Tensor, " kept"], slots: Int[Tensor, "kept slots"]) -> None:
        """Drop all but some subjects, and of their paths all but ``slots``."""
        self.prompt = [tuple(tensor[subjects] for tensor in block) for block in self.prompt]
        self.prompt_mask = self.prompt_mask[subjects]
        self.next_position = self.next_position[subjects]
        self.paths = [
            (self._kept(keys, subjects, slots), self._kept(values, subjects, slots))
            for keys, values in self.paths
        ]

    def _kept(self, buffer: Tensor, subjects: Tensor, slots: Tensor) -> Tensor:
        """The used part of the kept paths, in a new buffer of the same capacity."""
        used = buffer[subjects[:, None], :, slots, :, : self.length].transpose(1, 2)
        kept = buffer.new_empty((*used.shape[:-1], buffer.shape[-1]))
        kept[..., : self.length] = used
        return kept


def _widened(buffer: Tensor) -> Tensor:
    return torch.cat([buffer, torch.empty_like(buffer)], dim=-1)


def prefill(
    model: Proband, histories: Histories, num_paths: int
) -> tuple[Float[Tensor, "subjects dim"], PathCache]:
    """Read all histories once.

    Returns:
        The state after each history's last token, and a cache ready for ``num_paths`` paths each.
    """
    hidden, prompt = model.hidden(histories.tokens, histories.ages, histories.statics, histories.modalities)
    subjects, length = histories.tokens.shape
    latents = prompt[0][0].shape[2] - length if prompt else 0
    real = torch.arange(length)[None] < histories.lengths[:, None]
    mask = torch.cat([torch.ones(subjects, latents, dtype=torch.bool), real], dim=1)
    paths = []
    for keys, *_ in prompt:
        heads, head_dim = keys.shape[1], keys.shape[3]
        shape = (subjects, heads, num_paths, head_dim, _FIRST_CAPACITY)
        paths.append((keys.new_empty(shape), keys.new_empty(shape)))
    last = hidden[torch.arange(subjects), histories.lengths - 1]
    prompt = [tuple(tensor.contiguous() for tensor in block) for block in prompt]  # read at every step
    return last, PathCache(prompt, mask, latents + histories.lengths, paths)
