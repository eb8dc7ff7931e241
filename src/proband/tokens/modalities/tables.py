"""The modalities that a trained model reads, from the files given for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from proband.core.errors import ConfigError, near_matches
from proband.core.running.progress import say
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import GENOME, ModalityTable, load_modality

LEAST_VALUES = 30
"""Values of a column below which nothing is said of where they lie."""
FARTHEST_MEAN, WIDEST_SPREAD = 2.0, 3.0
"""Standard deviations of training, and ratio of spreads either way, beyond which a column lies elsewhere."""
_COLUMNS_AT_ONCE = 256

Scale = tuple[Float[np.ndarray, " width"], Float[np.ndarray, " width"]]
"""Means of a modality's columns in training, and 1 over their standard deviations, 0 of what did not vary."""


@runtime_checkable
class ModalityShape(Protocol):
    """What a model was trained on of a modality: its columns, whether it is measured at an age, and the kind
    of scores."""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names."""

    @property
    def timed(self) -> bool:
        """Whether it is measured at an age."""

    @property
    def kind(self) -> str:
        """Of a genome, how its scores were adjusted; empty where that is not known."""


def tables_for(
    wanted: Mapping[str, ModalityShape], store: TokenStore, files: Mapping[str, Path]
) -> dict[str, ModalityTable]:
    """The modalities a model reads, from the files given; what is not given counts as absent.

    A genome is passed over by a model that reads none, so that one command serves all models.

    Raises:
        ConfigError: Another modality is given that the model does not read.
        DataError: A file is not what the model was trained on (see :func:`load_modality`).
    """
    for name in files.keys() - wanted.keys() - {GENOME}:
        expected = ", ".join(wanted) or "none: it was trained on records alone"
        remedy = near_matches(name, wanted)
        raise ConfigError("the model reads no such modality", found=name, expected=expected, remedy=remedy)
    return {
        name: load_modality(name, files[name], store, item.names, item.timed, item.kind)
        for name, item in wanted.items()
        if name in files
    }


def say_absent(stage: str, wanted: Mapping[str, ModalityShape], files: Mapping[str, Path]) -> None:
    """Print which modalities a model reads and is not given, and that it does not use a genome given."""
    for name in wanted.keys() - files.keys():
        say(f"{stage}: the model reads {name} and none is given; all subjects count as without it")
    if GENOME in files and GENOME not in wanted:
        say(f"{stage}: the model reads no genome; the one given is not used")


def say_shifted(stage: str, scales: Mapping[str, Scale], tables: Mapping[str, ModalityTable]) -> None:
    """Print which modalities lie elsewhere than in training: other units, other scoring, other people; and
    which columns that varied there have no value here.

    Args:
        stage: Who says it.
        scales: Of the model, by modality.
        tables: The modalities given, raw values.
    """
    for name, table in tables.items():
        number, mean, spread = standardised_moments(table.values, *scales[name])
        is_off = (np.abs(mean) > FARTHEST_MEAN) | (spread > WIDEST_SPREAD) | (spread < 1 / WIDEST_SPREAD)
        if is_off.any():
            first = int(is_off.argmax())
            say(
                f"{stage}: {is_off.sum():,} of {len(is_off):,} columns of {name} lie elsewhere than in "
                f"training, first {table.names[first]} (mean {mean[first]:+,.1f} standard deviations off, "
                f"spread {spread[first]:,.4g} times): values must be in the same units and scored alike"
            )
        empty = (number == 0) & (scales[name][1] > 0)
        if empty.any() and len(table.values) >= LEAST_VALUES:
            absent = table.names[int(empty.argmax())]
            say(
                f"{stage}: {empty.sum():,} of {len(empty):,} columns of {name} have no value of anybody "
                f"here, first {absent}; they count as missing"
            )


def standardised_moments(
    values: Float[np.ndarray, "n width"],
    mean: Float[np.ndarray, " width"],
    scale: Float[np.ndarray, " width"],
) -> tuple[Int[np.ndarray, " width"], Float[np.ndarray, " width"], Float[np.ndarray, " width"]]:
    """Number of values of columns, and their mean and standard deviation in the units of training; NaN of few
    values or none that varied.

    >>> values = np.arange(40.0)[:, None] % 2
    >>> [one.round(3).tolist() for one in standardised_moments(values, np.array([0.5]), np.array([2.0]))]
    [[40], [0.0], [1.0]]
    """
    number, found = np.zeros(values.shape[1], dtype=np.int64), np.full((2, values.shape[1]), np.nan)
    for begin in range(0, values.shape[1], _COLUMNS_AT_ONCE):
        part = values[:, begin : begin + _COLUMNS_AT_ONCE].astype(np.float64)
        here = slice(begin, begin + _COLUMNS_AT_ONCE)
        number[here] = np.isfinite(part).sum(axis=0)
        at = begin + np.flatnonzero((number[here] >= LEAST_VALUES) & (scale[here] > 0))
        part = part[:, at - begin]
        found[0, at] = (np.nanmean(part, axis=0) - mean[at]) * scale[at]
        found[1, at] = np.nanstd(part, axis=0) * scale[at]
    return number, found[0], found[1]
