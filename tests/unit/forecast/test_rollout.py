"""Rollouts of the known law against exact risks, and of a random model against a naive loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import known_law
from known_law import CODES, DEATH, A, B, C, D, KnownLaw, exact_risk
from proband.core.batch import ModalityInput
from proband.forecast import rollout
from proband.forecast.estimators import Risks, estimate
from proband.forecast.histories import Histories, read_histories
from proband.forecast.sampler import draw_codes, path_uniforms
from proband.forecast.sums import PathSums, Question
from proband.model.attention import rotate
from proband.model.transformer import Proband
from small_world import DAY, GENOME, PANEL, HandStore, Record, random_model

LAW = KnownLaw()


def roll_out(model: Proband, histories: Histories, asked: Question, **options: float) -> PathSums:
    """The engine's answer for all histories at once."""

    def read(index: np.ndarray) -> Histories:
        return taken(histories, index)

    lengths = histories.lengths.numpy()
    found = dict(rollout.roll_out(model, read, lengths, asked, **options))
    names = PathSums.__dataclass_fields__
    return PathSums(
        *(torch.stack([getattr(found[at], name) for at in range(len(lengths))]) for name in names)
    )


def taken(histories: Histories, index: np.ndarray) -> Histories:
    """Some of the histories, cut to the longest of them."""
    width = int(histories.lengths[index].max())
    items = {name: value[index] for name, value in vars(histories).items() if name != "modalities"}
    modalities = {
        name: ModalityInput(*(part[index] for part in (item.values, item.observed, item.minutes)))
        for name, item in histories.modalities.items()
    }
    items |= {name: items[name][:, :width] for name in ("tokens", "ages")}
    return Histories(**items, modalities=modalities)


WAITED = 30
HORIZONS = (365, 1826)
ESTIMATORS = ("mc", "scope", "reach")


def known_histories(states: np.ndarray, first_id: int = 0) -> Histories:
    n = len(states)
    return Histories(
        tokens=torch.from_numpy(np.stack([np.ones(n, dtype=np.int64), states], axis=1)),
        ages=torch.tensor([[0, 5000 * DAY]] * n),
        lengths=torch.full((n,), 2),
        statics=torch.zeros(n, 1, dtype=torch.int64),
        seen_before=torch.zeros(n, 1, dtype=torch.int64),
        start=torch.full((n,), (5000 + WAITED) * DAY),
        subject_ids=np.arange(first_id, first_id + n),
        modalities={},
    )


def question(estimator: str, outcome: int = D, **changes: object) -> Question:
    asked = Question(
        outcomes=torch.tensor([[code == CODES[outcome] for code in CODES]]),
        horizons=torch.tensor(HORIZONS) * DAY,
        masked=estimator == "reach",
        death=DEATH,
        num_paths=50,
        max_events=400,
        seed=0,
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def risks(estimator: str, states: np.ndarray, outcome: int = D, **changes: object) -> Risks:
    found = roll_out(LAW, known_histories(states), question(estimator, outcome, **changes))
    return estimate(found, estimator)  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", [D, DEATH])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimates_are_unbiased_and_their_standard_errors_honest(estimator: str, outcome: int) -> None:
    states = np.array([A, B, C])[np.arange(300) % 3]
    found = risks(estimator, states, outcome)
    assert float(found.unresolved.max()) == 0
    for h, days in enumerate(HORIZONS):
        deviations = []
        for k, state in enumerate((A, B, C)):
            truth = exact_risk(LAW, state, days, WAITED, outcome)
            own = found.risk[k::3, 0, h]
            error = float(own.std() / len(own) ** 0.5)
            assert abs(float(own.mean()) - truth) < 3 * error
            deviations.append((own - truth) / found.standard_error[k::3, 0, h])
        covered = float((torch.cat(deviations).abs() < 1.96).double().mean())
        assert 0.88 < covered < 0.99


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_blanking_gap_conditions_on_no_outcome_within_it(estimator: str) -> None:
    gap, horizon = 60, 730
    early, late = (exact_risk(LAW, A, days, WAITED) for days in (gap, horizon))
    truth = (late - early) / (1 - early)
    asked = question(estimator, horizons=torch.tensor([gap, horizon]) * DAY)
    found = estimate(roll_out(LAW, known_histories(np.full(500, A)), asked), estimator, after_gap=True)
    assert found.risk.shape == (500, 1, 1)
    error = float(found.risk.std()) / 500**0.5
    # a ratio of means over 50 paths is biased by about 1 / 50 of its variance, well below 0.001 here
    assert abs(float(found.risk.mean()) - truth) < 3.5 * error + 0.001
    assert float(found.standard_error.mean()) == pytest.approx(float(found.risk.std()), rel=0.12)
    assert abs(late - truth) > 3.5 * error + 0.001  # forgetting the gap would show


def test_reach_never_has_more_variance_than_mc_and_the_truth_is_not_trivial() -> None:
    states = np.full(100, B)
    spread = {name: risks(name, states).standard_error.mean(dim=0)[0] for name in ESTIMATORS}
    assert (spread["reach"] < spread["mc"]).all()
    assert (spread["reach"] < spread["scope"] * 1.02).all()
    assert 0.1 < exact_risk(LAW, B, 365, WAITED) < 0.9


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_truth_lies_within_the_bounds_of_unresolved_paths(estimator: str) -> None:
    found = risks(estimator, np.full(200, A), max_events=8)
    truth = exact_risk(LAW, A, HORIZONS[1], WAITED)
    risk, unresolved = float(found.risk[:, 0, 1].mean()), float(found.unresolved[:, 0, 1].mean())
    assert unresolved > 0.2
    assert abs(risk - truth) < unresolved / 2 + 0.01
    assert float(found.unresolved[:, 0, 0].max()) <= float(found.unresolved[:, 0, 1].max())


def test_dropping_unresolved_paths_would_be_biased() -> None:
    sums = roll_out(LAW, known_histories(np.full(200, A)), question("mc", max_events=8))
    resolved = ~sums.cut[:, :, 0, 1]
    dropped = sums.hit[:, :, 0, 1][resolved].double()
    error = float(dropped.std() / len(dropped) ** 0.5)
    assert abs(float(dropped.mean()) - exact_risk(LAW, A, HORIZONS[1], WAITED)) > 5 * error


def test_death_ends_a_path() -> None:
    """Were it not so, the risk would be that of a world without death."""
    truth = exact_risk(LAW, C, HORIZONS[1], WAITED)
    immortal = KnownLaw()
    immortal.codes[:, DEATH] = 0
    immortal.codes /= immortal.codes.sum(-1, keepdim=True).clamp(min=1e-9)
    assert exact_risk(immortal, C, HORIZONS[1], WAITED) > truth + 0.1
    found = risks("mc", np.full(100, C))
    assert float(found.risk[:, 0, 1].mean()) == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_paths_do_not_depend_on_batching_or_order(estimator: str) -> None:
    states = np.array([A, B, C, A, B])
    asked = question(estimator)
    whole = roll_out(LAW, known_histories(states), asked)
    order = np.array([3, 0, 4, 2, 1])
    histories = known_histories(states[order])
    mixed = roll_out(LAW, replace(histories, subject_ids=order), asked)
    parts = [
        roll_out(LAW, known_histories(states[at : at + 1], first_id=at), asked) for at in range(len(states))
    ]
    for name in PathSums.__dataclass_fields__:
        expected = getattr(whole, name)
        assert torch.equal(getattr(mixed, name), expected[order])
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), expected)
    fewer = roll_out(LAW, known_histories(states), replace(asked, num_paths=20))
    assert torch.equal(fewer.expected, whole.expected[:, :20])


def test_several_outcomes_share_one_pool() -> None:
    states = np.array([A, B, C])
    both = torch.cat([question("scope", D).outcomes, question("scope", DEATH).outcomes])
    pool = roll_out(LAW, known_histories(states), question("scope", outcomes=both))
    for at, outcome in enumerate((D, DEATH)):
        alone = roll_out(LAW, known_histories(states), question("scope", outcome))
        assert torch.equal(alone.hit[:, :, 0], pool.hit[:, :, at])
        assert torch.allclose(alone.expected[:, :, 0], pool.expected[:, :, at])


# A trained model's path, computed the slow way: the whole history read again for every event.


def last_state(model: Proband, tokens: Tensor, ages: Tensor, statics: Tensor, genome: dict) -> Tensor:
    if tokens.shape[1] <= model.config.context:
        return model.hidden(tokens, ages, statics, genome)[0][:, -1]
    return windowed_state(model, tokens, ages, statics)


def windowed_state(model: Proband, tokens: Tensor, ages: Tensor, statics: Tensor) -> Tensor:
    """The last state where every token sees the leading positions, never farther off than the context, and
    the newest ``context`` tokens up to itself."""
    gaps = torch.diff(ages, dim=1, prepend=ages[:, :1])
    lead, context = model.config.num_latents, model.config.context
    record = model.embedding(tokens, ages, gaps, statics)
    x = torch.cat([model.fusion.leading[None], record], dim=1)
    at = torch.arange(x.shape[1])
    turn = model.rotary(at[None], torch.nn.functional.pad(ages, (lead, 0)))
    near = at.clamp(max=lead + context - 1)
    seen = (at[None] <= at[:, None]) & ((at[None] > at[:, None] - context) | (at[None] < lead))
    for block in model.blocks:
        q, k, v = block.attention.project(block.attention_norm(x), turn)
        closing = model.rotary((near - at)[None], torch.zeros_like(at)[None])
        closer = rotate(q.transpose(1, 2)[:, :, None], closing)[:, :, 0].transpose(1, 2)
        scores = torch.where(at < lead, closer @ k.mT, q @ k.mT) / q.shape[-1] ** 0.5
        mixed = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v
        x = x + block.attention.output(mixed.transpose(1, 2).flatten(2))
        x = x + block.feed(block.feed_norm(x))
    return x[:, -1]


def naive_roll_out(model: Proband, histories: Histories, asked: Question) -> PathSums:
    subjects = len(histories.tokens)
    shape = (subjects, asked.num_paths, len(asked.outcomes), len(asked.horizons))
    hit, cut = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    expected, escape = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
    for s in range(subjects):
        genome = {
            name: ModalityInput(*(part[s : s + 1] for part in (item.values, item.observed, item.minutes)))
            for name, item in histories.modalities.items()
        }
        for k in range(asked.num_paths):
            length = int(histories.lengths[s])
            tokens, ages = histories.tokens[s, :length].tolist(), histories.ages[s, :length].tolist()
            elapsed, running = 0, True
            for step in range(asked.max_events):
                arguments = torch.tensor([tokens]), torch.tensor([ages]), histories.statics[s : s + 1], genome
                with torch.no_grad():
                    hidden = last_state(model, *arguments)
                    uniform = [
                        path_uniforms(
                            asked.seed,
                            name,
                            histories.subject_ids[s : s + 1],
                            np.array([k]),
                            np.array([step]),
                        )
                        for name in ("gap", "code")
                    ]
                    at_least = (int(histories.start[s]) - ages[-1]) // DAY + 1 if step == 0 else 0
                    gap = model.bins.sample(
                        model.when(hidden).double().exp(), uniform[0], torch.tensor([at_least])
                    )
                    time = ages[-1] + int(gap) * DAY
                    if time - int(histories.start[s]) > int(asked.horizons[-1]):
                        running = False
                        break
                    elapsed = time - int(histories.start[s])
                    had = torch.zeros(1, model.config.vocabulary_size, dtype=torch.bool)
                    had[0, [*tokens, *histories.seen_before[s].tolist()]] = True
                    p = model.log_codes(hidden, model.bins.bin_of(gap), had).exp()
                drawn = p.masked_fill(asked.outcomes[0], 0) if asked.masked else p
                code = int(draw_codes(drawn, uniform[1]))
                for o, members in enumerate(asked.outcomes):
                    share = float(p[0, members].double().sum())
                    for h, horizon in enumerate(asked.horizons):
                        if elapsed <= horizon:
                            if not hit[s, k, o, -1]:
                                expected[s, k, o, h] += share
                            escape[s, k, o, h] += np.log1p(-share)
                for o, members in enumerate(asked.outcomes):
                    hit[s, k, o] |= bool(members[code]) & (elapsed <= asked.horizons)
                tokens.append(code)
                ages.append(time)
                if code == asked.death:
                    running = False
                    break
            if running:
                cut[s, k] = (elapsed <= asked.horizons) & ~hit[s, k]
    return PathSums(hit, expected, escape, cut)


def random_world(depth: int, fusion: str, context: int = 128) -> tuple[Proband, Histories]:
    extra = {} if fusion == "none" else {"fusion": fusion, "modalities": GENOME | PANEL}
    model = random_model(depth, once=[3, 7], depth=depth, context=context, **extra)
    with torch.no_grad():
        model.when.output.bias[: model.bins.num_bins // 2] += 4.0
        model.what.bias[7] -= 4.0
    store = HandStore(
        [
            Record([2, 4, 5, 2, 2, 6], [k * 400 * DAY for k in (1, 1, 2, 3, 9, 9)], statics=(1,)),
            Record([], [], statics=(2,)),
            Record([3, *[4] * 20], [k * 90 * DAY for k in range(1, 22)], statics=(0,)),
        ],
        once=[3, 7],
    )
    start = np.array([4000, 10, 2000]) * DAY
    histories = read_histories(store, np.arange(3), start, context=16)
    if fusion != "none":
        values = torch.tensor([[0.5, -1.0, float("nan")], [float("nan")] * 3, [2.0, 2.0, 2.0]])
        item = ModalityInput.from_birth(values, torch.tensor([True, False, True]))
        measured = torch.tensor([800, 0, 700]) * DAY
        # The first subject is measured again within its history.
        times = torch.stack([measured, torch.tensor([3000, 0, 0]) * DAY], dim=1)
        made = torch.tensor([[True, True], [True, False], [True, False]])
        panel = ModalityInput(torch.tensor([[[1.0], [-2.0]], [[0.0], [9.0]], [[-1.0], [9.0]]]), made, times)
        histories = replace(histories, modalities={"genome": item, "panel": panel})
    return model, histories


@pytest.mark.parametrize(
    ("depth", "fusion", "masked", "context"),
    [
        (1, "none", False, 128),
        (3, "prefix", False, 128),
        (1, "prefix", True, 128),
        (2, "adapter", False, 128),
        (2, "cross_attention", False, 128),
        (1, "none", False, 16),
        (3, "none", True, 16),
    ],
)
def test_the_cached_engine_equals_reading_everything_again(
    depth: int, fusion: str, masked: bool, context: int
) -> None:
    """With a short context, paths outgrow it: the oldest tokens leave, the leading positions never."""
    model, histories = random_world(depth, fusion, context)
    outcomes = torch.zeros(1 if masked else 2, 8, dtype=torch.bool)
    outcomes[0, [5, 6]] = True
    outcomes[-1, [5, 6]] = True
    if not masked:
        outcomes[1] = torch.arange(8) == 3
    asked = Question(outcomes, torch.tensor([400, 4000]) * DAY, masked, 7, num_paths=5, max_events=45, seed=1)
    found, expected = roll_out(model, histories, asked), naive_roll_out(model, histories, asked)
    assert torch.equal(found.hit, expected.hit)
    assert torch.equal(found.cut, expected.cut)
    name = "log_escape" if masked else "expected"
    assert torch.allclose(getattr(found, name), getattr(expected, name), atol=1e-4)
    assert expected.cut.any()  # some path filled more than a page,
    assert not expected.cut[..., -1].all()  # some ended
    assert masked or expected.hit.any()
    assert masked or not found.hit[2, :, -1].any()  # subject 2 had code 3 long before its window


def test_codes_that_happen_once_never_recur() -> None:
    model, histories = random_world(2, "none")
    outcome = (torch.arange(8) == 3)[None]
    asked = Question(outcome, torch.tensor([8000 * DAY]), False, 7, num_paths=64, max_events=60, seed=0)
    sums = roll_out(model, histories, asked)
    assert not sums.hit[2].any()
    assert float(sums.expected[2].max()) == 0
    assert sums.hit[0].any()


def test_what_runs_beside_it_does_not_change_a_trained_models_path_by_a_bit() -> None:
    model, histories = random_world(2, "none")
    asked = Question((torch.arange(8) == 5)[None], torch.tensor([4000 * DAY]), False, 7, 16, 60, 0)
    whole = roll_out(model, histories, asked)
    alone = roll_out(model, taken(histories, np.array([1])), asked)
    for name in PathSums.__dataclass_fields__:
        assert torch.equal(getattr(alone, name)[0], getattr(whole, name)[1])


def test_the_known_law_is_a_law() -> None:
    for state in known_law.NEXT:
        assert float(LAW.mass[state].sum()) == pytest.approx(1)
        assert float(LAW.codes[state].sum()) == pytest.approx(1)
