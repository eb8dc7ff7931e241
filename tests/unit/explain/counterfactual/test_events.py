"""Records read again without a code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from proband.explain.attribution.decomposition import decompose
from proband.explain.attribution.record import record_terms
from proband.explain.config import ExplainConfig
from proband.explain.counterfactual.events import query_without
from proband.explain.counterfactual.shifted import Shifted
from proband.explain.inputs import Asked, read_asked
from proband.tokens.history.summary import SummaryLayout
from proband.tokens.modalities.modality import modality_files


@pytest.fixture(scope="module")
def asked(world: Path) -> Asked:
    files = modality_files(world / "genome")
    return read_asked(
        world / "model_genome", world / "tokens", files, world / "task.yaml", ExplainConfig(split="train")
    )


def risks_without(asked: Asked, token: int) -> np.ndarray:
    rows, minutes = asked.points.rows, asked.points.start
    left = [np.array([token])] * len(rows)
    return Shifted.of(asked, query_without(asked, rows, minutes, left)).risk()


def test_a_code_that_nobody_has_changes_nothing_to_the_bit(asked: Asked) -> None:
    rows, minutes = asked.points.rows, asked.points.start
    whole = Shifted.of(asked, asked.queries(asked.store, rows, minutes).batch(np.arange(len(rows)))).risk()
    nobody = len(asked.store.vocabulary) - 1  # death, of those who are alive
    assert np.array_equal(risks_without(asked, nobody), whole)
    code = asked.store.vocabulary.index["X//A"]
    had = np.array(
        [code in asked.store.history(int(row), int(at))[0] for row, at in zip(rows, minutes, strict=True)]
    )
    changed = (risks_without(asked, code) != whole).any(axis=(1, 2))
    assert changed[had].all()
    assert had.any()
    assert np.abs(risks_without(asked, code) - whole)[~had].max() < 1e-6


def test_without_a_hazard_of_death_nothing_competes(asked: Asked) -> None:
    query = asked.queries(asked.store, asked.points.rows, asked.points.start).batch(np.arange(9))
    undying = replace(asked, death=None)
    risk = Shifted.of(undying, query).risk()
    assert decompose(undying, np.arange(9), query).points.risk == pytest.approx(risk, abs=1e-6)
    assert (risk[:, 0] > Shifted.of(asked, query).risk()[:, 0]).all()


def test_linear_terms_against_never_are_what_the_head_says(asked: Asked) -> None:
    """Without state and networks, the terms of a code are exactly what leaving it out changes."""
    layout, head = SummaryLayout.of(asked.store.vocabulary), asked.head
    rows, minutes = asked.points.rows[:20], asked.points.start[:20]
    query = asked.queries(asked.store, rows, minutes).batch(np.arange(20))
    terms = record_terms(head, layout, query, [0, 1, 2], 6)
    assert not terms.values[:, 2].any()  # a task without linear terms
    for code in ("X//A", "X//B"):
        entry = layout.codes.index(code)
        tokens = np.flatnonzero(layout.code_of == entry)
        without = query_without(asked, rows, minutes, [tokens] * 20)
        before, after = (record_terms(head, layout, one, [0], 6) for one in (query, without))
        totals = []
        for one in (before, after):
            total = one.not_had + one.age_sex
            any_event = one.codes == len(layout.codes) - 1
            owner = np.searchsorted(one.bounds, np.arange(len(one.codes)), side="right") - 1
            np.add.at(total, owner[~any_event], one.values[~any_event])
            totals.append(total[:, 0])
        owner = np.searchsorted(terms.bounds, np.arange(len(terms.codes)), side="right") - 1
        own = np.zeros(20)
        np.add.at(own, owner[terms.codes == entry], terms.if_never[terms.codes == entry, 0])
        assert totals[0] - totals[1] == pytest.approx(own, abs=1e-5)
        assert np.abs(own).max() > 0.01
