"""Modalities through files, token store, loader, model and forecast: what is measured at an age is not known
before it, in every fusion."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import known_law
from proband.core.errors import CheckpointError, ConfigError, DataError
from proband.core.files.manifest import read_manifest
from proband.core.schema import RISK, SCORES
from proband.core.units import years_to_minutes
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.model.checkpoint import load_model, save_model
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows
from proband.tokens.modalities.tables import tables_for
from proband.train import likelihood, train
from proband.train.config import EncoderOptions, OnsetOptions, TrainConfig
from small_world import PANEL, random_model

FUSIONS = pytest.mark.parametrize("fusion", ["prefix", "adapter", "cross_attention"])
MEASURED = (3.0, 5.0, 8.0)
"""Ages in years at which everybody is measured."""

TASK = """
outcomes: {death: {codes: MEDS_DEATH}}
prediction: {age_years: [AGE]}
horizons_years: [2]
"""
SMALL = TrainConfig(
    depth=1,
    dim=16,
    num_heads=2,
    context=32,
    token_budget=512,
    epochs=1,
    fusion="prefix",
    onset=OnsetOptions(enabled=False),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("modalities")
    known_law.write_meds(known_law.simulate(120, 0), root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    return root


def write_panel(folder: Path, store: TokenStore, second: float, static: bool = False) -> Path:
    """Three measurements of everybody, the middle one of value ``second``; or that one alone, without age."""
    rows = [
        (subject, known_law.START + timedelta(days=365.25 * age), value)
        for subject in store.subject_ids.tolist()
        for age, value in zip(MEASURED, (1.0, second, -1.0), strict=True)
    ]
    frame = pl.DataFrame(rows, schema=["subject_id", "time", "protein"], orient="row")
    if static:
        frame = frame.filter(pl.col("protein") == second).drop("time")
    folder.mkdir(exist_ok=True)
    frame.write_parquet(folder / "panel.parquet")
    return folder / "panel.parquet"


def write_model(folder: Path, store: TokenStore, fusion: str, static: bool = False) -> Path:
    model = random_model(
        vocabulary_size=len(store.vocabulary),
        once=store.once.nonzero()[0].tolist(),
        context=32,
        fusion=fusion,
        modalities={"panel": PANEL["panel"].model_copy(update={"timed": not static})},
    )
    folder.mkdir()
    save_model(model, folder, store.vocabulary.hash)
    return folder


def terms(model: Path, store: TokenStore, panel: Path) -> tuple[np.ndarray, np.ndarray]:
    """Nats of every held-out event, and the age at the position that predicts it."""
    loaded = load_model(model)
    tables = tables_for(loaded.config.modalities, store, {"panel": panel})
    batch = load_batch(store, make_windows(store, store.rows_of("held_out"), 32), tables)
    with torch.no_grad():
        found = loaded(batch)
    return (found.event_when + found.event_what).numpy(), batch.ages[found.rows, found.positions].numpy()


def risks(model: Path, world: Path, panel: Path, out: Path, age: float) -> pl.DataFrame:
    task = out.with_suffix(".yaml")
    task.write_text(TASK.replace("AGE", str(age)))
    config = ForecastConfig(estimator="scope", paths=4, max_events=30, split="train")
    forecast(model, world / "tokens", out, task=task, modalities={"panel": panel}, config=config, workers=1)
    return RISK.read(out / "risk.parquet")


@FUSIONS
def test_a_measurement_changes_nothing_before_its_age_and_something_after(
    world: Path, tmp_path: Path, fusion: str
) -> None:
    store = TokenStore(world / "tokens")
    model = write_model(tmp_path / "model", store, fusion)
    low, high = (write_panel(tmp_path / name, store, value) for name, value in (("low", -2.0), ("high", 2.0)))
    (before, ages), (after, _) = terms(model, store, low), terms(model, store, high)
    changed = np.abs(before - after)
    at, until = years_to_minutes(MEASURED[1]), years_to_minutes(MEASURED[2])
    assert (changed[ages < at] == 0).all()
    assert (changed[(ages >= at) & (ages < until)] > 1e-4).mean() > 0.95
    assert (ages < at).sum() > 100
    for age, same in ((4.5, True), (5.0, False), (6.0, False)):
        found = [
            risks(model, world, panel, tmp_path / f"{panel.parent.name}{age}", age)["risk"].to_numpy()
            for panel in (low, high)
        ]
        assert len(found[0]) > 10
        assert np.array_equal(*found) == same


@FUSIONS
def test_the_same_values_declared_static_are_known_too_early(
    world: Path, tmp_path: Path, fusion: str
) -> None:
    store = TokenStore(world / "tokens")
    model = write_model(tmp_path / "model", store, fusion, static=True)
    low, high = (
        write_panel(tmp_path / name, store, value, static=True)
        for name, value in (("low", -2.0), ("high", 2.0))
    )
    (before, ages), (after, _) = terms(model, store, low), terms(model, store, high)
    early = ages < years_to_minutes(MEASURED[1])
    assert (np.abs(before - after)[early] > 1e-4).mean() > 0.95
    found = [risks(model, world, panel, tmp_path / panel.parent.name / "r", 4.5) for panel in (low, high)]
    assert found[0]["risk"].to_list() != found[1]["risk"].to_list()


def test_that_somebody_will_be_measured_is_not_known_before(world: Path, tmp_path: Path) -> None:
    store = TokenStore(world / "tokens")
    model = write_model(tmp_path / "model", store, "cross_attention")
    panel = write_panel(tmp_path, store, 0.5)
    held_out = store.subject_ids[store.rows_of("held_out")]
    (first, ages) = terms(model, store, panel)
    pl.read_parquet(panel).filter(~pl.col("subject_id").is_in(held_out.tolist())).write_parquet(panel)
    (never, _) = terms(model, store, panel)
    early = ages < years_to_minutes(MEASURED[0])
    assert np.allclose(first[early], never[early], atol=1e-5)
    assert not np.allclose(first[~early], never[~early], atol=1e-2)


@pytest.fixture(scope="module")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A model of genome, components and panel, with the files of its modalities."""
    folder = tmp_path_factory.mktemp("trained")
    store = TokenStore(world / "tokens")
    rng, ids = np.random.default_rng(0), store.subject_ids[::2]
    matrix = rng.normal(size=(len(ids), 4)).astype(np.float32)
    scores = pl.DataFrame({"subject_id": ids} | {f"PGS{k}": matrix[:, k] for k in range(2)})
    (folder / "genome").mkdir()
    SCORES.write(scores, folder / "genome" / "scores.parquet")
    pcs = pl.DataFrame(
        {"subject_id": ids, "is_fitted": True, "PC1": 3 + 2 * matrix[:, 2], "PC2": matrix[:, 3]}
    )
    pcs.write_parquet(folder / "pcs.parquet")
    files = {"pcs": folder / "pcs.parquet", "panel": write_panel(folder / "p", store, 2.0)}
    config = SMALL.model_copy(update={"encoders": {"pcs": EncoderOptions(encoder="set", hidden=8)}})
    train(world / "tokens", folder / "model", genome=folder / "genome", modalities=files, config=config)
    return {"folder": folder, "model": folder / "model", "genome": folder / "genome", "files": files}


def test_what_a_model_was_trained_on_stands_in_it(world: Path, trained: dict[str, Any]) -> None:
    store, model = TokenStore(world / "tokens"), load_model(trained["model"])
    found = model.config.modalities
    assert {name: (item.names, item.timed, item.encoder, item.hidden) for name, item in found.items()} == {
        "genome": (("PGS0", "PGS1"), False, "mlp", 16),
        "pcs": (("PC1", "PC2"), False, "set", 8),
        "panel": (("protein",), True, "mlp", 16),
    }
    is_train = np.zeros(len(store), bool)
    is_train[store.rows_of("train")] = True
    values = pl.read_parquet(trained["files"]["pcs"]).filter(
        pl.col("subject_id").is_in(store.subject_ids[is_train].tolist())
    )["PC1"]
    encoder: Any = model.fusion.encoders["pcs"]
    assert float(encoder.mean[0]) == pytest.approx(float(values.mean()), rel=1e-4)  # type: ignore[arg-type]
    assert 1 / float(encoder.scale[0]) == pytest.approx(float(values.std(ddof=0)), rel=1e-4)  # type: ignore[arg-type]
    panel: Any = model.fusion.encoders["panel"]  # over measurements
    assert float(panel.mean[0]) == pytest.approx(2 / 3, rel=1e-4)
    counts = read_manifest(trained["model"])["counts"]
    assert counts["num_train_with_panel"] == is_train.sum()
    assert counts["num_train_with_pcs"] == counts["num_train_with_genome"] == len(values)
    held_out = store.subject_ids[store.rows_of("held_out")]
    assert counts["num_held_out_with_genome"] == np.isin(held_out, store.subject_ids[::2]).sum() > 0


def test_every_modality_counts_and_an_absent_one_is_told(
    world: Path, trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    all_in = likelihood(
        trained["model"], world / "tokens", genome=trained["genome"], modalities=trained["files"]
    )
    assert "none is given" not in capsys.readouterr().err
    totals = [all_in["total"]]
    for name in ("pcs", "panel"):
        rest = {other: path for other, path in trained["files"].items() if other != name}
        found = likelihood(trained["model"], world / "tokens", genome=trained["genome"], modalities=rest)
        assert f"the model reads {name} and none is given" in capsys.readouterr().err
        totals.append(found["total"])
    alone = likelihood(trained["model"], world / "tokens")  # a valid model of the record alone
    assert np.isfinite(alone["total"])
    assert alone["num_events"] == all_in["num_events"]
    assert len({round(total, 7) for total in [*totals, alone["total"]]}) == 4
    (tmp_path / "t.yaml").write_text(TASK.replace("AGE", "4"))
    forecast(
        trained["model"],
        world / "tokens",
        tmp_path / "risk",
        task=tmp_path / "t.yaml",
        modalities={"panel": trained["files"]["panel"]},
        config=ForecastConfig(estimator="scope", paths=4, max_events=5),
        workers=1,
    )
    counts = read_manifest(tmp_path / "risk")["counts"]
    assert counts["num_without_panel"] == 0
    assert counts["num_without_pcs"] == counts["num_without_genome"] == counts["num_predictions"] > 0
    told = capsys.readouterr().err
    assert "reads pcs and none is given" in told
    assert "reads genome and none is given" in told


def test_what_the_model_does_not_read_is_refused(
    world: Path, trained: dict[str, Any], tmp_path: Path
) -> None:
    model, panel = trained["model"], trained["files"]["panel"]
    with pytest.raises(
        ConfigError, match=r"no such modality.*found panl.*expected genome.*did you mean panel"
    ):
        likelihood(model, world / "tokens", modalities={"panl": panel})
    pl.read_parquet(panel).filter(pl.col("protein") == 1).drop("time").write_parquet(tmp_path / "s.parquet")
    with pytest.raises(DataError, match=r"trained on are missing.*2 absent, first PC1"):
        likelihood(model, world / "tokens", modalities={"pcs": tmp_path / "s.parquet"})
    with pytest.raises(DataError, match=r"the model was trained on other data.*give one of time, age_days"):
        likelihood(model, world / "tokens", modalities={"panel": tmp_path / "s.parquet"})
    pl.read_parquet(panel).drop("time").write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="a subject stands twice"):
        train(world / "tokens", tmp_path / "m", modalities={"panel": tmp_path / "t.parquet"}, config=SMALL)
    assert not (tmp_path / "m").exists()


def test_another_modality_is_another_training(
    world: Path, trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proband.train.pretrain import loop

    def stop(self: loop.Trainer) -> None:
        self._save(loop.STATE)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Trainer, "_evaluate", stop)
    given = {"pcs": trained["files"]["pcs"]}
    with pytest.raises(KeyboardInterrupt):
        train(world / "tokens", tmp_path / "m", modalities=given, config=SMALL)
    monkeypatch.undo()
    other = {"pcs": trained["files"]["panel"]}
    with pytest.raises(CheckpointError, match="an interrupted run "):
        train(world / "tokens", tmp_path / "m", modalities=other, config=SMALL)
    other = {"axes": trained["files"]["pcs"]}
    with pytest.raises(
        CheckpointError, match=r"other settings is there.*modalities \['pcs'\], now \['axes'\]"
    ):
        train(world / "tokens", tmp_path / "m", modalities=other, config=SMALL)
    train(world / "tokens", tmp_path / "m", modalities=given, config=SMALL)
    assert list(load_model(tmp_path / "m").config.modalities) == ["pcs"]
    with pytest.raises(ConfigError, match="other settings"):
        train(world / "tokens", tmp_path / "m", modalities=other, config=SMALL)
