"""What the trunk makes of codes and scores, by integrated gradients.

Onset hazards read the trunk's state, which no linear term takes apart: each code of a record is given what
it changes in the log hazard through the state, its summary held. And a fusion brings scores into the trunk,
which the next event's heads read: each score is given what it changes in the log probability that the next
event, 90 days ahead, is the outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor

from proband.core.batch import Batch
from proband.core.units import MINUTES_PER_DAY
from proband.explain.attribution.baselines import drawn_genomes, drawn_tokens
from proband.explain.attribution.decomposition import bins_before, keys_of, named
from proband.explain.attribution.gradients import Integral, integrated_gradients
from proband.explain.inputs import Asked
from proband.explain.tables import GRADIENTS
from proband.model.next_event.clock import Moment
from proband.tokens.history.queries import query_batches
from proband.tokens.modalities.modality import GENOME
from proband.tokens.vocabulary import BIRTH_TOKEN

STATE, FUSION = "state", "fusion"
BASELINES = 8
"""Baselines of each of two draws."""
AHEAD_DAYS = 90
_DRAWS = 2


class Window(NamedTuple):
    """What the trunk reads up to one prediction: a batch of one row that ends at its last token."""

    batch: Batch
    free: Int64[np.ndarray, " some"]
    """Outcomes not had before."""


class Found(NamedTuple):
    """Attributions of a prediction.

    Attributes:
        items: Codes or scores.
        values: By draw of baselines, outcome and item.
        error: Largest completeness error.
    """

    items: list[str]
    values: Float64[np.ndarray, "draws outcomes items"]
    error: float


def gradients_frame(
    asked: Asked, index: Int[np.ndarray, " n"], seed: int
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Rows of :data:`~proband.explain.tables.GRADIENTS`, and how good they are.

    Args:
        asked: The question.
        index: Points.
        seed: Of the baselines.

    Returns:
        The rows; the largest completeness error and, by what they go through, the correlation between two
        draws of baselines, median over predictions and outcomes.
    """
    parts, errors = [GRADIENTS.empty()], [0.0]
    agree: dict[str, list[float]] = {STATE: [], FUSION: []}
    for point in map(int, index):
        if asked.prevalent[point].all():
            continue
        window = window_of(asked, point)
        found = {STATE: through_state(asked, point, window, seed)}
        if GENOME in asked.tables and asked.tables[GENOME].observed[asked.points.rows[point]]:
            found[FUSION] = through_fusion(asked, point, window, seed)
        for through, one in found.items():
            errors.append(one.error)
            agree[through] += _agreements(one.values)
            parts.append(_rows(asked, point, window, through, one))
    notes = {f"correlation_of_draws_{key}": float(np.median(one)) for key, one in agree.items() if one}
    return pl.concat(parts), {"completeness_error": max(errors)} | notes


def window_of(asked: Asked, point: int) -> Window:
    """The window of one point, with the modalities given."""
    row, start = asked.points.rows[[point]].astype(np.int64), asked.points.start[[point]].astype(np.int64)
    batches = query_batches(asked.store, asked.tables, row, start, asked.model.config.context, shown=False)
    [(batch, _, [column], _)] = batches
    cut = replace(batch, tokens=batch.tokens[:, : column + 1], ages=batch.ages[:, : column + 1])
    return Window(cut, np.flatnonzero(~asked.prevalent[point]))


def through_state(asked: Asked, point: int, window: Window, seed: int) -> Found:
    """What each code changes in the log hazard just before the last horizon, through the trunk's state.

    Baselines are the same record with every code but birth put in place by one drawn from the train split.
    """
    tokens = window.batch.tokens[0].numpy()
    queries = asked.queries(asked.store, asked.points.rows[[point]], asked.points.start[[point]])
    tasks = [asked.tasks[outcome] for outcome in window.free]
    last = int(bins_before(asked.horizons_years)[-1])

    def log_hazard(vectors: Tensor) -> Tensor:
        state = read(asked, window.batch, vectors=vectors)
        query = replace(queries.batch(np.zeros(len(vectors), dtype=np.int64)), state=state)
        return asked.head.calibrated(query)[:, tasks, last]

    codes = np.array(asked.store.vocabulary.base_codes(), dtype=object)[tokens]
    items = list(dict.fromkeys(codes[tokens > BIRTH_TOKEN]))
    found = []
    for draw in range(_DRAWS):
        others = drawn_tokens(asked, (BASELINES, len(tokens)), seed, draw, point)
        others[:, tokens <= BIRTH_TOKEN] = tokens[tokens <= BIRTH_TOKEN]
        with torch.no_grad():
            own, baselines = (
                asked.model.embedding.tokens(torch.from_numpy(one))
                for one in (tokens.astype(np.int64), others)
            )
        found.append(integrated_gradients(log_hazard, own, baselines))
    return Found(items, np.stack([_by_item(one, codes, items) for one in found]), _largest_error(found))


def through_fusion(asked: Asked, point: int, window: Window, seed: int) -> Found:
    """What each score changes in the log probability that the next event, 90 days ahead, is each outcome.

    Baselines are the genomes of train subjects; scores that a subject lacks have none. How long one waits for
    an event is held.
    """
    table = asked.tables[GENOME]
    row = asked.points.rows[[point]]
    own = torch.from_numpy(table.values_by(row, asked.points.start[[point]]))[0]
    known = ~own.isnan()
    sets = [list(asked.head.config.tasks[asked.tasks[outcome]].tokens) for outcome in window.free]
    codes = _codes_at(asked, window)

    def log_probability(scores: Tensor) -> Tensor:
        values = own.repeat(len(scores), 1)
        values[:, known] = scores
        log_codes = codes(read(asked, window.batch, genome=values))
        return torch.stack([log_codes[:, tokens].logsumexp(dim=1) for tokens in sets], dim=1)

    found = []
    for draw in range(_DRAWS):
        donors = drawn_genomes(asked, BASELINES, seed, draw, point)[:, known]
        found.append(integrated_gradients(log_probability, own[known], donors))
    items = [name for name, given in zip(table.names, known.tolist(), strict=True) if given]
    return Found(items, np.stack([one.values for one in found]), _largest_error(found))


def _by_item(found: Integral, codes: np.ndarray, items: list[str]) -> Float64[np.ndarray, "outcomes items"]:
    """Attributions of tokens summed by code."""
    by_token = found.values.sum(axis=-1)
    members = np.array([codes == item for item in items], dtype=np.float64).reshape(len(items), len(codes))
    return by_token @ members.T


def _largest_error(found: list[Integral]) -> float:
    return max(one.error for one in found)


def read(
    asked: Asked, batch: Batch, *, vectors: Tensor | None = None, genome: Tensor | None = None
) -> Float[Tensor, "n dim"]:
    """States at the end of a window of one row, with other token vectors, or with genomes.

    Args:
        asked: The question.
        batch: The window.
        vectors: Vectors of its tokens, (n, length, dim), as if it had other codes; modalities are not read.
        genome: Scores, (n, width); the other modalities are read as they are.
    """
    model, given = asked.model, vectors if vectors is not None else genome
    assert given is not None
    tokens, ages, statics = (one.expand(len(given), -1) for one in (batch.tokens, batch.ages, batch.statics))
    if vectors is not None:
        hook = model.embedding.tokens.register_forward_hook(lambda *_: vectors)
        try:
            return model.hidden(tokens, ages, statics, {})[0][:, -1]
        finally:
            hook.remove()
    items = {
        name: one.map(lambda item: item.expand(len(given), *item.shape[1:]))
        for name, one in batch.modalities.items()
    }
    items[GENOME] = replace(items[GENOME], values=given[:, None])
    return model.hidden(tokens, ages, statics, items)[0][:, -1]


def _codes_at(asked: Asked, window: Window) -> Callable[[Tensor], Tensor]:
    """States to log probabilities of the next event's code, 90 days ahead; the waiting is held."""
    model, batch = asked.model, window.batch
    gap = torch.tensor([AHEAD_DAYS * MINUTES_PER_DAY])
    steps = model.bins.steps(gap)
    with torch.no_grad():
        hidden = model.hidden(batch.tokens, batch.ages, batch.statics, batch.modalities)[0][:, -1]
        log_wait = model.bins.log_wait(model.when(hidden), steps)
    seen = model.first_positions(batch.tokens, batch.seen_before) < batch.tokens.shape[1]

    def log_codes(states: Tensor) -> Tensor:
        count = len(states)
        moment = Moment(
            (batch.ages[:, -1] + gap).expand(count), log_wait.expand(count), batch.statics.expand(count, -1)
        )
        bins = model.bins.bin_of(steps).expand(count)
        return model.log_codes(states, bins, seen.expand(count, -1), moment)

    return log_codes


def _agreements(values: Float64[np.ndarray, "draws outcomes items"]) -> list[float]:
    """Correlation of two draws over items, of each outcome in which both differ."""
    return [
        float(np.corrcoef(one, other)[0, 1])
        for one, other in zip(*values, strict=True)
        if len(one) > 2 and one.std() > 0 and other.std() > 0
    ]


def _rows(asked: Asked, point: int, window: Window, through: str, found: Found) -> pl.DataFrame:
    values = found.values.mean(axis=0)
    outcome, item = (one.reshape(-1) for one in np.indices(values.shape))
    frame = keys_of(asked, np.full(values.size, point), window.free[outcome]).with_columns(
        pl.lit(asked.horizons_years[-1]).alias("horizon_years"),
        pl.lit(through).alias("through"),
        pl.Series("item", np.array(found.items, dtype=object)[item].tolist(), pl.String),
        pl.Series("gradient", values.reshape(-1), pl.Float64),
    )
    names = asked.names.codes if through == STATE else asked.names.scores
    return named(frame, "item", names).select(*GRADIENTS.columns)
