from __future__ import annotations

import re

import numpy as np
import pytest

from proband.core.errors import ConfigError
from proband.ehr.outcomes import Task
from proband.forecast.engine.request import outcome_matrix
from proband.tokens.history.outcomes import outcome_tokens
from small_world import DAY
from vocabularies import vocabulary_named

DEATH = "MEDS_DEATH"
CODES = (
    "PADDING",
    "MEDS_BIRTH",
    "ICD10//E11",
    "LAB//1",
    "LAB//1//Q1",
    "LAB//1//Q2",
    "LAB//1//Q3",
    "LAB//2//Q1",
    "LAB//2//Q2",
    "UNKNOWN",
    DEATH,
)
VOCABULARY = vocabulary_named(
    names=CODES,
    edges={"LAB//1": (4.5, 7.0), "LAB//2": (5.0,)},
    rolled={"ICD10//E11.6": "ICD10//E11", "SNOMED//5": "UNKNOWN"},
    once=(False,) * len(CODES),
    statics=(),
    resolution_minutes=DAY,
)


def task(**outcomes: dict) -> Task:
    return Task.model_validate(
        {"outcomes": outcomes, "prediction": {"years_after_entry": 2}, "horizons_years": [5, 1]}
    )


def tokens_of(**outcomes: dict) -> dict[str, list[list[int]]]:
    found = outcome_tokens(VOCABULARY, task(**outcomes))
    return {name: [np.flatnonzero(step).tolist() for step in steps] for name, steps in found.items()}


def test_an_outcome_on_a_code_takes_all_its_value_bins() -> None:
    wanted = {"lab": {"codes": "LAB//1"}, "t2d": {"prefixes": "ICD10//E1"}, "end": {"codes": DEATH}}
    assert tokens_of(**wanted) == {"lab": [[3, 4, 5, 6]], "t2d": [[2]], "end": [[10]]}


def test_a_pattern_has_tokens_for_each_step_and_is_no_set() -> None:
    both = {"steps": [{"codes": "ICD10//E11"}, {"codes": "LAB//2", "below": 5}]}
    assert tokens_of(both=both) == {"both": [[2], [7]]}
    sets = outcome_matrix(
        outcome_tokens(VOCABULARY, task(a={"codes": DEATH}, both=both, z={"codes": "LAB//1"}))
    )
    assert [np.flatnonzero(members).tolist() for members in sets] == [[10], [3, 4, 5, 6]]
    assert outcome_matrix(outcome_tokens(VOCABULARY, task(both=both))).shape == (0, len(CODES))


@pytest.mark.parametrize(
    ("bounds", "tokens", "said"),
    [
        ({"below": 7}, [4, 5], ""),
        ({"below": 6}, [4], "d asks for LAB//1 below 6; by the edges .* those below 4.5 count"),
        ({"below": 4.5}, [4], ""),
        ({"above": 4}, [5, 6], "LAB//1 above 4; .* those from 4.5 count"),
        # a bin holds its lower edge, so that from 4.5 on is not above 4.5
        ({"above": 4.5}, [6], "LAB//1 above 4.5; .* those from 7 count"),
        ({"above": 4, "below": 7}, [5], "LAB//1 above 4 and below 7; .* those from 4.5 and below 7 count"),
    ],
)
def test_bins_that_lie_beyond_a_bound_as_a_whole(
    bounds: dict, tokens: list[int], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tokens_of(d={"codes": "LAB//1", **bounds}) == {"d": [tokens]}
    lines = capsys.readouterr().err
    assert bool(lines) == bool(said)
    assert re.search(said, lines)


def test_of_several_codes_the_first_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert tokens_of(d={"prefixes": "LAB//", "below": 6}) == {"d": [[4, 7]]}
    assert "LAB//1 below 6" in (line := capsys.readouterr().err)
    assert "(so of 1 more codes)" in line


def test_steps_that_ask_for_the_same_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    low = {"codes": "LAB//1", "below": 6}
    assert tokens_of(d={"steps": [low, low]}) == {"d": [[4], [4]]}
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_bounds_beyond_all_edges_or_on_codes_without_values_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"outcome d; found LAB//1 above 7, bins with edges 4.5, 7; .*--num-b"
    ):
        tokens_of(d={"codes": "LAB//1", "above": 7})
    with pytest.raises(ConfigError, match=r"knows no values.*outcome d; found no value bins of ICD10//E11"):
        tokens_of(d={"codes": "ICD10//E11", "above": 7})


def test_unknown_outcome_codes_name_a_near_match_or_the_roll_up() -> None:
    with pytest.raises(ConfigError, match=r"outcome d; found ICD10//E12.*did you mean ICD10//E11\?"):
        tokens_of(d={"codes": "ICD10//E12"})
    with pytest.raises(ConfigError, match=r"outcome d; found ICD10//E12.*did you mean ICD10//E11\?"):
        tokens_of(d={"steps": [{"codes": "ICD10//E11"}, {"codes": "ICD10//E12"}]})
    with pytest.raises(
        ConfigError, match=r"1 of its codes were too rare and rolled up, first SNOMED//5.*--min-subjects"
    ):
        tokens_of(d={"codes": "SNOMED//5"})
    with pytest.raises(ConfigError, match=r"compare with codes in vocabulary\.json"):
        tokens_of(d={"codes": "zzzzzzzzzzzzz"})


def test_all_unknown_outcomes_are_named_at_once() -> None:
    wanted = {name: {"codes": f"Z//{name}"} for name in ("x", "y", "z")} | {"known": {"codes": "LAB//1"}}
    with pytest.raises(
        ConfigError, match=r"outcome x; found Z//x; the same of 2 more outcomes: y, z; remedy"
    ):
        tokens_of(**wanted)


def test_rolled_up_codes_beside_known_ones_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    tokens_of(d={"prefixes": "ICD10//E11"})
    assert "1 rare codes of d rolled up and do not count, first ICD10//E11.6" in capsys.readouterr().err


@pytest.mark.parametrize(
    "outcome", [{"codes": "X//3"}, {"steps": [{"codes": "LAB//1", "below": 5}, {"codes": "X//3"}]}]
)
def test_an_outcome_that_may_be_absent_has_no_tokens(
    outcome: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tokens_of(d=outcome | {"may_be_absent": True})["d"][-1] == []
    assert "knows no code of d; its risks are 0" in capsys.readouterr().err
