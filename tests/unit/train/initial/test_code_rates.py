from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from proband.core.batch import EVENT
from proband.core.statistics.incidence import rates_by_age_and_sex
from proband.core.units import MINUTES_PER_YEAR
from proband.model.next_event.clock import FEMALE, MALE, NUM_BANDS, UNKNOWN_SEX
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows
from proband.train.config import TrainConfig
from proband.train.initial.build import build_model
from proband.train.initial.code_rates import log_rates, sexes_of_statics
from small_world import HandStore, Record

DAY = 1440
BORN_WITH, COMMON, RARE, DEATH = 2, 3, 4, 7


def population(number: int = 1500, sexes: tuple[int, ...] = (1, 2)) -> HandStore:
    """Followed from 40 to 60; code 3 first comes at a rate of 0.1 a year in women and 0.02 in men, and
    again half a year later; code 4 to one woman; code 2 to everybody at entry."""
    rng = np.random.default_rng(1)
    records = []
    for subject in range(number):
        sex = sexes[subject % len(sexes)]
        start, end = 40 * MINUTES_PER_YEAR // DAY * DAY, 60 * MINUTES_PER_YEAR // DAY * DAY
        first = start + int(rng.exponential(10 if sex == 1 else 50) * 365.25) * DAY
        visits = [start + int(year * 365.25) * DAY for year in (2, 5, 9)]
        events = [(start, BORN_WITH)] + [(at, 5) for at in visits]
        events += [(at, COMMON) for at in (first, first + 183 * DAY) if at <= end]
        if subject == 0:
            events.append((start + 100 * DAY, RARE))
        events.sort()
        ages, tokens = zip(*events, strict=True)
        records.append(Record(tokens, ages, entry=start, exit=end, statics=(sex,)))
    return HandStore(records)


def rate(table: torch.Tensor, sex: int, token: int, age: int = 50) -> float:
    """Rate per year in the band of an age."""
    return math.exp(table[sex, age // 5, token])


def test_rates_are_those_of_the_common_smoother() -> None:
    store = population()
    table = log_rates(store)
    first = np.array(
        [
            np.min([60.0001, *ages[codes == COMMON] / MINUTES_PER_YEAR])
            for codes, ages in map(store.record, range(len(store)))
        ]
    )
    by_year = rates_by_age_and_sex(
        store.entry / MINUTES_PER_YEAR,
        np.minimum(first, store.exit / MINUTES_PER_YEAR),
        store.female,
        first < 60.0001,
    )
    for sex in (MALE, FEMALE):
        assert table[sex, :, COMMON].exp().numpy() == pytest.approx(by_year[sex, 2::5], rel=1e-4)
    assert rate(table, FEMALE, COMMON) == pytest.approx(0.1, rel=0.1)
    assert rate(table, MALE, COMMON) == pytest.approx(0.02, rel=0.25)
    mean = (rate(table, MALE, COMMON) + rate(table, FEMALE, COMMON)) / 2
    assert rate(table, UNKNOWN_SEX, COMMON) == pytest.approx(mean, rel=1e-5)


def test_what_was_had_at_entry_or_never_has_the_rate_of_half_an_event() -> None:
    table = log_rates(population())
    for token in (BORN_WITH, DEATH, 6):
        assert rate(table, MALE, token) == pytest.approx(0.5 / (750 * 20), rel=0.01)
    assert rate(table, MALE, RARE) >= 0.5 / (750 * 20) * 0.999  # had by a woman alone
    assert bool(table.isfinite().all())


def test_rates_without_any_sex_are_those_of_all() -> None:
    table = log_rates(population(sexes=(0,)))
    for sex in (MALE, FEMALE, UNKNOWN_SEX):
        assert rate(table, sex, COMMON) == pytest.approx(0.02, rel=0.2)
    women = log_rates(population(sexes=(1,)))
    for sex in (MALE, FEMALE, UNKNOWN_SEX):
        assert rate(women, sex, COMMON) == pytest.approx(0.1, rel=0.1)


def test_the_sex_of_static_codes() -> None:
    statics = ("Gender//F", "Race//2", "GENDER//MALE")
    assert sexes_of_statics(statics).tolist() == [UNKNOWN_SEX, FEMALE, UNKNOWN_SEX, MALE]


def new_codes(store: TokenStore) -> tuple[np.ndarray, np.ndarray]:
    """Events of each code new to the subject: seen, and expected by a model before its first step."""
    model = build_model(store, {}, TrainConfig(depth=1, dim=32, num_heads=1, context=64)).eval()
    batch = load_batch(store, make_windows(store, store.rows_of("train"), 64))
    at = (batch.target == EVENT).nonzero(as_tuple=True)
    seen = model.first_positions(batch.tokens, batch.seen_before)[at[0]] <= at[1][:, None]
    with torch.no_grad():
        model.what.norm.weight.zero_()  # what the trunk says at random before the first step
        hidden, _ = model.hidden(batch.tokens, batch.ages, batch.statics, {})
        moment = model.moment(hidden, batch, at)
        p = model.log_codes(
            hidden[at], model.bins.bin_of(model.bins.steps(batch.gaps[at])), seen, moment
        ).exp()
    following = batch.next_tokens[at]
    is_new = ~seen.gather(1, following[:, None]).squeeze(1)
    observed = np.bincount(following[is_new].numpy(), minlength=len(store.vocabulary))
    return observed, p.masked_fill(seen, 0).sum(0).double().numpy()


def test_an_untrained_model_expects_new_codes_as_often_as_they_come() -> None:
    observed, expected = new_codes(population())
    assert observed[COMMON] > 500
    assert expected[[COMMON, 5]] == pytest.approx(observed[[COMMON, 5]], rel=0.1)
    assert expected[RARE] < 10


def test_the_rates_lie_in_the_checkpoint() -> None:
    store = population(60)
    model = build_model(store, {}, TrainConfig(depth=1, dim=32, num_heads=1, context=64))
    held = model.state_dict()
    assert held["what.clock.log_rates"].shape == (3 * NUM_BANDS, len(store.vocabulary))
    assert held["what.clock.sex_of_static"].tolist() == [UNKNOWN_SEX, FEMALE, MALE]
