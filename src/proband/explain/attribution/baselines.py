"""What integrated gradients compare with: codes and genomes drawn from the train split."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from proband.core.seeds import generator
from proband.explain.inputs import Asked
from proband.model.modality.encoder import ModalityEncoder
from proband.tokens.modalities.modality import GENOME
from proband.tokens.vocabulary import BIRTH_TOKEN


def drawn_tokens(asked: Asked, shape: tuple[int, int], seed: int, draw: int, point: int) -> np.ndarray:
    """Tokens of train records, birth aside, drawn as often as they come."""
    store = asked.store
    rows = _train_rows(asked)
    rng = generator(seed, "tokens of baselines", draw, point)
    length = np.diff(store.offsets)[rows]
    if length.sum() <= len(rows):  # nobody has more than birth
        return np.full(shape, BIRTH_TOKEN, dtype=np.int64)
    weight = (length - 1).clip(0)
    row = rng.choice(len(rows), size=shape, p=weight / weight.sum())
    place = 1 + np.floor(rng.random(shape) * weight[row]).astype(np.int64)
    return np.asarray(store.tokens)[store.offsets[rows[row]] + place].astype(np.int64)


def drawn_genomes(
    asked: Asked, number: int, seed: int, draw: int, point: int
) -> Float[Tensor, "baselines scores"]:
    """Scores of train subjects; a missing one at the mean."""
    table = asked.tables[GENOME]
    encoder = asked.model.fusion.encoders[GENOME]
    assert isinstance(encoder, ModalityEncoder)
    rows = _train_rows(asked)
    rows = rows[table.observed[rows]]
    rows = rows if len(rows) else np.flatnonzero(table.observed)
    chosen = generator(seed, "genomes of baselines", draw, point).choice(rows, number)
    values = torch.from_numpy(table.values_by(chosen, np.zeros(len(chosen), dtype=np.int64)))
    return torch.where(values.isnan(), encoder.mean, values)


def _train_rows(asked: Asked) -> Int64[np.ndarray, " rows"]:
    """Rows of the train split; all where there is none."""
    train = np.flatnonzero((asked.store.subjects["split"] == "train").to_numpy())
    return train if len(train) else np.arange(len(asked.store))
