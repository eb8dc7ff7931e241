"""Give a pretrained model its onset hazards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from proband.core.seeds import bounded
from proband.model.config import OnsetConfig, OnsetTask
from proband.model.onset.head import OnsetHead
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SummaryLayout
from proband.tokens.modalities.modality import ModalityTable
from proband.train.config import TrainConfig
from proband.train.onset.calibration import calibrate
from proband.train.onset.decay import fit_decay, fit_levels
from proband.train.onset.fit import Part, fit_networks, mean_loss, standardise
from proband.train.onset.incidence import log_rates
from proband.train.onset.queries import draw_dates, follow_up, read_queries
from proband.train.onset.tasks import Tasks
from proband.train.onset.terms.by_age import fit_by_age
from proband.train.onset.terms.by_time import centre_time, fit_by_time
from proband.train.onset.terms.linear import fit_linear, standardise_modalities
from proband.train.onset.terms.record import choose_fitted, fit_record, standardise_interactions
from proband.train.onset.terms.shrinkage import Fit

TERMS = {"record": fit_record, "by_time": fit_by_time}
"""Regressions of the record, by the name of the tuning loss after each."""


@dataclass(frozen=True)
class OnsetResult:
    """How the fit went.

    Attributes:
        losses: Tuning loss of the named tasks, nats per date, after each step: ``age_sex`` the table alone,
            ``record`` its linear terms and interactions, ``networks``, ``decay`` of all these with the time
            ahead, ``by_time`` values that fade otherwise, ``modalities`` their linear terms, and
            ``calibrated``.
        notes: What was chosen for the terms of record and modalities.
    """

    losses: dict[str, float]
    notes: dict[str, float]


def fit_onset(
    model: Proband,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    tasks: Tasks,
    config: TrainConfig,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> OnsetResult:
    """Add an onset head to a pretrained model and fit it; the trunk is read and not changed.

    Args:
        model: Left on ``device`` in evaluation mode.
        store: Tokens.
        tables: Modalities by name.
        tasks: Tasks.
        config: Settings.
        device: Where to compute.
        report: Takes the values of each evaluation.
    """
    torch.manual_seed(bounded(config.seed))
    head = attach_head(model, store, tables, tasks, config.onset.networks)
    model.to(device).eval()
    train, tuning = (read_part(model, store, tables, split, config) for split in ("train", "tuning"))
    return fit_head(head, train, tuning, config, device, report)


def fit_head(
    head: OnsetHead,
    train: Part,
    tuning: Part,
    config: TrainConfig,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> OnsetResult:
    """Fit a head that is the age-sex table, on what is known at dates and what followed.

    Args:
        head: On ``device``, as :func:`attach_head` makes it.
        train, tuning: Queries.
        config: Settings.
        device: Where to compute.
        report: Takes the values of each evaluation.
    """
    standardise(head, train.queries)
    choose_fitted(head, train)
    standardise_interactions(head, train, device)
    standardise_modalities(head, train)
    centre_time(head, train)
    result = OnsetResult({"age_sex": mean_loss(head, tuning, device)}, {})
    fit_term("record", head, train, tuning, device, result)
    losses = result.losses
    losses["networks"] = fit_networks(head, train, tuning, config.onset, config.seed, device, report)
    fit_decay(head, train, tuning, device)
    losses["decay"] = mean_loss(head, tuning, device)
    fit_term("by_time", head, train, tuning, device, result)
    fit_modality_terms(head, train, tuning, device, result)
    return result


def fit_term(
    name: str,
    head: OnsetHead,
    train: Part,
    tuning: Part,
    device: torch.device,
    result: OnsetResult,
    fit: Fit | None = None,
) -> None:
    """Fit one of :data:`TERMS` of the record in a standardised head, and the levels beside it.

    Adds to ``result`` how it went.

    Args:
        name: A key of :data:`TERMS`.
        head: The head.
        train, tuning: Queries.
        device: Where the head is.
        result: Of the fit.
        fit: How coefficients are shrunk; default each term's own way.
    """
    given = () if fit is None else (fit,)
    if notes := TERMS[name](head, train, tuning, device, *given):
        result.notes.update(notes)
        fit_levels(head, train, device)
    result.losses[name] = mean_loss(head, tuning, device)


def fit_modality_terms(
    head: OnsetHead,
    train: Part,
    tuning: Part,
    device: torch.device,
    result: OnsetResult,
) -> None:
    """Fit modalities' linear terms, how they change with age, and the levels anew; then calibrate.

    Adds to ``result`` how it went. Levels by age and levels by time ahead: without them too many onsets are
    expected, since the mean of exp(beta x) is above 1 where that of x is 0.
    """
    if len(head.modalities):
        notes, without = fit_linear(head, train, tuning, device)
        result.notes.update(notes)
        fit_by_age(head, train, without, device)
        fit_levels(head, train, device)
        result.losses["modalities"] = mean_loss(head, tuning, device)
    calibrate(head, train, tuning, device)
    result.losses["calibrated"] = mean_loss(head, tuning, device, head.calibrated)


def attach_head(
    model: Proband,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    tasks: Tasks,
    num_networks: int = 1,
) -> OnsetHead:
    """A head that is the age-sex table of the train split."""
    layout = SummaryLayout.of(store.vocabulary)
    shape = OnsetConfig(
        tasks=tasks.tasks,
        num_named=tasks.num_named,
        num_features=layout.num_features,
        first_value=layout.first_value,
        num_valued=layout.num_valued,
        num_recencies=len(layout.codes),
        num_networks=num_networks,
        linear={name: table.values.shape[1] for name, table in tables.items()},
    )
    head = model.attach_onset(shape)
    head.log_rate.copy_(log_rates(store, tasks.tasks))
    return head


def read_part(
    model: Proband,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    split: str,
    config: TrainConfig,
) -> Part:
    """A split's queries, with what followed."""
    assert model.config.onset is not None
    return read_dates(
        model,
        store,
        tables,
        model.config.onset.tasks,
        store.rows_of(split),
        split,
        config.onset.queries,
        config.seed,
    )


def read_dates(
    model: Proband,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    tasks: tuple[OnsetTask, ...],
    subjects: Int[np.ndarray, " rows"],
    name: str,
    per_subject: int,
    seed: int,
) -> Part:
    """Queries of some subjects, with what followed.

    Args:
        model: Gives the states.
        store: Tokens.
        tables: Modalities with linear terms.
        tasks: What may follow.
        subjects: Rows of the store.
        name: Name of the stream of draws.
        per_subject: Dates per subject in the mean.
        seed: Seed of the draws.
    """
    rows, minutes = draw_dates(store, subjects.astype(np.int64), per_subject, seed, name)
    # The trunk reads the record alone: else its state holds a part of the modalities' effect, which the terms
    # of the record then take, with noise, from the modalities' own.
    queries = read_queries(model, store, {}, rows, minutes, tables)
    return Part(queries, follow_up(store, queries, tasks, subjects.astype(np.int64)))
