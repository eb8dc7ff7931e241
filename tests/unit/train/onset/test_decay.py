from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from onset_world import head_of, part_of
from proband.core.units import MINUTES_PER_YEAR
from proband.model.config import BIN_EDGES
from proband.tokens.history.summary import SummaryLayout
from proband.tokens.modalities.modality import ModalityTable
from proband.train.onset.decay import fit_decay
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import expected_and_happened
from proband.train.onset.stage import OnsetResult, fit_modality_terms
from proband.train.onset.terms.linear import standardise_modalities
from small_world import HandStore, Record

CODE, ONSET = 2, 3
EFFECT, RATE, YEARS = 1.5, 0.04, 14.0
DECAY = np.array([1.3, 1.2, 1.1, 0.9, 0.8, 0.6, 0.5, 0.4])


def simulated(n: int, decay: np.ndarray, seed: int) -> HandStore:
    """Half had the code before follow-up; its effect on the hazard of the onset is ``decay`` times EFFECT."""
    rng = np.random.default_rng(seed)
    edges = np.array([*BIN_EDGES[1:], np.inf])
    records = []
    for number, wait in enumerate(rng.exponential(size=n).tolist()):
        hazards = RATE * np.exp(EFFECT * decay * (number % 2))
        years, begin = 0.0, 0.0
        for hazard, end in zip(hazards.tolist(), edges.tolist(), strict=True):
            if wait < hazard * (end - begin):
                years = begin + wait / hazard
                break
            wait, begin = wait - hazard * (end - begin), end
        at = round((40 + years) * MINUTES_PER_YEAR)
        entry, exit_ = (round(age * MINUTES_PER_YEAR) for age in (40, 40 + YEARS))
        had = [CODE] if number % 2 else []
        onset = at <= exit_
        tokens, ages = [*had, *[ONSET] * onset], [*[1] * len(had), *[at] * onset]
        records.append(Record(tokens, ages, entry=entry, exit=exit_))
    return HandStore(records)


def test_a_known_decay_comes_back() -> None:
    store = simulated(45_000, DECAY, 0)
    layout = SummaryLayout.of(store.vocabulary)
    head = head_of([ONSET], num_features=layout.num_features)
    head.log_rate.fill_(math.log(RATE))
    count = layout.names(store.vocabulary).index(f"X//{CODE}: count")
    head.linear[count, 0] = EFFECT / math.log(2)

    def part(rows: np.ndarray) -> Part:
        return part_of(store, rows, store.entry[rows], head)

    fit_decay(head, part(np.arange(30_000)), part(np.arange(30_000, 45_000)), torch.device("cpu"))
    assert head.decay.numpy() == pytest.approx(DECAY, abs=0.12)  # 3 standard errors
    assert head.bias[0].numpy() == pytest.approx(0, abs=0.12)


def test_the_tuning_split_decides_how_large_the_effects_are() -> None:
    """On train the effects are twice what they are elsewhere, as of a model that has overfitted."""
    even, half = np.ones(8), np.full(8, 0.5)
    train, tuning = simulated(6_000, even, 1), simulated(6_000, half, 2)
    layout = SummaryLayout.of(train.vocabulary)
    head = head_of([ONSET], num_features=layout.num_features)
    head.log_rate.fill_(math.log(RATE))
    count = layout.names(train.vocabulary).index(f"X//{CODE}: count")
    head.linear[count, 0] = EFFECT / math.log(2)
    parts = [part_of(store, np.arange(6_000), store.entry, head) for store in (train, tuning)]
    fit_decay(head, *parts, torch.device("cpu"))
    assert float(head.decay.mean()) == pytest.approx(0.5, abs=0.1)


def test_levels_are_right_beside_the_effect_of_a_score() -> None:
    """The rate is the marginal one: beside exp(beta z), whose mean is above 1, the level has to fall."""
    n, beta, exit_years = 6000, 0.8, 10.0
    rng = np.random.default_rng(0)
    z = rng.normal(size=n).astype(np.float32)
    wait = rng.exponential(size=n) / (RATE * np.exp(beta * z))
    entry, exit_ = (round(age * MINUTES_PER_YEAR) for age in (40, 40 + exit_years))
    minutes = [round((40 + years) * MINUTES_PER_YEAR) for years in wait.tolist()]
    store = HandStore(
        [
            Record([ONSET] if at <= exit_ else [], [at] if at <= exit_ else [], entry=entry, exit=exit_)
            for at in minutes
        ]
    )
    head = head_of(
        [ONSET], num_features=SummaryLayout.of(store.vocabulary).num_features, linear={"genome": 1}
    )
    marginal = (wait <= exit_years).sum() / np.minimum(wait, exit_years).sum()
    head.log_rate.fill_(math.log(marginal))
    table = ModalityTable(z[:, None], np.zeros(n, np.int64), np.arange(n + 1), ("score",))

    def part(rows: np.ndarray) -> Part:
        read = part_of(store, rows, store.entry[rows], head)
        return replace(read, queries=replace(read.queries, tables={"genome": table}))

    train, tuning = part(np.arange(4000)), part(np.arange(4000, n))
    standardise_modalities(head, train)
    fit_modality_terms(head, train, tuning, torch.device("cpu"), OnsetResult({}, {}))
    linear = head.linear_of("genome")
    effect = linear.beta[0, 0] * linear.factor(torch.tensor([40.0]))[0, 0]
    assert float(effect) == pytest.approx(beta, abs=0.12)
    with torch.no_grad():
        query, followed = train.batch(np.arange(4000), torch.device("cpu"))
        expected, happened = expected_and_happened(head, query, head(query), followed)
    assert float(expected.sum() / happened.sum()) == pytest.approx(1, abs=0.02)
