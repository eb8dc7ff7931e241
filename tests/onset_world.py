"""Onset heads of known rates, queries of few features, and dates of hand-made records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from proband.core.statistics.incidence import OLDEST
from proband.model.config import OnsetConfig, OnsetTask
from proband.model.onset.head import OnsetHead
from proband.model.onset.inputs import Query
from proband.model.onset.queries import Queries
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SummaryLayout, summarise
from proband.train.onset.fit import Part
from proband.train.onset.queries import follow_up
from small_world import model_config

DIM = 16


def head_of(*tokens: Sequence[int], num_features: int = 6, **changes: Any) -> OnsetHead:
    """An untrained head with a named task for each set of tokens."""
    tasks = tuple(OnsetTask(name=f"task {at}", tokens=tuple(one)) for at, one in enumerate(tokens))
    shape = {"tasks": tasks, "num_named": len(tasks), "num_features": num_features, "rank": 4} | changes
    torch.manual_seed(0)
    return OnsetHead(model_config(dim=DIM, onset=OnsetConfig(**shape))).eval()


def random_rates(head: OnsetHead, seed: int = 0) -> np.ndarray:
    """Give the head rates that differ by task, sex and age; returns them as (tasks, sexes, ages)."""
    rng = np.random.default_rng(seed)
    rates = np.exp(rng.normal(-3, 0.7, (len(head.bias), 2, OLDEST)))
    rates = np.concatenate([rates, rates.mean(axis=1, keepdims=True)], axis=1)
    head.log_rate.copy_(torch.from_numpy(np.log(rates)))
    return rates


def randomise(head: OnsetHead, scale: float = 0.3) -> OnsetHead:
    """Give the head random weights."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in (head.linear, head.state_linear, head.bias):
            weights.normal_(std=scale)
        head.interactions.weights.normal_(std=scale / 10)  # their columns are not standardised here
        for parameter in head.networks.parameters():
            parameter.normal_(std=scale)
        for name in head.modalities:
            linear = head.linear_of(name)
            linear.beta.normal_(std=scale)
            linear.by_age.uniform_(0.8, 1.2)
            linear.level.normal_(std=scale)
        head.by_time.normal_(std=scale)
    return head


def query_of(age: Sequence[float], female: Sequence[float], num_features: int = 6, **fields: Any) -> Query:
    """Queries of random features and states; every third has no features at all."""
    n, rng = len(age), np.random.default_rng(5)
    sizes = [0 if at % 3 == 2 else 1 + at % num_features for at in range(n)]
    features = [rng.choice(num_features, size, replace=False) for size in sizes]
    return Query(
        bounds=torch.tensor(np.cumsum([0, *sizes])),
        features=torch.from_numpy(np.concatenate(features).astype(np.int64)),
        values=torch.from_numpy(rng.normal(size=sum(sizes))).float(),
        state=torch.from_numpy(rng.normal(size=(n, DIM))).float(),
        age=torch.tensor(age, dtype=torch.float32),
        silence=torch.from_numpy(rng.exponential(size=n)).float(),
        female=torch.tensor(female, dtype=torch.float32),
        modalities=fields.get("modalities", {}),
    )


def part_of(store: TokenStore, rows: np.ndarray, minutes: np.ndarray, head: OnsetHead) -> Part:
    """Dates of a store, read without a trunk."""
    rows, minutes = rows.astype(np.int64), minutes.astype(np.int64)
    features = summarise(store, SummaryLayout.of(store.vocabulary), rows, minutes)
    state = np.ones((len(rows), DIM), dtype=np.float32)
    queries = Queries(rows, minutes, features, state, minutes, store.female[rows], {})
    return Part(queries, follow_up(store, queries, head.config.tasks))
