from __future__ import annotations

import math

import pytest
import torch

from proband.model.next_event.clock import FEMALE, MALE, NUM_BANDS, SEXES, UNKNOWN_SEX, Moment, PersonClock
from proband.model.next_event.heads import WhatHead, WhenHead, first_positions
from small_world import model_config, random_model

YEAR = 525_960


def flags(*tokens: int) -> torch.Tensor:
    found = torch.zeros(8, dtype=torch.bool)
    found[list(tokens)] = True
    return found


def moment(number: int = 1) -> Moment:
    """An event at 40 that was two years' waiting away, sex not known."""
    ages = torch.full((number,), 40 * YEAR)
    return Moment(ages, torch.full((number,), math.log(2)), torch.zeros(number, 1, dtype=torch.int64))


def seen_at(tokens: list[int], before: list[int], position: int) -> set[int]:
    first = first_positions(torch.tensor([tokens]), torch.tensor([before]), 8)
    return set((first[0] <= position).nonzero().squeeze(-1).tolist())


def test_a_code_is_seen_from_its_position_on() -> None:
    tokens = [1, 3, 2, 5, 3]
    found = [seen_at(tokens, [0], position) - {0} for position in range(5)]
    assert found == [{1}, {1, 3}, {1, 2, 3}, {1, 2, 3, 5}, {1, 2, 3, 5}]


def test_codes_before_the_window_are_seen_everywhere() -> None:
    assert seen_at([2, 2, 0, 0], [5, 0], 0) - {0} == {2, 5}
    assert seen_at([2, 3, 0, 0], [5, 0], 3) - {0} == {2, 3, 5}


def test_rows_do_not_mix() -> None:
    first = first_positions(torch.tensor([[3, 2], [2, 2]]), torch.tensor([[0], [0]]), 8)
    assert (first <= 1)[:, 3].tolist() == [True, False]


def test_padding_birth_and_had_codes_that_happen_once_have_no_probability() -> None:
    torch.manual_seed(0)
    head = WhatHead(model_config(), 5, flags(3, 7))
    seen = torch.stack([flags(), flags(2, 3, 7)])
    found = head(torch.randn(2, 16), torch.tensor([0, 4]), torch.randn(8, 16), seen, moment(2)).exp()
    assert found.dtype == torch.float32
    assert torch.allclose(found.sum(-1), torch.ones(2))
    assert found[0].gt(0).tolist() == [False, False, True, True, True, True, True, True]
    assert found[1].gt(0).tolist() == [False, False, True, False, True, True, True, False]


def test_a_had_code_has_a_bias_of_its_own() -> None:
    torch.manual_seed(0)
    head = WhatHead(model_config(), 5, flags())
    with torch.no_grad():
        head.repeat[4] = 1.5
    hidden, embedding = torch.randn(1, 16), torch.randn(8, 16)
    new, had = (
        head(hidden, torch.tensor([2]), embedding, seen[None], moment()) for seen in (flags(), flags(4, 5))
    )
    odds = (had - had[:, 6:7]) - (new - new[:, 6:7])
    two_years = math.log(2)  # what a new code has beside its bias, at rates of one a year
    assert odds[0, [4, 5]].tolist() == pytest.approx([1.5 - two_years, -two_years], abs=1e-5)


def test_the_gap_informs_the_code() -> None:
    torch.manual_seed(0)
    head = WhatHead(model_config(), 5, flags())
    hidden, embedding = torch.randn(1, 16), torch.randn(8, 16)
    found = [head(hidden, torch.tensor([gap]), embedding, flags()[None], moment()) for gap in (0, 4)]
    assert not torch.allclose(found[0][:, 2:], found[1][:, 2:])


def test_the_when_head_starts_at_its_bias() -> None:
    head = WhenHead(model_config(), 4)
    with torch.no_grad():
        head.output.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]).log())
    assert torch.allclose(head(torch.randn(3, 16)).exp(), torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(3, -1))


def clock_of(**rates: list[float]) -> PersonClock:
    """A clock of daily steps and eight codes, whose rates per year are given for code 4 in its first bands,
    by sex; static codes 1 and 2 are female and male, 3 says nothing."""
    clock = PersonClock(8, 3)
    table = torch.ones(SEXES, NUM_BANDS, 8)
    for name, values in rates.items():
        table[{"male": MALE, "female": FEMALE, "unknown": UNKNOWN_SEX}[name], : len(values), 4] = (
            torch.tensor(values)
        )
    clock.set_rates(table.log(), torch.tensor([UNKNOWN_SEX, FEMALE, MALE, UNKNOWN_SEX]))
    return clock


def expected(clock: PersonClock, age: float, wait: float, statics: tuple[int, ...] = (0, 0)) -> list[float]:
    """Rates of codes 4 and 5 over the hazard of events; age and the hazard's inverse in years."""
    at = torch.tensor([round(age * YEAR)])
    moment = Moment(at, torch.tensor([wait]).log(), torch.tensor([statics]))
    return clock(moment, torch.zeros(1, 8, dtype=torch.bool))[0, 4:6].exp().tolist()


def test_a_new_code_has_its_rate_at_the_events_age_over_the_hazard_of_events() -> None:
    clock = clock_of(male=[0.1, 0.2, 0.4], female=[0.01, 0.02, 0.04], unknown=[0.3])
    assert expected(clock, 7.5, 0.5, (1, 0)) == pytest.approx([0.02 * 0.5, 0.5], rel=1e-5)
    assert expected(clock, 7.5, 0.5, (2, 0)) == pytest.approx([0.2 * 0.5, 0.5], rel=1e-5)
    between = 0.2 * math.sqrt(0.4 / 0.2)  # ten years lie half-way between the middles of two bands
    assert expected(clock, 10, 3, (2, 0)) == pytest.approx([between * 3, 3], rel=1e-5)


def test_ages_beyond_the_outer_bands_have_their_rates() -> None:
    clock = clock_of(unknown=[0.3])
    clock.log_rates[:, 4].reshape(SEXES, NUM_BANDS)[UNKNOWN_SEX, -1] = math.log(0.7)
    assert expected(clock, 1, 1)[0] == pytest.approx(0.3, rel=1e-5)
    assert expected(clock, 119, 2)[0] == pytest.approx(1.4, rel=1e-5)
    assert expected(clock, 130, 1)[0] == pytest.approx(0.7, rel=1e-5)


def test_sex_is_what_the_first_static_code_with_one_says() -> None:
    clock = clock_of()
    statics = torch.tensor([[0, 0], [3, 0], [3, 1], [2, 1], [1, 2], [0, 2]])
    assert clock.sex(statics).tolist() == [UNKNOWN_SEX, UNKNOWN_SEX, FEMALE, MALE, FEMALE, MALE]
    different = clock_of(male=[0.1], female=[0.2], unknown=[0.15])
    assert expected(different, 1, 1, (3, 0))[0] == pytest.approx(0.15, rel=1e-5)


def test_a_slope_turns_a_rate_per_year_into_one_per_event() -> None:
    clock = clock_of(unknown=[0.3, 0.3, 0.3])
    with torch.no_grad():
        clock.slopes[4] = -1.0
        clock.log_middle.fill_(math.log(0.25))
    assert expected(clock, 5, 3)[0] == pytest.approx(0.3 * 0.25, rel=1e-5)
    assert expected(clock, 5, 0.01)[0] == pytest.approx(0.3 * 0.25, rel=1e-5)
    with torch.no_grad():
        clock.slopes[4] = 0.5
    assert expected(clock, 5, 1)[0] == pytest.approx(0.3 * 4**0.5, rel=1e-5)


def test_one_of_the_bins_of_a_code_measured_once_blocks_all() -> None:
    model = random_model(once=[7], together=[3, 4, 5])
    first = model.first_positions(torch.tensor([[1, 2, 4, 2]]), torch.tensor([[0]]))
    assert [(first[0] <= at).nonzero().squeeze(-1).tolist() for at in (1, 2)] == [
        [0, 1, 2],
        [0, 1, 2, 3, 4, 5],
    ]
    before = model.first_positions(torch.tensor([[2, 2]]), torch.tensor([[5]]))
    assert before[0, 3:6].tolist() == [-1, -1, -1]
    with torch.no_grad():
        p = model.log_codes(
            torch.randn(2, 16), torch.tensor([0, 4]), first <= torch.tensor([[1], [2]]), moment(2)
        )
    assert (p.exp() > 0).tolist() == [
        [False, False, True, True, True, True, True, True],
        [False, False, True, False, False, False, True, True],
    ]
    repeated = torch.tensor([[2, 4, 5, 7]])
    assert model.what.impossible_next(
        repeated, model.first_positions(torch.tensor([[1, 2, 4, 5]]), torch.tensor([[0]]))
    ).tolist() == [[False, False, True, False]]


def test_codes_that_happen_once_alone_do_not_block_each_other() -> None:
    model = random_model(once=[3, 4])
    first = model.first_positions(torch.tensor([[1, 3]]), torch.tensor([[0]]))
    assert (first[0] <= 1).tolist() == [True, True, False, True, False, False, False, False]
