"""A model for the data: its shape, and what is fitted on the train split before the first step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from proband.core.seeds import bounded
from proband.model.choices import usual_fusion
from proband.model.config import ModalityConfig, ModelConfig
from proband.model.embedding import share_families
from proband.model.modality import ModalityEncoder
from proband.model.next_event.gaps import GapBins, fit_gap_edges
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.families import code_families
from proband.tokens.modalities.modality import GENOME, ModalityTable
from proband.train.config import EncoderOptions, TrainConfig
from proband.train.initial.antecedents import find_antecedents
from proband.train.initial.code_rates import fit_new_ratio, log_rates, sexes_of_statics

_HIDDEN = (16, 64)
"""Least and greatest default width of an encoder's hidden layer. Rounded choices of ours."""

_PRIOR_POSITIONS = 10.0
"""Positions of evidence that a repeat's rate is worth before any is seen. Rounded choice of ours."""
_EDGE_SUBJECTS = 20_000
"""Train subjects whose gaps place the bins, evenly spaced in the file: enough, and small in memory."""


def build_model(store: TokenStore, tables: dict[str, ModalityTable], config: TrainConfig) -> Proband:
    """A model of the configured size, with scaling and output biases fitted on the train split."""
    torch.manual_seed(bounded(config.seed))
    modalities = {name: modality_config(name, table, config) for name, table in tables.items()}
    shape = ModelConfig(
        vocabulary_size=len(store.vocabulary),
        num_statics=len(store.vocabulary.statics),
        resolution_minutes=store.vocabulary.resolution_minutes,
        gap_edges=gap_edges(store),
        context=config.context,
        dropout=config.dropout,
        fusion=config.fusion or usual_fusion(bool(tables)),
        modalities=modalities,
        **config.size._asdict(),
    )
    model = Proband(shape, torch.from_numpy(store.once), torch.from_numpy(store.alike))
    share_families(model.embedding, torch.from_numpy(code_families(store.vocabulary)))
    set_heads(model, store)
    for name, table in tables.items():
        encoder = model.fusion.encoders[name]
        assert isinstance(encoder, ModalityEncoder)
        encoder.standardise_with(*_train_moments(store, table))
    return model


def set_heads(model: Proband, store: TokenStore) -> None:
    """Give the heads rates and output biases fitted on the train split."""
    rates = log_rates(store)
    model.what.clock.set_rates(rates, sexes_of_statics(store.vocabulary.statics))
    model.what.clock.set_antecedents(*find_antecedents(store, rates))
    codes = code_rates(store)
    gap_counts = count_gaps(store, model.bins)
    model.set_output_biases(gap_counts, codes.repeat, codes.repeat)  # the fit needs those of the gap
    new_ratio = fit_new_ratio(store, model, codes.num_new, codes.num_events, codes.repeat)
    model.set_output_biases(gap_counts, new_ratio, codes.repeat)


def gap_edges(store: TokenStore) -> tuple[int, ...]:
    """Edges of the gap bins, fitted on the train split."""
    rows = store.rows_of("train")
    every = -(-len(rows) // _EDGE_SUBJECTS)
    resolution = store.vocabulary.resolution_minutes
    steps = [_scored_gaps(store, int(row)) // resolution for row in rows[::every]]
    return fit_gap_edges(np.concatenate(steps), resolution)


def _scored_gaps(store: TokenStore, row: int) -> np.ndarray:
    """Minutes from each scored event of one subject back to the event before."""
    minutes = store.record(row)[1]
    return np.diff(minutes)[minutes[1:] > store.entry[row]]


def modality_config(name: str, table: ModalityTable, config: TrainConfig) -> ModalityConfig:
    """How a modality is read: its own options, else those for all, else defaults by its width."""
    own = config.encoders.get(name, EncoderOptions())
    width = table.values.shape[1]
    kind = config.genome_encoder if name == GENOME else "mlp"
    narrow, wide = _HIDDEN
    settings = {
        "encoder": kind,
        "hidden": config.hidden or min(max(narrow, 2 * width), wide),
        "drop_modality": config.drop_modality,
        "drop_values": config.drop_values,
    } | own.model_dump(exclude_none=True)
    return ModalityConfig(width=width, timed=table.timed, names=table.names, kind=table.kind, **settings)


def count_gaps(store: TokenStore, bins: GapBins) -> torch.Tensor:
    """Gap-bin counts of scored train events, float64 (bins,)."""
    counts = torch.zeros(bins.num_bins, dtype=torch.float64)
    for row in store.rows_of("train"):
        index = bins.bin_of(bins.steps(torch.from_numpy(_scored_gaps(store, int(row)))))
        counts += torch.bincount(index, minlength=bins.num_bins)
    return counts


class CodeRates(NamedTuple):
    """How often a code comes next in scored train events: while new to the subject, and after it was had.

    Attributes:
        num_new: Times that it came while new.
        num_events: Scored train events.
        repeat: Share of the events after it was had that are the code, above 0; of little evidence it is
            shrunk to the share while new.
    """

    num_new: Float[np.ndarray, " vocabulary"]
    num_events: int
    repeat: Float[torch.Tensor, " vocabulary"]


def code_rates(store: TokenStore) -> CodeRates:
    """Count the codes of scored train events."""
    size = len(store.vocabulary)
    new, repeats, had = np.zeros(size), np.zeros(size), np.zeros(size)
    num_positions = 0
    for row in store.rows_of("train"):
        tokens, minutes = store.record(int(row))
        start = int(np.searchsorted(minutes[1:], store.entry[row], side="right"))  # before the first scored
        codes, first = np.unique(tokens, return_index=True)
        new[codes[first > start]] += 1
        scored, number = np.unique(tokens[start + 1 :], return_counts=True)
        repeats[scored] += number
        had[codes] += len(tokens) - 1 - np.maximum(first, start)
        num_positions += len(tokens) - 1 - start
    repeats -= new
    new_rate = (new + 0.5) / (num_positions - had + 1)
    repeat_rate = (repeats + _PRIOR_POSITIONS * new_rate) / (had + _PRIOR_POSITIONS)
    return CodeRates(new, num_positions, torch.from_numpy(repeat_rate))


def _train_moments(store: TokenStore, table: ModalityTable) -> tuple[torch.Tensor, torch.Tensor]:
    rows = store.rows_of("train")
    is_train = np.zeros(len(store), dtype=bool)
    is_train[rows] = True
    measured = np.repeat(is_train, np.diff(table.offsets))
    width = table.values.shape[1]
    moments = np.zeros((2, width))
    if measured.any():
        for column in range(width):  # one at a time: all at once would hold several copies of a wide genome
            values = table.values[measured, column].astype(np.float64)
            known = values[~np.isnan(values)]
            moments[:, column] = (known.mean(), known.std()) if len(known) else 0
    mean, sd = torch.from_numpy(moments).float()
    return mean, sd
