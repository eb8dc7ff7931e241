from __future__ import annotations

from collections import Counter

import pytest

from proband.synth.config import SynthConfig
from proband.synth.genomes.polygenic.plans import BEST, DISCOVERIES, METHODS, plan_scores, score_table
from proband.synth.traits import TRAITS


def test_a_fifth_are_nulls_and_every_trait_comes_round() -> None:
    plans = plan_scores(SynthConfig(scores=400))
    traits = Counter(plan.trait for plan in plans)
    assert traits.pop(-1) == 80
    assert set(traits) == set(range(len(TRAITS)))
    assert max(traits.values()) - min(traits.values()) <= 1
    assert {plan.method for plan in plans} == set(METHODS)
    assert [plan.control for plan in plans if plan.is_null] == list(range(1, 81))
    assert len({plan.pgs_id for plan in plans}) == 400


def test_discoveries_have_their_shares_and_sizes() -> None:
    config = SynthConfig(scores=4000)
    plans = plan_scores(config)
    for name, kind in DISCOVERIES.items():
        chosen = [plan for plan in plans if plan.discovery == name]
        assert len(chosen) / 4000 == pytest.approx(kind.share, abs=0.04)
        assert {plan.size for plan in chosen} == {round(kind.size * size) for size in config.discovery_sizes}
        assert sum(kind.mixture.values()) == pytest.approx(1)
    assert sum(kind.share for kind in DISCOVERIES.values()) == pytest.approx(1)


def test_the_first_score_of_every_trait_is_the_best() -> None:
    config = SynthConfig(scores=120)
    first = {plan.trait: plan for plan in reversed(plan_scores(config)) if not plan.is_null}
    assert set(first) == set(range(len(TRAITS)))
    assert {(plan.discovery, plan.method) for plan in first.values()} == {BEST}
    assert {plan.size for plan in first.values()} == {max(config.discovery_sizes)}


def test_scores_of_one_study_differ_in_method() -> None:
    plans = plan_scores(SynthConfig(scores=3000))
    made = Counter((plan.study, plan.method) for plan in plans)
    assert max(made.values()) == 1
    assert max(Counter(plan.study for plan in plans).values()) > 1


def test_a_longer_plan_begins_with_the_shorter() -> None:
    short, long = (plan_scores(SynthConfig(scores=count)) for count in (30, 90))
    assert long[:30] == short


def test_no_nulls_when_none_are_wanted() -> None:
    assert not any(plan.is_null for plan in plan_scores(SynthConfig(scores=40, null_scores=0)))
    assert all(plan.is_null for plan in plan_scores(SynthConfig(scores=40, null_scores=1)))


def test_the_table_tells_what_each_score_is() -> None:
    table = score_table(SynthConfig(scores=10))
    assert table.columns == ["pgs_id", "trait", "discovery", "size", "method", "is_null"]
    assert table["pgs_id"].to_list() == [f"SYN{number:06d}" for number in range(1, 11)]
    assert table.filter("is_null")["trait"].to_list() == ["control_1", "control_2"]
