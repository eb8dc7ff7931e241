from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from proband.core.batch import EVENT, NOT_SCORED
from proband.core.running.team import Team
from proband.tokens.dataset import TokenStore
from proband.train.config import TrainConfig
from proband.train.initial.build import build_model
from proband.train.pretrain.feed import Ahead, Step, StepStream, cut
from proband.train.pretrain.loop import Trainer

LENGTHS = np.array([9, 3, 16, 4, 4, 12, 7, 16, 2, 5])


@pytest.mark.parametrize(
    ("budget", "processes"), [(16, 1), (40, 2), (1000, 3), (None, 1), (None, 4), (None, 40)]
)
def test_every_window_is_in_one_part_within_the_budget(budget: int | None, processes: int) -> None:
    parts = cut(LENGTHS, budget, processes)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(LENGTHS)))
    if budget is None:
        sizes = [len(part) for part in parts]
        assert len(parts) == min(processes, len(LENGTHS))
        assert max(sizes) - min(sizes) <= 1
    else:
        assert all(len(part) * LENGTHS[part].max() <= budget for part in parts)


def first_steps(world: Path, config: TrainConfig, number: int, team: Team | None = None) -> list[Step]:
    stream = StepStream(TokenStore(world / "tokens"), {}, config, team or Team())
    return list(itertools.islice(stream.steps(), number))


def rows(steps: list[Step]) -> list[list[int]]:
    return [sorted(row for batch in step.micro for row in batch.rows.tolist()) for step in steps]


def test_the_order_is_a_function_of_the_seed_alone(world: Path, small: TrainConfig) -> None:
    here = rows(first_steps(world, small, 40))
    assert here == rows(first_steps(world, small, 40))
    assert here == rows(first_steps(world, small.model_copy(update={"token_budget": 64}), 40))
    assert here != rows(first_steps(world, small.model_copy(update={"seed": 1}), 40))
    assert here[0] != here[1]


def test_the_stream_goes_on_from_any_step(world: Path, small: TrainConfig) -> None:
    stream = StepStream(TokenStore(world / "tokens"), {}, small, Team())
    number = stream.steps_per_epoch + 3
    steps = list(itertools.islice(stream.steps(), number + 2))
    again = list(itertools.islice(stream.steps(steps[number - 1].epoch, steps[number - 1].index), 2))
    assert steps[number].epoch == 1
    assert rows(again) == rows(steps[number:])
    assert [step.keys for step in again] == [step.keys for step in steps[number:]]
    assert len({key for step in steps for key in step.keys}) == sum(len(step.keys) for step in steps)


@pytest.mark.parametrize("budget", [None, 64])
@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_a_step(world: Path, small: TrainConfig, budget: int | None, size: int) -> None:
    config = small.model_copy(update={"token_budget": budget})
    alone = first_steps(world, config, 12)
    shares = [first_steps(world, config, 12, Team(rank, size)) for rank in range(size)]
    for number, step in enumerate(alone):
        parts = [share[number] for share in shares]
        assert len({len(part.micro) for part in parts}) == 1  # all take part in every exchange
        real = [batch for part in parts for batch in part.micro if (batch.target != NOT_SCORED).any()]
        assert sorted(row for batch in real for row in batch.rows.tolist()) == rows([step])[0]
        assert sum(part.num_real for part in parts) == step.num_real
        if budget is not None:  # the same masks, whoever computes them
            keys = itertools.chain.from_iterable(itertools.zip_longest(*(part.keys for part in parts)))
            assert list(keys)[: len(step.keys)] == step.keys


def gradient(world: Path, config: TrainConfig, work: Path) -> dict[str, torch.Tensor]:
    store = TokenStore(world / "tokens")
    model = build_model(store, {}, config)
    work.mkdir()
    trainer = Trainer(model, store, {}, config, work)
    nats, num_events = trainer._gradients(next(trainer.stream.steps()))
    trainer._rescale(1 / num_events)
    assert num_events > 20
    assert all(np.isfinite(nats))
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("budget", [16, 64, 200])
def test_micro_batches_add_up_to_the_gradient_of_the_whole_step(
    world: Path, small: TrainConfig, tmp_path: Path, budget: int
) -> None:
    config = small.model_copy(update={"dropout": 0.0, "clip_norm": 1e9})
    whole = gradient(world, config, tmp_path / "whole")
    parts = gradient(world, config.model_copy(update={"token_budget": budget}), tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], rtol=1e-4, atol=1e-6), name


def test_the_gradient_is_that_of_the_mean_loss(world: Path, small: TrainConfig, tmp_path: Path) -> None:
    config = small.model_copy(update={"dropout": 0.0, "clip_norm": 1e9})
    found = gradient(world, config, tmp_path / "m")
    store = TokenStore(world / "tokens")
    model = build_model(store, {}, config)
    step = next(StepStream(store, {}, config, Team()).steps())
    model(step.micro[0]).mean.backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(found[name], parameter.grad, rtol=1e-4, atol=1e-6), name


def test_every_event_weighs_the_same_in_steps_of_few_events_as_in_steps_of_many(
    world: Path, small: TrainConfig, tmp_path: Path
) -> None:
    """A step's gradient is that of the total loss of its events over the mean number of events of a step."""
    config = small.model_copy(update={"dropout": 0.0, "clip_norm": 1e9, "learning_rate": 1e-12})
    store = TokenStore(world / "tokens")
    model = build_model(store, {}, config)
    tmp_path.joinpath("m").mkdir()
    trainer = Trainer(model, store, {}, config, tmp_path / "m")
    used: list[torch.Tensor] = []
    trainer.optimizer.register_step_pre_hook(lambda *_: used.append(model.what.bias.grad.clone()))  # type: ignore[union-attr]
    taken, events = list(itertools.islice(trainer.stream.steps(), 2 * trainer.stream.steps_per_epoch)), 0
    for number, step in enumerate(taken, 1):
        trainer._step(step, 0.0)
        model.zero_grad()
        terms = model(step.micro[0])
        events += terms.num_events
        (terms.mean * terms.num_events * number / events).backward()
        assert torch.allclose(used[-1], model.what.bias.grad, rtol=1e-3, atol=1e-6)
    counts = [int((step.micro[0].target == EVENT).sum()) for step in taken]
    assert max(counts) > 1.5 * min(counts)


def test_an_error_in_the_loader_is_raised_where_it_is_read() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("a file went away")

    with Ahead(broken()) as ahead:
        found = iter(ahead)
        assert next(found) == 1
        with pytest.raises(OSError, match="a file went away"):
            next(found)


def test_the_loader_reads_ahead_no_further_than_allowed_and_ends() -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        for number in itertools.count():
            made.append(number)
            yield number

    with Ahead(endless()) as ahead:
        assert list(itertools.islice(ahead, 5)) == [0, 1, 2, 3, 4]
        assert len(made) <= 9
        assert ahead.take_waited() > 0
        assert ahead.take_waited() == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "loader"]


def test_a_finite_stream_ends() -> None:
    with Ahead(range(3)) as ahead:
        assert list(ahead) == [0, 1, 2]
