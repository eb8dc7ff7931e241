"""Points of codes where the record's part of the log hazard changes its sign with the time ahead."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from proband.explain.attribution.decomposition import bins_before, codes_frame, decompose, parts_frame
from proband.explain.attribution.parts import BY_TIME, RECORD, part_names
from proband.explain.attribution.record import record_terms
from proband.explain.config import ExplainConfig
from proband.explain.inputs import Asked, read_asked
from proband.tokens.history.summary import SummaryLayout
from proband.tokens.modalities.modality import modality_files

KEY = ["subject_id", "prediction_time"]


@pytest.fixture
def asked(world: Path) -> Asked:
    """With a head of its own, which tests change."""
    files, config = modality_files(world / "genome"), ExplainConfig(split="train")
    found = read_asked(world / "model_genome", world / "tokens", files, world / "task.yaml", config)
    return replace(found, head=copy.deepcopy(found.head))


def test_codes_have_bounded_points_where_the_part_is_nothing_at_the_horizon(asked: Asked) -> None:
    """What fades as a whole is scaled so that the two cancel at the last horizon, for one person."""
    layout, last = SummaryLayout.of(asked.store.vocabulary), int(bins_before(asked.horizons_years)[-1])
    index = np.flatnonzero(~asked.prevalent[:, 0])[:8]
    query, head = asked.queries(asked.store, asked.points.rows, asked.points.start).batch(index), asked.head
    head.by_time.copy_(0.2 * torch.randn(head.by_time.shape, generator=torch.Generator().manual_seed(0)))
    before = decompose(asked, index, query)
    fades, by_time = (before.parts[part_names(head).index(name), 0, 0, last] for name in (RECORD, BY_TIME))
    scale = -(1 + 1e-6) * by_time / fades
    head.linear.mul_(scale)
    head.interactions.weights.mul_(scale)
    one = decompose(asked, index, query)
    part = parts_frame(asked, one).filter(part=RECORD, outcome=asked.outcomes[0])
    part = part.filter(pl.col("horizon_years") == max(asked.horizons_years)).sort(KEY)
    assert part.join(asked.points.frame[index[:1]], on=KEY)["log_hazard"].abs()[0] < 1e-4
    codes = codes_frame(asked, layout, one, 10_000).filter(outcome=asked.outcomes[0])
    total = codes.group_by(KEY).agg(pl.col("risk_points").sum()).sort(KEY)
    assert total["risk_points"].to_numpy() == pytest.approx(part["risk_points"].to_numpy(), abs=1e-6)
    tasks, bins = list(asked.tasks), range(head.bias.shape[1])
    largest = max(np.abs(record_terms(head, layout, query, tasks, ahead).values).max() for ahead in bins)
    # A risk rises by less than 1 / e for each unit of log hazard, at whatever time.
    assert codes["risk_points"].abs().max() < 3 * largest / np.e  # type: ignore[operator]


def test_a_code_has_the_sign_of_what_it_gives_where_nothing_changes_with_time(asked: Asked) -> None:
    asked.head.by_time.zero_()
    index = np.flatnonzero(~asked.prevalent[:, 0])[:8]
    one = decompose(
        asked, index, asked.queries(asked.store, asked.points.rows, asked.points.start).batch(index)
    )
    codes = codes_frame(asked, SummaryLayout.of(asked.store.vocabulary), one, 10_000)
    told = codes.filter(pl.col("log_hazard").abs() > 1e-9)
    assert (told["log_hazard"].sign() == told["risk_points"].sign()).all()
    assert told.height > 20
