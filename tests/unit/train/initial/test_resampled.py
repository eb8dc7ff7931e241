"""What a model begins with on a resample is what it begins with on records written as often as drawn."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from proband.core.units import MINUTES_PER_YEAR
from proband.model.config import OnsetTask
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import make_windows
from proband.train.initial import build, code_rates
from proband.train.onset import incidence, queries
from proband.train.onset.stage import read_dates
from proband.train.onset.tasks import num_onsets
from small_world import GAP_EDGES, HandStore, Record, random_model

SEED = 5
TASKS = (OnsetTask(name="three", tokens=(3,)), OnsetTask(name="death", tokens=(7,)))


def records() -> list[Record]:
    """People of 40, followed for up to 20 years, in which codes 2 to 5 come at random."""
    rng = np.random.default_rng(0)
    found = []
    for subject in range(300):
        start = 40 * MINUTES_PER_YEAR
        ages = np.sort(rng.integers(start, start + 20 * MINUTES_PER_YEAR, rng.integers(1, 9)))
        tokens = rng.integers(2, 6, len(ages)).tolist()
        split = "train" if subject % 5 else "tuning"
        end = int(ages[-1]) + 1000
        found.append(
            Record(tokens, ages.tolist(), entry=start, exit=end, split=split, statics=(1 + subject % 2,))
        )
    return found


def drawn_and_written() -> tuple[TokenStore, TokenStore]:
    once = records()
    drawn = HandStore(once).resampled(SEED)
    rows = np.concatenate([drawn.rows_of("train"), drawn.rows_of("tuning")])
    return drawn, HandStore([copy.copy(once[row]) for row in rows])


def test_counts_and_rates_are_those_of_records_written_as_often() -> None:
    drawn, written = drawn_and_written()
    assert build.gap_edges(drawn) == build.gap_edges(written)
    bins = build.GapBins(GAP_EDGES, drawn.vocabulary.resolution_minutes)
    assert torch.equal(build.count_gaps(drawn, bins), build.count_gaps(written, bins))
    assert np.array_equal(build.code_rates(drawn).num_new, build.code_rates(written).num_new)
    assert torch.equal(build.code_rates(drawn).repeat, build.code_rates(written).repeat)
    assert torch.allclose(code_rates.log_rates(drawn), code_rates.log_rates(written))
    assert torch.allclose(incidence.log_rates(drawn, TASKS), incidence.log_rates(written, TASKS))


def test_dates_and_windows_are_those_of_records_written_as_often() -> None:
    drawn, written = drawn_and_written()
    for split in ("train", "tuning"):
        of_drawn, of_written = drawn.rows_of(split), written.rows_of(split)
        rows, minutes = queries.draw_dates(drawn, of_drawn, 3, 0, "x")
        others, same = queries.draw_dates(written, of_written, 3, 0, "x")
        assert np.array_equal(minutes, same)
        assert np.array_equal(drawn.exit[rows], written.exit[others])
        assert np.array_equal(num_onsets(drawn, of_drawn, TASKS), num_onsets(written, of_written, TASKS))
        lengths = [make_windows(store, store.rows_of(split), 64).lengths for store in (drawn, written)]
        assert np.array_equal(*lengths)


def test_onsets_count_as_those_of_records_written_as_often() -> None:
    """A subject who was drawn twice counts as two, in all that priors are weighed against."""
    model, onsets = random_model().eval(), []
    for store in drawn_and_written():
        part = read_dates(model, store, {}, TASKS, store.rows_of("train"), "x", 24, 0)
        assert part.followed.num_people == pytest.approx(len(store.rows_of("train")), rel=0.02)
        assert part.per_subject == pytest.approx(24, rel=0.02)
        onsets.append(part.onsets(2).numpy())
    assert onsets[0] == pytest.approx(onsets[1], rel=0.02)
    assert onsets[0].max() > 20
