from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from proband.train.log import Meter, MetricsLog, OnsetLog, plot_losses, read_metrics

TUNING = {"tuning": 1.0, "tuning_when": 1.0, "tuning_what": 1.0, "tuning_censoring": 0.0}


def test_a_resumed_log_has_every_step_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    for step in (25, 50, 75):
        log.write(step, 0, 1.0, TUNING | {"tuning": 1 / step})
    log.write(80, 0, 1.0, {"loss": 2.0})
    again = MetricsLog(tmp_path, 50)
    again.write(60, 0, 1.0, {"loss": 1.234567891})
    again.write(75, 1, 2.0, TUNING)
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines] == [25, 50, 60, 75]
    assert lines[-2]["loss"] == 1.23457
    plot_losses(tmp_path)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    MetricsLog(tmp_path, 0).write(25, 0, 1.0, TUNING)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 50, "tun')
    assert [line["step"] for line in read_metrics(tmp_path)] == [25]
    assert read_metrics(tmp_path / "none") == []


@pytest.mark.parametrize("damage", [b"\0\0\0", b"[1]\n", b"\xff\n", b"[" * 5000, b'{"loss": 1}\n'])
def test_what_follows_a_damaged_line_is_left_out(tmp_path, damage):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n' + damage + b'{"step": 9}\n')
    MetricsLog(tmp_path, 5)
    assert read_metrics(tmp_path) == [{"step": 1}]


def test_the_meter_is_per_event_and_per_second() -> None:
    meter = Meter()
    assert meter.values() == {}
    for waited, norm in ((0.1, 3.0), (0.3, 2.0)):
        meter.add(np.array([10.0, 20.0, 1.0, 5, 90, 100, 2.0, waited]), norm)
    expected = {"loss": 6.2, "loss_when": 2, "loss_what": 4, "loss_censoring": 0.2, "gradient_norm": 3}
    expected |= {"events_per_second": 2.5, "padding_share": 0.1, "waiting_share": 0.1}
    assert meter.values() == pytest.approx(expected)


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = MetricsLog(tmp_path, 0)
    for step in (10, 20, 30):
        log.write(step, 0, 1.0, {"loss_when": step / 10})
    MetricsLog(tmp_path, 20).write(25, 0, 1.0, {"loss_when": 2.5})  # went on from step 20
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    found = {event.step: event.value for event in board.Scalars("loss/when")}
    assert found == {10: 1.0, 20: 2.0, 25: 2.5}


def test_without_tensorboard_there_is_only_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    MetricsLog(tmp_path, 0).write(10, 0, 1.0, {"loss": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_an_onset_log_keeps_the_steps_that_a_stopped_run_had_done(tmp_path):
    log = OnsetLog(tmp_path)
    for values in ({"step": 0.0}, {"step": 4.0}, {"step": 8.0}, {"network": 0.0, "epoch": 1.0}):
        log.write(values)
    whole = log.path.read_text().splitlines()
    assert OnsetLog(tmp_path, 4).path.read_text().splitlines() == whole[:2]
    assert OnsetLog(tmp_path).path.read_text() == ""
