"""Learning curves of hand-written model folders, found through the manifests of forecasts."""

import json
import shutil

import pytest

from proband.core.files.manifest import read_manifest
from proband.core.files.provenance import stage_output
from proband.evaluate import evaluate
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.panel.learning import learning_curves
from proband.evaluate.tables import read_table

EVENTS = [
    {"step": 10, "epoch": 0, "seconds": 3.0, "loss": 1.5},
    {"step": 20, "epoch": 0, "seconds": 6.0, "loss": 1.2, "tuning": 1.4},
    {"step": 30, "epoch": 1, "seconds": 9.0, "loss": 1.0, "tuning": 1.25},
    {"step": 40, "epoch": 1, "seconds": 12.5, "loss": 0.9, "tuning": 1.3},
]
NETWORKS = [
    {"network": 0.0, "epoch": 0.0, "tuning": 4.1},
    {"network": 0.0, "epoch": 0.5, "train": 3.9, "tuning": 4.05},
    {"network": 1.0, "epoch": 0.0, "tuning": 4.1},
    {"network": 1.0, "epoch": 0.5, "train": 3.8, "tuning": 4.2},
]
STEPS = {"age_sex": 4.3, "record": 4.1, "calibrated": 4.02}


def write(out, stage, inputs=(), config=None, notes=None, **logs):
    """A finished output of ``stage`` with logs of one JSON object a line."""
    with stage_output(out, stage=stage, config=config or {}, inputs=inputs) as run:
        for name, lines in logs.items():
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (run.folder / f"{name}.jsonl").write_text(text)
        (run.folder / "risk.parquet").write_bytes(b"")
        run.notes |= notes or {}
    return out


def pretrained(out, config=None, best=30):
    notes = {"best_step": best, "tuning_onset_nats_per_date": STEPS}
    config = config or {"minutes": 0.2, "patience": 6}
    return write(out, "train", config=config, notes=notes, metrics=EVENTS, onset=NETWORKS)


def forecast_of(model, out, name="EHR"):
    return str(write(out, "forecast", [model], {"name": name}))


def rows(found, *columns, **where):
    return found.curves.filter(**where).select(columns).rows()


def test_the_losses_of_the_model_folder_are_copied_with_the_weights_kept_marked(tmp_path, capsys):
    risk = forecast_of(pretrained(tmp_path / "model"), tmp_path / "risk")
    found = learning_curves([risk])
    columns = ("at", "seconds", "loss", "kept")
    assert rows(found, *columns, fit="next_event", split="tuning") == [
        (20.0, 6.0, 1.4, False), (30.0, 9.0, 1.25, True), (40.0, 12.5, 1.3, False),
    ]  # fmt: skip
    assert rows(found, *columns, fit="next_event", split="train") == [
        (10.0, 3.0, 1.5, False), (20.0, 6.0, 1.2, False), (30.0, 9.0, 1.0, False), (40.0, 12.5, 0.9, False),
    ]  # fmt: skip
    assert rows(found, "part", "at", "loss", "kept", fit="onset_networks", split="tuning") == [
        ("1", 0.0, 4.1, False), ("1", 0.5, 4.05, True), ("2", 0.0, 4.1, True), ("2", 0.5, 4.2, False),
    ]  # fmt: skip
    assert rows(found, "part", "at", "loss", "kept", fit="onset_steps") == [
        ("age_sex", 0.0, 4.3, False), ("record", 1.0, 4.1, False), ("calibrated", 2.0, 4.02, True),
    ]  # fmt: skip
    assert set(found.curves["model"]) == {"EHR"}
    assert (found.ended_by, found.missing) == ({"EHR": "time"}, [])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("config", "ended"),
    [
        ({"minutes": 0.2, "patience": 6}, "time"),
        ({"minutes": 0.2, "patience": 1}, "patience"),
        ({"minutes": 0.21, "patience": 6}, "passes"),
        ({"minutes": None, "patience": 2}, "passes"),
    ],
)
def test_what_ended_training_follows_from_its_settings(tmp_path, config, ended):
    risk = forecast_of(pretrained(tmp_path / "model", config), tmp_path / "risk")
    assert learning_curves([risk]).ended_by == {"EHR": ended}


def test_a_fine_tuned_model_has_its_own_onset_fit_and_the_pretraining_it_began_from(tmp_path):
    base = pretrained(tmp_path / "base")
    trunk = [{"step": 0.0, "tuning": 0.5}, {"step": 4.0, "tuning": 0.4}]
    notes = {
        "trunk_steps": {"best": 4, "last": 4},
        "tuning_onset_nats_per_date": {"age_sex": 0.6, "decay": 0.4},
    }
    tuned = write(tmp_path / "tuned", "finetune", [base], notes=notes, onset=trunk)
    found = learning_curves([forecast_of(tuned, tmp_path / "risk")])
    assert rows(found, "at", "loss", "kept", fit="trunk") == [(0.0, 0.5, False), (4.0, 0.4, True)]
    assert rows(found, "part", "loss", fit="onset_steps") == [("age_sex", 0.6), ("decay", 0.4)]
    assert rows(found, "at", fit="next_event", split="tuning") == [(20.0,), (30.0,), (40.0,)]
    assert rows(found, "at", fit="onset_networks") == []
    assert found.ended_by == {"EHR": "time"}


def test_a_model_folder_that_is_gone_or_changed_is_named_and_has_no_curve(tmp_path, capsys):
    gone, changed = pretrained(tmp_path / "gone"), pretrained(tmp_path / "changed")
    risks = [forecast_of(gone, tmp_path / "r1", "A"), forecast_of(changed, tmp_path / "r2", "B")]
    assert learning_curves(risks).missing == []
    shutil.rmtree(gone)
    (changed / "metrics.jsonl").write_text(json.dumps(EVENTS[1] | {"tuning": 0.1}))
    found = learning_curves(risks)
    assert found.curves.is_empty()
    assert found.missing == ["A", "B"]
    [line] = capsys.readouterr().err.splitlines()
    assert "no learning curve of A, B" in line


def test_the_folder_above_the_forecast_is_looked_into_too(tmp_path):
    model = pretrained(tmp_path / "model")
    (tmp_path / "risks").mkdir()
    assert learning_curves([forecast_of(model, tmp_path / "risks" / "ehr")]).missing == []


def test_a_risk_table_that_no_forecast_wrote_is_no_reason_for_a_word(tmp_path, capsys):
    (tmp_path / "risk.parquet").write_bytes(b"")
    found = learning_curves([str(tmp_path / "risk.parquet")])
    assert (found.curves.height, found.missing, capsys.readouterr().err) == (0, [], "")


def test_the_results_hold_the_curves_and_what_ended_training(world, tmp_path):
    model = pretrained(tmp_path / "model")
    with stage_output(tmp_path / "risk", stage="forecast", config={"name": "plain"}, inputs=[model]) as run:
        for file in world.risk_folder("plain", noise=1.5).iterdir():
            shutil.copy(file, run.folder)
    risks = [tmp_path / "risk", world.risk_folder("sharp")]
    evaluate(risks, world.meds, tmp_path / "out", config=EvaluateConfig(bootstrap=0, baselines=("none",)))
    found = read_table(tmp_path / "out", "learning")
    assert found.equals(learning_curves([str(risks[0])]).curves)
    assert set(found["model"]) == {"plain"}
    notes = read_manifest(tmp_path / "out")["notes"]
    assert (notes["training_ended_by"], notes["without_learning_curve"]) == ({"plain": "time"}, [])


def test_lines_without_a_number_are_left_out(tmp_path):
    lines = [EVENTS[0], {"step": "x", "loss": 1.0}, EVENTS[1] | {"tuning": float("nan"), "loss": None}]
    model = write(tmp_path / "model", "train", metrics=lines)
    found = learning_curves([forecast_of(model, tmp_path / "risk")])
    assert rows(found, "at", "split", "loss") == [(10.0, "train", 1.5)]
