"""The modalities that a trained model reads, from the files given for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from proband.core.errors import ConfigError, near_matches
from proband.core.running.progress import say
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import GENOME, ModalityTable, load_modality


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
