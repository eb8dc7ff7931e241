"""What is explained, of whom: model, prediction points, subjects asked for, names of codes and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Int

from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.files.jsonfiles import read_objects
from proband.core.files.tables import as_text, read_parquet
from proband.core.units import DAYS_PER_YEAR
from proband.ehr.outcomes import Task, load_task
from proband.explain.config import ExplainConfig
from proband.forecast.job import opened
from proband.forecast.plan import onset_tasks, refuse_long_gap
from proband.forecast.risk import Points, prediction_points
from proband.model.onset.head import OnsetHead
from proband.model.onset.queries import Queries
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.outcomes import outcome_tokens
from proband.tokens.history.queries import known_at, query_batches
from proband.tokens.history.subjects import subject_rows
from proband.tokens.modalities.modality import GENOME, ModalityTable
from proband.tokens.modalities.tables import say_absent, say_shifted


@dataclass(frozen=True)
class Names:
    """What codes and scores are called; empty where it is not known.

    Attributes:
        codes: By code.
        scores: By score.
        traits: Trait of each score.
    """

    codes: Mapping[str, str]
    scores: Mapping[str, str]
    traits: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """The question.

    Attributes:
        model: On the processor.
        head: Its onset hazards.
        store: Tokens.
        tables: Modalities with a linear term that are given.
        points: Prediction points; ``prevalent`` by outcome in the order of ``outcomes``.
        outcomes: Names.
        tasks: Number of each outcome's onset task.
        death: Number of that of death; None where the model has none.
        horizons_years: Horizons, ascending.
        gap_years: Blanking gap, 0 for none.
        names: What things are called.
    """

    model: Proband
    head: OnsetHead
    store: TokenStore
    tables: Mapping[str, ModalityTable]
    points: Points
    outcomes: tuple[str, ...]
    tasks: tuple[int, ...]
    death: int | None
    horizons_years: tuple[float, ...]
    gap_years: float
    names: Names

    @property
    def times(self) -> tuple[float, ...]:
        """Times at which the integral is read: the blanking gap, if there is one, then the horizons."""
        return (self.gap_years, *self.horizons_years) if self.gap_years else self.horizons_years

    @property
    def competes(self) -> Bool[np.ndarray, " outcomes"]:
        """Whether death competes with each outcome; it does not with one that it is part of."""
        if self.death is None:
            return np.zeros(len(self.tasks), dtype=bool)
        tokens = [set(task.tokens) for task in self.head.config.tasks]
        return np.array([not tokens[self.death] <= tokens[task] for task in self.tasks])

    @property
    def prevalent(self) -> Bool[np.ndarray, "points outcomes"]:
        """Whether each outcome happened at or before the prediction time."""
        return self.points.prevalent

    def queries(
        self, store: TokenStore, rows: Int[np.ndarray, " n"], minutes: Int[np.ndarray, " n"]
    ) -> Queries:
        """What is known of rows of a store at ages in minutes; modalities are those of ``rows``."""
        rows, minutes = rows.astype(np.int64), minutes.astype(np.int64)
        batches = query_batches(store, {}, rows, minutes, self.model.config.context)
        with torch.no_grad():
            state = self.model.states(batches, len(rows))
        return Queries(state=state, tables=self.tables, **known_at(store, rows, minutes))


def read_asked(
    model: Path,
    tokens: Path,
    files: Mapping[str, Path],
    task: Path,
    config: ExplainConfig,
    subjects: Path | None = None,
    genome: Path | None = None,
    code_names: Path | None = None,
) -> Asked:
    """Read and check the question.

    Raises:
        ConfigError: An outcome is not of the task or no onset task of the model, the model has no onset
            hazards, or a genome is given that it does not read.
        CheckpointError: Model and tokens do not fit.
        DataError: Nobody to explain, or a subject asked for is not in the tokens.
    """
    question = _chosen(load_task(task), config.outcomes, task)
    loaded, store, tables = opened(model, tokens, files, torch.device("cpu"))
    if GENOME in files and GENOME not in loaded.config.modalities:
        remedy = "leave --genome out, or give a model trained with --genome"
        raise ConfigError("the model reads no genome", where=model, found="--genome", remedy=remedy)
    say_absent("explain", loaded.config.modalities, files)
    say_shifted("explain", loaded.fusion.scales(), tables)
    outcomes = outcome_tokens(store.vocabulary, question, "explain")
    _refuse_labels(question)
    refuse_long_gap(question)
    numbers = onset_tasks(loaded, outcomes, question, model, "explain")
    head = loaded.onset
    assert head is not None
    rows = None if subjects is None else subject_rows(subjects, store)
    points = prediction_points(
        store, question, config.split, {name: outcomes[name] for name in numbers}, rows
    )
    return Asked(
        model=loaded,
        head=head,
        store=store,
        tables={name: tables[name] for name in head.modalities if name in tables},
        points=points,
        outcomes=tuple(numbers),
        tasks=tuple(numbers.values()),
        death=head.config.index_of((store.vocabulary.death,)),
        horizons_years=question.horizons_years,
        gap_years=question.gap_days / DAYS_PER_YEAR,
        names=read_names(genome, code_names),
    )


def _refuse_labels(task: Task) -> None:
    """Refuse outcomes given as labels: what is explained is a hazard with death competing.

    Raises:
        ConfigError: Names the first.
    """
    if task.labelled:
        remedy = "name others with --outcome, or leave it out of the task"
        name = next(iter(task.labelled))
        raise ConfigError(
            "an outcome given as labels is not explained", where=f"outcome {name}", remedy=remedy
        )


def _chosen(task: Task, wanted: tuple[str, ...], where: Path) -> Task:
    """The task with the outcomes asked for alone.

    Raises:
        ConfigError: One is not of the task (names near matches).
    """
    for name in wanted:
        if name not in task.outcomes:
            expected = f"one of {', '.join(list(task.outcomes)[:8])}"
            remedy = near_matches(name, task.outcomes) or f"name an outcome of {where.name}"
            raise ConfigError("unknown --outcome", found=name, expected=expected, remedy=remedy)
    kept = {name: task.outcomes[name] for name in task.outcomes if not wanted or name in wanted}
    return task.model_copy(update={"outcomes": kept})


def read_names(genome: Path | None, code_names: Path | None) -> Names:
    """What codes and scores are called.

    Args:
        genome: Genome folder, with its scores.json.
        code_names: Parquet with code and description, as ``metadata/codes.parquet`` of MEDS.

    Raises:
        DataError: A file is not what it should be.
    """
    described = read_objects(genome / "scores.json") if genome is not None else {}
    scores = {score: str(entry.get("name") or entry.get("trait") or "") for score, entry in described.items()}
    traits = {score: str(entry.get("trait") or "") for score, entry in described.items()}
    codes: dict[str, str] = {}
    if code_names is not None:
        frame = read_parquet(code_names)
        missing = [name for name in ("code", "description") if name not in frame.columns]
        if missing:
            found = f"columns {', '.join(frame.columns[:12])}"
            raise DataError(
                f"no column {missing[0]}", where=code_names, found=found, expected="code, description"
            )
        named = pl.DataFrame([as_text(frame[name], code_names) for name in ("code", "description")])
        codes = dict(named.drop_nulls().iter_rows())
    return Names(codes, scores, traits)
