from __future__ import annotations

from pathlib import Path

from proband.train.log import MetricsLog, plot_losses, read_metrics


def test_a_resumed_log_has_every_step_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    assert log.last_step == 0
    for step in (25, 50, 75):
        log.write(step, tuning=1.0 / step, when=1.0, what=1.0, censoring=0.0)
    again = MetricsLog(tmp_path, 50)
    assert again.last_step == 50
    again.write(75, tuning=0.5, when=1.0, what=1.0, censoring=0.0)
    assert [line["step"] for line in read_metrics(tmp_path)] == [25, 50, 75]
    assert read_metrics(tmp_path)[-1]["tuning"] == 0.5
    plot_losses(tmp_path)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    MetricsLog(tmp_path, 0).write(25, tuning=1.0)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 50, "tun')
    assert [line["step"] for line in read_metrics(tmp_path)] == [25]
    assert MetricsLog(tmp_path, 60).last_step == 25
    assert read_metrics(tmp_path / "none") == []
