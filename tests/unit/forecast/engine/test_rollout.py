"""Rollouts of the known law against exact risks, and of a random model against a naive loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import known_law
from known_law import CODES, DEATH, A, B, C, D, KnownLaw, exact_net_risk, exact_risk
from proband.core.batch import ModalityInput
from proband.forecast.choices import ESTIMATORS
from proband.forecast.config import ForecastConfig
from proband.forecast.engine import rollout
from proband.forecast.engine.active_paths import Slots
from proband.forecast.engine.histories import Histories, read_histories
from proband.forecast.engine.request import Finished, Question
from proband.forecast.engine.sampling import draw_codes, path_uniforms
from proband.forecast.estimators.estimator import EventStep
from proband.forecast.estimators.path_values import PathValues
from proband.forecast.estimators.risks import Precision, Risks, estimate
from proband.forecast.estimators.scope import Scope
from proband.model.kernels.pages import attend_gathered
from proband.model.kernels.rotate import rotate
from proband.model.next_event.clock import Moment
from proband.model.transformer import Proband
from proband.model.trunk import attention
from small_world import DAY, GENOME, PANEL, HandStore, Record, random_model

LAW = KnownLaw()


def roll_out_all(model: Proband, histories: Histories, to_ask: Question, **options: object) -> list[Finished]:
    """The engine's answer for each history."""

    def read(index: np.ndarray) -> Histories:
        return taken(histories, index)

    lengths = histories.lengths.numpy()
    found = {one.point: one for one in rollout.roll_out(model, read, lengths, to_ask, **options)}  # type: ignore[arg-type]
    return [found[at] for at in range(len(lengths))]


def roll_out(model: Proband, histories: Histories, to_ask: Question, **options: object) -> PathValues:
    """The values of all histories at once."""
    values = [one.values for one in roll_out_all(model, histories, to_ask, **options)]
    return PathValues(torch.stack([one.value for one in values]), torch.stack([one.margin for one in values]))


def equal(a: PathValues, b: PathValues) -> bool:
    return torch.equal(a.value, b.value) and torch.equal(a.margin, b.margin)


def of(values: PathValues, index: int | np.ndarray) -> PathValues:
    """Values of some histories."""
    return PathValues(values.value[index], values.margin[index])


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
PATH_ESTIMATORS = ("mc", "scope", "reach")


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


def question(estimator: str, *outcomes: int, **changes: object) -> Question:
    asked = Question(
        outcomes=torch.tensor([[code == CODES[outcome] for code in CODES] for outcome in outcomes or (D,)]),
        horizons=torch.tensor(HORIZONS) * DAY,
        estimator=estimator,  # type: ignore[arg-type]
        death=DEATH,
        num_paths=50,
        max_events=400,
        seed=0,
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def risks(asked: Question, states: np.ndarray, after_gap: bool = False) -> Risks:
    return estimate(roll_out(LAW, known_histories(states), asked), asked.estimator, after_gap)


def is_near(found: Tensor, truth: float, slack: float = 0.0) -> bool:
    """Whether subjects' independent estimates have the mean ``truth``, within 3.5 standard errors."""
    error = float(found.std() / len(found) ** 0.5)
    return abs(float(found.mean()) - truth) < 3.5 * error + slack


@pytest.mark.parametrize("estimator", PATH_ESTIMATORS)
def test_estimates_are_unbiased_and_their_standard_errors_honest(estimator: str) -> None:
    """Two outcomes from one pool of paths, one of them death itself."""
    states, outcomes = np.array([A, B, C])[np.arange(90) % 3], (D, DEATH)
    found = risks(question(estimator, *outcomes), states)
    assert float(found.unresolved.max()) == 0
    for o, outcome in enumerate(outcomes):
        for h, days in enumerate(HORIZONS):
            deviations = []
            for k, state in enumerate((A, B, C)):
                truth = exact_risk(LAW, state, days, WAITED, outcome)
                own = found.risk[k::3, o, h]
                assert is_near(own, truth)
                deviations.append((own - truth) / found.standard_error[k::3, o, h])
            covered = float((torch.cat(deviations).abs() < 1.96).double().mean())
            assert 0.85 < covered < 0.99


@pytest.mark.parametrize("estimator", PATH_ESTIMATORS)
def test_net_risks_are_those_of_a_world_without_death(estimator: str) -> None:
    states = np.full(60, C)
    truth = exact_net_risk(LAW, C, HORIZONS[1], WAITED)
    assert truth > exact_risk(LAW, C, HORIZONS[1], WAITED) + 0.1
    assert is_near(risks(question(estimator, D, net=True), states).risk[:, 0, 1], truth)
    lived = exact_risk(LAW, C, HORIZONS[1], WAITED, DEATH)
    assert not is_near(risks(question(estimator, D), states).risk[:, 0, 1], truth)
    assert lived > 0.3  # death matters in this world


@pytest.mark.parametrize("estimator", PATH_ESTIMATORS)
def test_a_blanking_gap_conditions_on_no_outcome_within_it(estimator: str) -> None:
    gap, horizon = 60, 730
    early, late = (exact_risk(LAW, A, days, WAITED) for days in (gap, horizon))
    truth = (late - early) / (1 - early)
    asked = question(estimator, horizons=torch.tensor([gap, horizon]) * DAY)
    number = 500 if estimator == "mc" else 150
    found = risks(asked, np.full(number, A), after_gap=True)
    assert found.risk.shape == (number, 1, 1)
    # a ratio of means over 50 paths is biased by about 1 / 50 of its variance, well below 0.001 here
    assert is_near(found.risk[:, 0, 0], truth, 0.001)
    assert float(found.standard_error.mean()) == pytest.approx(float(found.risk.std()), rel=0.2)
    assert not is_near(found.risk[:, 0, 0], late, 0.001)  # forgetting the gap would show


@pytest.mark.parametrize("estimator", PATH_ESTIMATORS)
def test_the_truth_lies_within_the_bounds_of_unresolved_paths(estimator: str) -> None:
    found = risks(question(estimator, max_events=8), np.full(80, A))
    truth = exact_risk(LAW, A, HORIZONS[1], WAITED)
    low, high, risk = (float(part[:, 0, 1].mean()) for part in (found.low, found.high, found.risk))
    assert float(found.unresolved[:, 0, 1].mean()) > 0.2
    assert low < truth < high
    assert low < risk < high
    assert float(found.unresolved[:, 0, 0].max()) <= float(found.unresolved[:, 0, 1].max())


@pytest.mark.parametrize("estimator", PATH_ESTIMATORS)
def test_paths_are_added_until_they_are_enough(estimator: str) -> None:
    states, first = np.array([A, B, C])[np.arange(9) % 3], 32
    asked = question(estimator, D, DEATH, num_paths=first, max_paths=4096)
    wanted = Precision(absolute=0.03)

    def is_enough(one: Finished) -> bool:
        known = estimate(one.values, asked.estimator)
        return bool(wanted.reached(known.risk, known.standard_error).all())

    found = roll_out_all(LAW, known_histories(states), asked, is_enough=is_enough)
    assert max(len(one.values.value) for one in found) > first
    for one in found:
        assert is_enough(one)
        half = len(one.values.value) // 2
        if half >= first:  # and not more than needed: half would not have done
            fewer = PathValues(one.values.value[:half], one.values.margin[:half])
            assert not is_enough(one._replace(values=fewer))
    few = roll_out_all(
        LAW, known_histories(states[:3]), replace(asked, max_paths=40), is_enough=lambda one: False
    )
    assert {len(one.values.value) for one in few} == {40}


@pytest.mark.parametrize("estimator", PATH_ESTIMATORS)
def test_paths_do_not_depend_on_batching_or_order(estimator: str) -> None:
    states = np.array([A, B, C, A, B])
    asked = question(estimator, D, C)
    whole = roll_out(LAW, known_histories(states), asked)
    order = np.array([3, 0, 4, 2, 1])
    histories = known_histories(states[order])
    assert equal(roll_out(LAW, replace(histories, subject_ids=order), asked), of(whole, order))
    for at in range(len(states)):
        alone = roll_out(LAW, known_histories(states[at : at + 1], first_id=at), asked)
        assert equal(of(alone, 0), of(whole, at))
    fewer = roll_out(LAW, known_histories(states), replace(asked, num_paths=20))
    assert torch.equal(fewer.value, whole.value[:, :20])


@pytest.mark.parametrize("estimator", PATH_ESTIMATORS)
def test_several_outcomes_share_one_pool(estimator: str) -> None:
    """And none's risk depends on which others are asked about, or of whom, by a bit."""
    histories = known_histories(np.array([A, B, C]))
    pool = roll_out(LAW, histories, question(estimator, D, C, DEATH))
    for at, outcome in enumerate((D, C, DEATH)):
        alone = roll_out(LAW, histories, question(estimator, outcome))
        assert torch.equal(alone.value[:, :, 0], pool.value[:, :, at])
    asked = np.array([[True, False, True], [False, True, True], [False, False, False]])
    some = roll_out(LAW, histories, question(estimator, D, C, DEATH), asked=asked)
    mask = torch.from_numpy(asked)[:, None, :, None]
    assert torch.equal(some.value, pool.value * mask)


def test_reach_draws_a_branch_only_where_an_outcome_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    begin = Slots.begin

    def counted(self: Slots, origin: object, paths: list, first_position: int) -> None:
        begun.extend(paths)
        begin(self, origin, paths, first_position)  # type: ignore[arg-type]

    monkeypatch.setattr(Slots, "begin", counted)
    histories = known_histories(np.array([A] * 8))
    hits = roll_out(LAW, histories, question("mc", D, C)).value[..., -1].sum(dim=-1)
    assert len(begun) == 8 * 50
    begun.clear()
    roll_out(LAW, histories, question("reach", D, C))
    assert len(begun) - 8 * 50 <= int(hits.sum())
    assert len(begun) - 8 * 50 >= int((hits == 2).sum())  # a path that goes on for its last outcome is none
    begun.clear()
    roll_out(LAW, histories, question("reach", D))
    assert len(begun) == 8 * 50


@pytest.mark.parametrize("estimator", PATH_ESTIMATORS)
def test_trajectories_are_what_mc_counts(estimator: str) -> None:
    histories = known_histories(np.array([A, B, C] * 4))
    hits = roll_out(LAW, histories, question("mc", D, max_events=12)).value
    asked = question(estimator, D, max_events=12, record=True)
    values = roll_out(LAW, histories, replace(asked, record=False))
    ends = set()
    for at, one in enumerate(roll_out_all(LAW, histories, asked)):
        assert equal(one.values, of(values, at))
        assert [path.path for path in one.trajectories] == list(range(50))
        for path in one.trajectories:
            elapsed = (path.minutes - int(histories.start[at])) / DAY
            assert len(path.tokens) == len(elapsed)
            assert (elapsed > 0).all()
            assert (elapsed <= HORIZONS[1]).all()
            assert (np.diff(elapsed) > 0).all()
            assert (path.end == "death") == (len(path.tokens) > 0 and path.tokens[-1] == DEATH)
            assert (path.end == "budget") == (len(path.tokens) == 12 and path.end != "death")
            found = [bool((elapsed[path.tokens == D] <= days).any()) for days in HORIZONS]
            assert found == hits[at, path.path, 0].bool().tolist()
            ends.add(path.end)
    assert ends == {"horizon", "death", "budget"}


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


def naive_path(
    model: Proband, histories: Histories, asked: Question, s: int, k: int, o: int
) -> tuple[list[float], list[float]]:
    """One path of one subject for one outcome: its value and room by horizon."""
    genome = {
        name: ModalityInput(*(part[s : s + 1] for part in (item.values, item.observed, item.minutes)))
        for name, item in histories.modalities.items()
    }
    length, start = int(histories.lengths[s]), int(histories.start[s])
    tokens, ages = histories.tokens[s, :length].tolist(), histories.ages[s, :length].tolist()
    members, reach = asked.outcomes[o], asked.estimator == "reach"
    value, room, escape = [0.0] * len(asked.horizons), [0.0] * len(asked.horizons), 1.0
    at_least = max(0, (start - ages[-1]) // DAY + 1)
    history = torch.tensor([tokens]), torch.tensor([ages]), histories.statics[s : s + 1], genome
    with torch.no_grad():
        log_wait = model.stamp_log_waits(model.hidden(*history)[0], history[1])[:, -1]

    def uniform(name: str, step: int) -> Tensor:
        return path_uniforms(
            asked.seed, name, histories.subject_ids[s : s + 1], np.array([k]), np.array([step])
        )

    for step in range(asked.max_events):
        until = (int(asked.horizons[-1]) - (ages[-1] - start)) // DAY
        with torch.no_grad():
            arguments = torch.tensor([tokens]), torch.tensor([ages]), histories.statics[s : s + 1], genome
            hidden = last_state(model, *arguments)
            mass = model.when(hidden).double().exp()
            draws = model.bins.draw_until(
                mass, uniform("gap", step), torch.tensor([at_least]), torch.tensor([until])
            )
            had = torch.zeros(1, model.config.vocabulary_size, dtype=torch.bool)
            had[0, [*tokens, *histories.seen_before[s].tolist()]] = True
            if draws.steps > 0:
                log_wait = model.bins.log_wait(mass.log(), draws.steps)
            moment = Moment(torch.tensor(ages[-1:]) + draws.steps * DAY, log_wait.float(), arguments[2])
            p = model.log_codes(hidden, model.bins.bin_of(draws.steps), had, moment).exp()
        time, inside = ages[-1] + int(draws.steps) * DAY, bool(draws.inside)
        code, share = int(draw_codes(p, uniform("code", step))), float(p[0, members].double().sum())
        hit = inside and bool(members[code])
        said = float(hit) if asked.estimator == "mc" else share * float(draws.share) * escape
        value = [v + said * (time - start <= h) for v, h in zip(value, asked.horizons.tolist(), strict=True)]
        if not inside:
            return value, room
        if reach:
            escape *= 1 - share
            if hit:
                code = int(draw_codes(p.masked_fill(members, 0), uniform("again", step)))
        elif hit:
            return value, room
        if code == asked.death and asked.net:
            at_least = int(draws.steps) + 1
            continue
        at_least = 0
        tokens.append(code)
        ages.append(time)
        if code == asked.death:
            return value, room
    return value, [escape * (ages[-1] - start <= h) for h in asked.horizons.tolist()]


def naive_roll_out(model: Proband, histories: Histories, asked: Question) -> PathValues:
    paths = [
        [
            [naive_path(model, histories, asked, s, k, o) for o in range(len(asked.outcomes))]
            for k in range(asked.num_paths)
        ]
        for s in range(len(histories.tokens))
    ]
    both = torch.tensor(paths, dtype=torch.float64)
    return PathValues(both[..., 0, :], both[..., 1, :])


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
    ("depth", "fusion", "estimator", "context", "net"),
    [
        (1, "none", "scope", 128, False),
        (3, "prefix", "mc", 128, False),
        (1, "prefix", "reach", 128, False),
        (2, "adapter", "scope", 128, False),
        (2, "cross_attention", "reach", 128, False),
        (1, "none", "scope", 16, True),
        (3, "none", "reach", 16, True),
    ],
)
def test_the_cached_engine_equals_reading_everything_again(
    depth: int, fusion: str, estimator: str, context: int, net: bool
) -> None:
    """With a short context, paths outgrow it: the oldest tokens leave, the leading positions never."""
    model, histories = random_world(depth, fusion, context)
    outcomes = torch.zeros(2, 8, dtype=torch.bool)
    outcomes[0, [5, 6]] = True
    outcomes[1, 3] = True
    asked = Question(
        outcomes,
        torch.tensor([400, 4000]) * DAY,
        estimator,
        7,
        num_paths=4,
        max_events=26,
        seed=1,
        net=net,  # type: ignore[arg-type]
    )
    found, expected = roll_out(model, histories, asked), naive_roll_out(model, histories, asked)
    assert torch.allclose(found.value, expected.value, atol=1e-4)
    assert torch.allclose(found.margin, expected.margin, atol=1e-4)
    assert expected.margin.any()  # some path filled more than a page,
    assert not expected.margin[..., -1].all()  # some ended
    assert expected.value[..., -1].max() > 0.1
    assert not found.value[2, :, 1].any()  # subject 2 had code 3 long before its window


def test_codes_that_happen_once_never_recur() -> None:
    model, histories = random_world(2, "none")
    outcome = (torch.arange(8) == 3)[None]
    for estimator in ("mc", "scope"):
        asked = Question(outcome, torch.tensor([8000 * DAY]), estimator, 7, 64, 60, 0)  # type: ignore[arg-type]
        value = roll_out(model, histories, asked).value
        assert not value[2].any()
        assert value[0].any()


def test_of_the_bins_of_a_code_measured_once_one_happens_on_a_path() -> None:
    model = random_model(2, together=[3, 4, 5], context=128)
    apart = random_model(2, context=128)
    for one in (model, apart):
        with torch.no_grad():
            one.what.bias[7] -= 6.0
    _, histories = random_world(2, "none")  # subjects 0 and 2 had one of them, 1 none
    outcomes = torch.stack([torch.arange(8) == code for code in (3, 4, 5)])
    asked = Question(outcomes, torch.tensor([8000 * DAY]), "mc", 7, 32, 60, 0, record=True)
    most = []
    for world in (model, apart):
        found = roll_out_all(world, histories, asked)
        numbers = [[int(np.isin(path.tokens, [3, 4, 5]).sum()) for path in one.trajectories] for one in found]
        most.append([max(paths) for paths in numbers])
    assert most[0] == [0, 1, 0]
    assert min(most[1]) > 1


@pytest.mark.parametrize("fusion", ["none", "prefix", "adapter", "cross_attention"])
def test_what_runs_beside_it_does_not_change_a_trained_models_path_by_a_bit(fusion: str) -> None:
    model, histories = random_world(2, fusion)
    outcomes = torch.stack([torch.arange(8) == 5, torch.arange(8) == 4])
    asked = Question(outcomes, torch.tensor([4000 * DAY]), "reach", 7, 16, 60, 0)
    whole = roll_out(model, histories, asked)
    for at in range(3):
        alone = roll_out(model, taken(histories, np.array([at])), asked)
        assert equal(of(alone, 0), of(whole, at))


def test_attention_as_other_devices_compute_it_gives_the_same_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    model, histories = random_world(2, "adapter", 16)
    asked = Question((torch.arange(8) == 5)[None], torch.tensor([4000 * DAY]), "scope", 7, 8, 40, seed=0)
    compiled = roll_out(model, histories, asked)
    monkeypatch.setattr(attention, "attend", attend_gathered)
    gathered = roll_out(model, histories, asked)
    assert torch.allclose(gathered.value, compiled.value, atol=1e-5)
    assert not torch.equal(gathered.value, compiled.value)  # it was another computation


def test_a_history_is_read_once_and_every_event_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle rows counted, at most two positions are computed per event that is kept."""
    model, histories = random_world(1, "none")
    step, hidden, computed, prompts = Proband.step, Proband.hidden, [], []

    def counted_step(self: Proband, tokens: Tensor, *rest: object) -> Tensor:
        computed.append(len(tokens))
        return step(self, tokens, *rest)  # type: ignore[arg-type]

    def counted_hidden(self: Proband, tokens: Tensor, *rest: object) -> tuple[Tensor, list]:
        prompts.append(len(tokens))
        return hidden(self, tokens, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Proband, "step", counted_step)
    monkeypatch.setattr(Proband, "hidden", counted_hidden)
    outcomes = (torch.arange(8) == 3)[None]
    asked = Question(outcomes, torch.tensor([4000 * DAY]), "mc", 7, 100, max_events=60, seed=0, record=True)
    found = roll_out_all(model, histories, asked)
    kept = sum(len(path.tokens) for one in found for path in one.trajectories)
    assert sum(computed) <= 2 * kept
    assert prompts == [4]  # three histories, filled up to the fewest that are read together


def test_the_known_law_is_a_law() -> None:
    for state in known_law.NEXT:
        assert float(LAW.mass[state].sum()) == pytest.approx(1)
        assert float(LAW.codes[state].sum()) == pytest.approx(1)


def test_a_new_estimator_is_one_class_and_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    class HalfScope(Scope):
        def contribution(self, step: EventStep) -> Tensor:
            return super().contribution(step) / 2

    with pytest.raises(ValidationError, match="no such estimator; there are closed_form, mc, scope, reach"):
        ForecastConfig(estimator="half")
    monkeypatch.setitem(ESTIMATORS, "half", HalfScope)
    assert ForecastConfig(estimator="half").estimator == "half"
    states = np.array([A, B, C])
    whole, half = (risks(question(name, D, num_paths=4), states) for name in ("scope", "half"))
    assert float(whole.risk.min()) > 0
    assert torch.allclose(half.risk, whole.risk / 2)
    assert torch.allclose(half.standard_error, whole.standard_error / 2)
