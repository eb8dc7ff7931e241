"""What every process of a forecast needs to know, and the model and data that it opens."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from proband.forecast.config import ForecastConfig
from proband.forecast.engine.request import Question
from proband.forecast.estimators.risks import (
    Precision,
)
from proband.forecast.patterns import TokenPattern
from proband.forecast.scenario.compare import Compared
from proband.model.checkpoint import load_model
from proband.model.folder import CONFIG, WEIGHTS
from proband.model.transformer import Proband
from proband.tokens.dataset import FILES, TokenStore
from proband.tokens.modalities.modality import ModalityTable
from proband.tokens.modalities.tables import tables_for


@dataclass(frozen=True)
class Job:
    """What every process needs to know.

    Attributes:
        model: Model folder.
        tokens: Tokens folder.
        files: Files of modalities by name.
        question: What is asked.
        outcomes: Names of the outcomes: those of the question, then those of the patterns.
        patterns: Outcomes that take several events.
        after_gap: The question's first horizon is a blanking gap.
        precision: How well each risk must be known.
        horizons_years: Horizons that are reported, ascending: the question's without a blanking gap.
        task_horizons: Those of them that the task names; the others are for curves.
        config: Settings.
        tasks: For closed form, the number of each outcome's onset task.
        death_task: And that of death.
        gap_years: The blanking gap.
        compared: Scenarios, if there are any.
    """

    model: Path
    tokens: Path
    files: dict[str, Path]
    question: Question
    outcomes: tuple[str, ...]
    patterns: tuple[TokenPattern, ...]
    after_gap: bool
    precision: Precision | None
    horizons_years: tuple[float, ...]
    task_horizons: frozenset[float]
    config: ForecastConfig
    tasks: tuple[int, ...] = ()
    death_task: int | None = None
    gap_years: float = 0.0
    compared: Compared | None = None


class Opened(NamedTuple):
    """A model and its data."""

    model: Proband
    store: TokenStore
    tables: dict[str, ModalityTable]


def input_files(model: Path, tokens: Path, files: Mapping[str, Path]) -> list[Path]:
    """Every file that a forecast reads, the task apart."""
    read = [model / WEIGHTS, model / CONFIG, *(tokens / name for name in FILES), *files.values()]
    return [file for file in read if file.is_file()]


def opened(model: Path, tokens: Path, files: Mapping[str, Path], device: torch.device) -> Opened:
    """The model and its data, loaded once per process and again when a file has changed."""
    changed = tuple(file.stat().st_mtime_ns for file in input_files(model, tokens, files))
    named = tuple((name, file.absolute()) for name, file in files.items())
    return _open(model.absolute(), tokens.absolute(), named, device, changed)


@functools.lru_cache(maxsize=1)
def _open(
    model: Path,
    tokens: Path,
    files: tuple[tuple[str, Path], ...],
    device: torch.device,
    changed: tuple[int, ...],
) -> Opened:
    store = TokenStore(tokens)
    loaded = load_model(model, store.vocabulary.hash).to(device)
    return Opened(loaded, store, tables_for(loaded.config.modalities, store, dict(files)))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One core per process: sums are then the same however many processes there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
