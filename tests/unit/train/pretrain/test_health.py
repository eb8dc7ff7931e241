from __future__ import annotations

import math
from pathlib import Path

import pytest

from proband.core.errors import ConfigError
from proband.core.running.team import Team
from proband.train import train
from proband.train.config import TrainConfig
from proband.train.log import read_metrics
from proband.train.pretrain import loop
from proband.train.pretrain.health import MARGIN_NATS, WINDOW_STEPS, Watch
from proband.train.pretrain.state import Progress


def watch(tmp_path: Path, **progress: float) -> Watch:
    return Watch(Progress(**{"first_loss": 5.0, **progress}), Team(), tmp_path)


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (1.0, math.inf), (math.inf, 1.0)])
def test_what_is_no_number_stops_at_once(tmp_path: Path, loss: float, norm: float) -> None:
    with pytest.raises(ConfigError, match=r"not a finite number; in step 8, learning rate 2\.00e-03.*lower"):
        watch(tmp_path, step=7).check(loss, norm, 2e-3)


def test_a_window_far_above_the_first_loss_has_diverged(tmp_path: Path) -> None:
    judge = watch(tmp_path)
    for _ in range(WINDOW_STEPS - 1):
        judge.check(5.0 + 1.01 * MARGIN_NATS, 1.0, 1e-3)
    with pytest.raises(ConfigError, match=r"the loss diverges.*found 8\.03 nats.*after 5"):
        judge.check(5.0 + 1.01 * MARGIN_NATS, 1.0, 1e-3)


def test_a_window_far_above_the_best_has_diverged(tmp_path: Path) -> None:
    judge = watch(tmp_path)
    for _ in range(WINDOW_STEPS):
        judge.check(1.0, 1.0, 1e-3)
    assert judge.progress.best_mean == 1.0
    for _ in range(WINDOW_STEPS - 1):
        judge.check(1.0 + MARGIN_NATS, 1.0, 1e-3)
    judge.check(1.0 + MARGIN_NATS, 1.0, 1e-3)
    with pytest.raises(ConfigError, match="the loss diverges"):
        judge.check(1.5 + MARGIN_NATS, 1.0, 1e-3)


def test_single_bad_steps_and_a_loss_that_stays_are_no_divergence(tmp_path: Path) -> None:
    judge = watch(tmp_path)
    for number in range(10 * WINDOW_STEPS):
        judge.check(50.0 if number % WINDOW_STEPS == 7 else 5.5, 1.0, 1e-3)


def test_a_rate_out_of_bounds_leaves_nothing(world: Path, small: TrainConfig, tmp_path: Path) -> None:
    config = small.model_copy(update={"learning_rate": 1e30, "save_seconds": 1000.0})
    message = r"not a finite number; in step \d+, learning rate [\d.]+e\+\d+.*anew.*lower --learning-rate"
    with pytest.raises(ConfigError, match=message) as e:
        train(world / "tokens", tmp_path / "m", config=config)
    assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_after_divergence_the_best_state_goes_on_with_a_lower_rate(
    world: Path, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate_at = loop.rate_at
    monkeypatch.setattr(loop, "rate_at", lambda done, config: rate_at(done, config) if done < 0.3 else 1e6)
    config = small.model_copy(update={"epochs": 10.0, "evaluate_steps": 10})
    message = r"learning rate 1\.00e\+06.*last good checkpoint, step (\d+), is kept in .*m\.partial: the same"
    with pytest.raises(ConfigError, match=message) as e:
        train(world / "tokens", tmp_path / "m", config=config)
    assert "\n" not in str(e.value)
    tuned = [line for line in read_metrics(tmp_path / "m.partial") if "tuning" in line]
    best = min(tuned, key=lambda line: line["tuning"])
    assert f"step {best['step']}," in str(e.value)
    monkeypatch.undo()
    train(world / "tokens", tmp_path / "m", config=config.model_copy(update={"learning_rate": 1e-3}))
    lines = read_metrics(tmp_path / "m")
    assert best in lines
    assert lines[-1]["learning_rate"] < 1e-3
    assert min(line["tuning"] for line in lines if "tuning" in line) <= best["tuning"]
