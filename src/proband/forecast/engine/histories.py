"""Histories up to a prediction time, as the engine reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from proband.core.batch import ModalityInput
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable, modality_inputs


@dataclass(frozen=True)
class Histories:
    """Everything known at the prediction times of some subjects.

    Attributes:
        tokens: Right-padded, the newest ``context`` tokens at or before the prediction time.
        ages: Their ages in minutes.
        lengths: Real tokens per row.
        statics: Static codes.
        seen_before: Tokens that happened before the kept ones, each once; 0 for none.
        start: Prediction times in minutes since birth.
        subject_ids: For the random streams.
        modalities: What of each modality is known by the prediction times.
    """

    tokens: Int[Tensor, "subjects length"]
    ages: Int[Tensor, "subjects length"]
    lengths: Int[Tensor, " subjects"]
    statics: Int[Tensor, "subjects statics"]
    seen_before: Int[Tensor, "subjects codes"]
    start: Int[Tensor, " subjects"]
    subject_ids: Int[np.ndarray, " subjects"]
    modalities: dict[str, ModalityInput]

    def padded(self, width: int) -> Histories:
        """The same with rows of at least ``width`` tokens."""
        padding = (0, max(0, width - self.tokens.shape[1]))
        return replace(self, tokens=F.pad(self.tokens, padding), ages=F.pad(self.ages, padding))

    def newest(self) -> dict[str, ModalityInput]:
        """Of each modality the newest measurement, which is what all that comes after the history reads."""
        found = {}
        for name, item in self.modalities.items():
            last = (item.observed.sum(dim=1, keepdim=True) - 1).clamp(min=0)
            values = item.values.take_along_dim(last[..., None], dim=1)
            rest = (part.take_along_dim(last, dim=1) for part in (item.observed, item.minutes))
            found[name] = ModalityInput(values, *rest)
        return found

    def to(self, device: torch.device | str) -> Histories:
        """The histories on ``device``."""
        names = ("tokens", "ages", "lengths", "statics", "seen_before", "start")
        moved = {name: getattr(self, name).to(device) for name in names}
        modalities = {name: item.map(lambda part: part.to(device)) for name, item in self.modalities.items()}
        return replace(self, **moved, modalities=modalities)


def read_histories(
    store: TokenStore,
    rows: Int[np.ndarray, " n"],
    start: Int[np.ndarray, " n"],
    context: int,
    tables: Mapping[str, ModalityTable] | None = None,
) -> Histories:
    """Read the histories of ``rows`` at ``start`` minutes; of a long one the newest ``context`` tokens."""
    lengths = store.history_lengths(rows, start)
    kept = np.minimum(lengths, context)
    tokens = np.zeros((len(rows), int(kept.max())), dtype=np.int64)
    ages = np.zeros_like(tokens)
    for at, row in enumerate(rows):
        begin = store.offsets[row]
        window = slice(begin + lengths[at] - kept[at], begin + lengths[at])
        tokens[at, : kept[at]] = store.tokens[window]
        ages[at, : kept[at]] = store.minutes[window]
    # What is measured by the prediction time is read by all that comes after it; nothing later is known.
    read_at = np.concatenate([ages, np.asarray(start, dtype=np.int64)[:, None]], axis=1)
    return Histories(
        tokens=torch.from_numpy(tokens),
        ages=torch.from_numpy(ages),
        lengths=torch.from_numpy(kept),
        statics=torch.from_numpy(store.statics[rows].astype(np.int64)),
        seen_before=torch.from_numpy(store.codes_before(rows, lengths - kept)),
        start=torch.from_numpy(np.asarray(start, dtype=np.int64)),
        subject_ids=store.subject_ids[rows],
        modalities=modality_inputs(tables or {}, rows, read_at),
    )
