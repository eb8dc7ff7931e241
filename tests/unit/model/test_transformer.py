from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.batch import CENSORED, EVENT
from proband.model import transformer
from proband.model.next_event.clock import Moment
from proband.model.next_event.heads import WhatHead
from proband.model.transformer import Proband
from small_world import AGES, DAY, HISTORY, TOKENS, batch_of, random_model, states

EVERYWHERE = batch_of(
    TOKENS,
    AGES,
    statics=[[1], [2]],
    target=[[0, EVENT, EVENT, EVENT, EVENT, CENSORED], [EVENT, EVENT, EVENT]],
    next_tokens=[[0, 3, 2, 6, 4], [5, 5, 7]],
    gaps=[[0, 0, 3100, 1, 4999, 2000], [30, 1, 19969]],
    waited=[[0, 0, 100, 0, 0, 0], [7]],
)


# The model once more, in NumPy, written from its description.


def rms(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + np.finfo(np.float32).eps) * weight


def swiglu(x: np.ndarray, up: np.ndarray, down: np.ndarray) -> np.ndarray:
    gate, value = np.split(x @ up.T, 2, axis=-1)
    return (gate / (1 + np.exp(-gate)) * value) @ down.T


def numpy_states(model: Proband, tokens: list[int], days: list[int], static: int) -> np.ndarray:
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    ages = np.array(days) / 365.25
    gaps = np.diff(days, prepend=days[0])
    periods = np.array([1.25, 2.5, 5, 10, 20, 40, 80, 160])
    phase = 2 * np.pi * ages[:, None] / periods
    features = np.column_stack([np.sin(phase), np.cos(phase), ages / 100, np.log1p(gaps) / 5])
    x = w["embedding.tokens.weight"][tokens] + w["embedding.statics.weight"][static]
    x = x + features @ w["embedding.age.weight"].T + w["embedding.age.bias"]
    leading = w["fusion.leading"]
    x = np.concatenate([leading, x])
    ages = np.concatenate([np.zeros(len(leading)), ages])
    heads, dim = model.config.num_heads, model.config.dim
    size = dim // heads
    half = size // 4
    rates = 10_000.0 ** (-np.arange(half) / half)
    spans = np.logspace(np.log10(30 / 365.25), np.log10(200), size // 2 - half)
    angle = np.concatenate([np.arange(len(x))[:, None] * rates, 2 * np.pi * ages[:, None] / spans], axis=1)

    def turned(v: np.ndarray) -> np.ndarray:
        z = (v[:, ::2] + 1j * v[:, 1::2]) * np.exp(1j * angle)
        return np.stack([z.real, z.imag], axis=-1).reshape(v.shape)

    for b in range(model.config.depth):
        p = f"blocks.{b}."
        q, k, v = np.split(
            rms(x, w[p + "attention_norm.weight"]) @ w[p + "attention.inputs.weight"].T, 3, axis=1
        )
        mixed = []
        for h in range(heads):
            own = slice(h * size, (h + 1) * size)
            score = turned(q[:, own]) @ turned(k[:, own]).T / math.sqrt(size)
            score[np.triu_indices(len(x), 1)] = -np.inf
            share = np.exp(score - score.max(1, keepdims=True))
            mixed.append(share / share.sum(1, keepdims=True) @ v[:, own])
        x = x + np.concatenate(mixed, axis=1) @ w[p + "attention.output.weight"].T
        feed = rms(x, w[p + "feed_norm.weight"])
        x = x + swiglu(feed, w[p + "feed.up.weight"], w[p + "feed.down.weight"])
    return x[len(leading) :]


def gap_law(model: Proband, state: np.ndarray) -> np.ndarray:
    """P(gap = g) for every whole day."""
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    logits = rms(state, w["when.norm.weight"]) @ w["when.output.weight"].T + w["when.output.bias"]
    mass = np.exp(logits - logits.max())
    mass /= mass.sum()
    edges = model.bins.edges.numpy()
    days = np.arange(1, edges[-1])
    inside = np.searchsorted(edges, days, side="right")
    cells = mass[inside] * np.log((days + 1) / days) / np.log(edges[inside] / edges[inside - 1])
    return np.concatenate([[mass[0]], cells])


def log_wait(law: np.ndarray, gap: int) -> float:
    """Log expected years until the next event at the hazard of an event after ``gap`` days, at most 120."""
    return math.log(min(120, law[gap:].sum() / law[gap] / 365.25))


def new_codes(model: Proband, age: float, log_wait: float, static: int) -> np.ndarray:
    """log(rate / hazard of events) of every code with its slope, by hand; age in years."""
    clock = model.what.clock
    rates = clock.log_rates.double().numpy().reshape(3, 24, -1)[{0: 2, 1: 1, 2: 0}[static]]
    by_age = np.array([np.interp(age, np.arange(24) * 5 + 2.5, by_band) for by_band in rates.T])
    return by_age + log_wait + clock.slopes.detach().numpy() * (log_wait + 1.5)


def code_law(
    model: Proband,
    state: np.ndarray,
    gap: int,
    seen: set[int],
    once: set[int],
    new: np.ndarray,
) -> np.ndarray:
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    edges = model.bins.edges.numpy()
    x = state + w["what.gap.weight"][np.searchsorted(edges, min(gap, edges[-1] - 1), side="right")]
    x = x + swiglu(rms(x, w["what.mix_norm.weight"]), w["what.mix.up.weight"], w["what.mix.down.weight"])
    logits = w["embedding.tokens.weight"] @ rms(x, w["what.norm.weight"]) + w["what.bias"]
    logits[list(seen)] += w["what.repeat"][list(seen)]
    unseen = [code for code in range(len(logits)) if code not in seen]
    logits[unseen] += new[unseen]
    possible = [code for code in range(2, model.config.vocabulary_size) if code not in seen & once]
    p = np.zeros(model.config.vocabulary_size)
    p[possible] = np.exp(logits[possible] - logits[possible].max())
    return p / p.sum()


def test_the_trunk_equals_a_second_implementation() -> None:
    model = random_model()
    found = states(model, HISTORY)
    for row, static in enumerate([1, 2]):
        expected = numpy_states(model, TOKENS[row], AGES[row], static)
        assert found[row, : len(expected)].numpy() == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_the_loss_equals_a_computation_by_hand() -> None:
    model = random_model(once=[6, 7])
    terms = model(EVERYWHERE)
    when = what = censoring = 0.0
    for row, static in enumerate([1, 2]):
        own_stamp = -1.5  # no stamp before the first
        hidden = numpy_states(model, TOKENS[row], AGES[row], static)
        for p in range(len(TOKENS[row])):
            law = gap_law(model, hidden[p])
            gap, waited = int(EVERYWHERE.gaps[row, p]) // DAY, int(EVERYWHERE.waited[row, p]) // DAY
            unseen = law[waited + 1 :].sum() if waited else 1.0
            if (days := [*AGES[row], AGES[row][-1]][p + 1] - AGES[row][p]) > 0:
                own_stamp = log_wait(law, days)
            if EVERYWHERE.target[row, p] == EVENT:
                code = int(EVERYWHERE.next_tokens[row, p])
                seen = set(TOKENS[row][: p + 1])
                when -= math.log(law[gap] / unseen)
                new = new_codes(model, (AGES[row][p] + gap) / 365.25, own_stamp, static)
                what -= math.log(code_law(model, hidden[p], gap, seen, {6, 7}, new)[code])
            elif EVERYWHERE.target[row, p] == CENSORED:
                censoring -= math.log(law[gap + 1 :].sum() / unseen)
    assert float(terms.when.detach()) == pytest.approx(when, rel=1e-4)
    assert float(terms.what.detach()) == pytest.approx(what, rel=1e-4)
    assert float(terms.censoring.detach()) == pytest.approx(censoring, rel=1e-4)
    assert terms.num_events == 7
    assert float(terms.mean.detach()) == pytest.approx((when + what + censoring) / 7, rel=1e-4)


def test_what_is_trained_is_what_is_sampled_from() -> None:
    model = random_model(once=[7], together=[5, 6])
    terms = model(EVERYWHERE)
    at = terms.rows, terms.positions
    seen = model.first_positions(EVERYWHERE.tokens, EVERYWHERE.seen_before)[at[0]] <= at[1][:, None]
    bins = model.bins.bin_of(model.bins.steps(EVERYWHERE.gaps[at]))
    with torch.no_grad():
        hidden = states(model, EVERYWHERE)
        law = model.log_codes(hidden[at], bins, seen, model.moment(hidden, EVERYWHERE, at))
    found = law.gather(1, EVERYWHERE.next_tokens[at][:, None]).squeeze(1)
    assert torch.allclose(-terms.event_what.detach(), found, atol=1e-5)


@pytest.mark.parametrize("most", [8, 24, 57])
def test_the_loss_in_parts_is_the_same_in_value_and_gradient(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed() -> list[torch.Tensor]:
        model = random_model(once=[6, 7])
        terms = model(EVERYWHERE)
        (terms.mean + terms.event_what[2]).backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        return [terms.event_what, terms.event_when, terms.mean, *gradients]

    whole, sizes = computed(), []
    nats = WhatHead.nats

    def counted(self: WhatHead, hidden: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        sizes.append(len(hidden))
        return nats(self, hidden, *given)

    monkeypatch.setattr(WhatHead, "nats", counted)
    monkeypatch.setattr(transformer, "MOST_LOGITS", most)
    for found, expected in zip(computed(), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert max(sizes) == most // 8  # of a vocabulary of 8
    assert sum(sizes) == 2 * 64  # each part twice; seven events are filled up to 64


def test_a_censored_end_after_a_wait() -> None:
    model = random_model()
    batch = batch_of([[1, 2]], [[0, 10]], target=[[0, CENSORED]], gaps=[[0, 90]], waited=[[0, 40]])
    with torch.no_grad():
        hidden = states(model, batch)[0, 1].double().numpy()
        found = float(model(batch).censoring)
    law = gap_law(model, hidden)
    assert found == pytest.approx(-math.log(law[91:].sum() / law[41:].sum()), rel=1e-4)


def test_impossible_repeats_are_counted_and_left_out() -> None:
    fields = {"target": [[EVENT, EVENT]], "next_tokens": [[2, 2]], "gaps": [[5, 5]]}
    both = batch_of([[1, 2]], [[0, 5]], **fields)
    one = batch_of([[1, 2]], [[0, 5]], **(fields | {"target": [[EVENT, 0]]}))
    model = random_model(once=[2])
    with torch.no_grad():
        terms, alone = model(both), model(one)
    assert (terms.num_impossible, terms.num_events) == (1, 1)
    assert float(terms.mean) == float(alone.mean)
    before = replace(one, seen_before=torch.tensor([[2]]))
    with torch.no_grad():
        assert model(before).num_impossible == 1
    assert random_model()(both).num_impossible == 0


@given(st.integers(1, 5), st.integers(2, 7), st.integers(0, 30000))
@settings(max_examples=20)
def test_nothing_after_a_position_changes_it(at: int, token: int, later: int) -> None:
    model = random_model()
    tokens, ages = [*TOKENS[0]], [*AGES[0]]
    tokens[at:] = [token] * (6 - at)
    ages[at:] = [ages[at] + later] * (6 - at)
    changed = batch_of([tokens], [ages], statics=[[1]])
    original = batch_of([TOKENS[0]], [AGES[0]], statics=[[1]])
    found, expected = states(model, changed), states(model, original)
    assert torch.allclose(found[:, :at], expected[:, :at], atol=1e-5)


def test_the_causality_test_can_fail() -> None:
    model = random_model()
    changed = batch_of([[1, 2, 7, 2, 6, 4]], [AGES[0]], statics=[[1]])
    difference = states(model, changed) - states(model, batch_of([TOKENS[0]], [AGES[0]], statics=[[1]]))
    assert (difference[0, 2:].abs().amax(-1) > 1e-3).all()


def test_padding_does_not_matter() -> None:
    model = random_model()
    alone = states(model, batch_of([TOKENS[1]], [AGES[1]], statics=[[2]]))
    assert torch.allclose(states(model, HISTORY)[1:, :4], alone, atol=1e-5)


def test_statics_condition_every_position_of_a_cropped_history_too() -> None:
    model = random_model()
    for first in (0, 3):
        tokens, ages = [TOKENS[0][first:]], [AGES[0][first:]]
        women = states(model, batch_of(tokens, ages, statics=[[1]]))
        men = states(model, batch_of(tokens, ages, statics=[[2]]))
        nobody = states(model, batch_of(tokens, ages, statics=[[0]]))
        assert ((women - men).abs().amax(-1) > 1e-3).all()
        assert ((women - nobody).abs().amax(-1) > 1e-3).all()


def test_output_biases_are_the_log_frequencies() -> None:
    model = random_model()
    gaps = torch.arange(model.bins.num_bins, dtype=torch.float64)
    new, repeat = torch.arange(1, 9) / 100.0, torch.arange(8, 0, -1) / 50.0
    model.set_output_biases(gaps, new, repeat)
    assert torch.allclose(model.when.output.bias.exp(), ((gaps + 1) / (gaps + 1).sum()).float())
    assert torch.allclose(model.what.bias.exp(), new)
    assert torch.allclose((model.what.bias + model.what.repeat).exp(), repeat)


def test_gradients_are_finite_at_the_extremes() -> None:
    model = random_model(once=[2]).train()
    century = 120 * 366
    batch = batch_of(
        [[1, 2, 3, 4]],
        [[0, 0, century, century + 1]],
        target=[[EVENT, EVENT, EVENT, CENSORED]],
        next_tokens=[[2, 3, 4, 0]],
        gaps=[[0, century, 1, 5 * century]],
        waited=[[0, century - 1, 0, 4 * century]],
    )
    terms = model(batch)
    terms.mean.backward()
    assert torch.isfinite(terms.mean)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_time_stamp_keeps_the_hazard_that_brought_it() -> None:
    model = random_model()
    hidden = states(model, HISTORY)
    found = model.stamp_log_waits(hidden, HISTORY.ages)
    came = [None, 0, 0, 2, 3, 4]  # the second subject: every token has a stamp of its own
    for row, before in enumerate([came, [None, 0, 1, 2]]):
        for at, position in enumerate(before):
            expected = -1.5  # no stamp before the first
            if position is not None:
                gap = AGES[row][position + 1] - AGES[row][position]
                expected = log_wait(gap_law(model, hidden[row, position].double().numpy()), gap)
            assert float(found[row, at]) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_code_at_a_rate_per_year_does_not_go_by_how_often_one_is_seen() -> None:
    """Hazard of events times the probability of the code is its rate, whatever the hazard, if it is rare."""
    model = random_model(seed=3)
    with torch.no_grad():
        model.what.clock.slopes.zero_()
        model.what.clock.log_rates[:, 5] = math.log(1e-6)
        for part in (model.what.bias, model.what.repeat, model.embedding.tokens.weight):
            part.zero_()
        model.what.repeat.fill_(2.0)
    steps = torch.tensor([30, 30, 400, 400])
    seen = (torch.arange(8) != 5).expand(4, -1)
    hidden = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        waits = model.bins.log_wait(model.when(hidden), steps)
        moment = Moment(steps * DAY, waits, torch.zeros(4, 1, dtype=torch.int64))
        p = model.log_codes(hidden, model.bins.bin_of(steps), seen, moment)[:, 5].exp()
    others = 5 * math.exp(2.0)  # of the softmax: five codes that were had
    assert (p / waits.exp() * others).tolist() == pytest.approx([1e-6] * 4, rel=1e-3)
    assert float(waits.max() - waits.min()) > 0.5
