"""How the models given were fitted: losses that their folders logged, found through the forecasts' manifests.

A forecast's manifest names the model folder that it read and its digest. The folder is looked for beside the
forecast, in the folder above, and where the command is run, and taken only where the digest is the same. A
fine-tuned model leads on to the model that it began from, of which the next-event loss is taken alone.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import polars as pl

from proband.core.errors import DataError, first_names
from proband.core.files.jsonlines import read_lines
from proband.core.files.manifest import hash_input, read_manifest
from proband.core.running.progress import say
from proband.evaluate.inputs import RISK_FILE
from proband.evaluate.tables import LEARNING

NEXT_EVENT, TRUNK, NETWORKS, STEPS = "next_event", "trunk", "onset_networks", "onset_steps"
TRAIN, TUNING = "train", "tuning"
BY_TIME, BY_PASSES, BY_PATIENCE = "time", "passes", "patience"
_EVENTS_LOG, _ONSET_LOG = "metrics.jsonl", "onset.jsonl"
_PRETRAINED, _FINETUNED = "train", "finetune"
_ONSET_STEPS = "tuning_onset_nats_per_date"
_SECONDS_PER_MINUTE = 60

_Row = tuple[str, str, str, float, float | None, float, bool]


class Learning(NamedTuple):
    """What is known of the fits.

    Attributes:
        curves: A frame of :data:`~proband.evaluate.tables.LEARNING`. ``fit`` is ``next_event`` (nats per
            event at optimiser steps, with seconds of training by the clock), ``trunk`` (of fine-tuning; nats
            per date at steps), ``onset_networks`` (nats per date at passes over the train split's dates,
            ``part`` the network's number from 1) or ``onset_steps`` (nats per date, named outcomes alone,
            after each step of the fit of onset hazards: ``part`` its name, ``at`` its number from 0).
        ended_by: Model -> what ended its pretraining: time, passes or patience.
        missing: Models forecast by proband whose folder was not found.
    """

    curves: pl.DataFrame
    ended_by: dict[str, str]
    missing: list[str]


def learning_curves(risks: Sequence[str]) -> Learning:
    """Learning curves of all models whose folders are found; names those of the others on the terminal.

    Args:
        risks: Forecast folders or RiskTable files; one without a forecast's manifest has no curve.
    """
    frames, missing = [LEARNING.empty()], []
    ended_by: dict[str, str] = {}
    for risk in map(Path, risks):
        file = risk / RISK_FILE if risk.is_dir() else risk
        manifest = _manifest(file.parent)
        if manifest.get("stage") != "forecast":
            continue
        name = str(manifest["config"].get("name", ""))
        models = list(_lineage(file.parent, manifest))
        for place, model in enumerate(models):
            rows = [(name, *row) for row in _rows(model) if place == 0 or row[0] == NEXT_EVENT]
            frames.append(pl.DataFrame(rows, dict(LEARNING.columns), orient="row"))
            ended_by |= {name: ended} if (ended := _ended_by(model)) else {}
        missing += [] if models else [name]
    if missing:
        say(
            f"evaluate: no learning curve of {first_names(missing)}: the model folder is not beside the "
            "forecast, or not as it was when it was read; put it there to have one in the report"
        )
    curves = pl.concat(frames).unique(LEARNING.unique, keep="first", maintain_order=True)
    return Learning(curves, ended_by, missing)


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder; empty without a usable one."""
    with contextlib.suppress(DataError, OSError):
        return {"config": {}} | read_manifest(folder)
    return {}


class _Model(NamedTuple):
    """A model folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]


def _lineage(begin: Path, manifest: Mapping[str, Any]) -> Iterator[_Model]:
    """The model that a forecast read, and those that it was fine-tuned from, as far as they are found."""
    model = _model_of(begin, manifest)
    while model is not None:
        yield model
        finetuned = model.manifest["stage"] == _FINETUNED
        model = _model_of(model.folder, model.manifest) if finetuned else None


def _model_of(folder: Path, manifest: Mapping[str, Any]) -> _Model | None:
    """The model folder among a manifest's inputs, if it is where it is looked for and unchanged."""
    for name, digest in manifest.get("inputs", {}).items():
        for place in (folder.absolute().parent, folder.absolute().parent.parent, Path.cwd()):
            found = _manifest(place / name)
            if found.get("stage") in (_PRETRAINED, _FINETUNED) and hash_input(place / name) == digest:
                return _Model(place / name, found)
    return None


def _rows(model: _Model) -> Iterator[_Row]:
    """Rows of one model folder, its name aside."""
    notes = model.manifest.get("notes", {})
    events = read_lines(model.folder / _EVENTS_LOG) if model.manifest["stage"] == _PRETRAINED else []
    onset = read_lines(model.folder / _ONSET_LOG)
    yield from _points(
        events, NEXT_EVENT, "", "step", {"loss": TRAIN, TUNING: TUNING}, notes.get("best_step")
    )
    best = notes.get("trunk_steps", {}).get("best")
    yield from _points([line for line in onset if "step" in line], TRUNK, "", "step", {TUNING: TUNING}, best)
    networks = [line for line in onset if "network" in line]
    for number in sorted({line["network"] for line in networks}):
        own = [line for line in networks if line["network"] == number]
        at_best = min((line for line in own if TUNING in line), key=lambda line: line[TUNING], default={})
        splits = {TRAIN: TRAIN, TUNING: TUNING}
        yield from _points(own, NETWORKS, f"{number + 1:g}", "epoch", splits, at_best.get("epoch"))
    steps = notes.get(_ONSET_STEPS, {})
    for at, (name, loss) in enumerate(steps.items()):
        yield STEPS, name, TUNING, float(at), None, float(loss), at == len(steps) - 1


def _points(
    lines: Sequence[Mapping[str, Any]],
    fit: str,
    part: str,
    place: str,
    splits: Mapping[str, str],
    kept: float | None,
) -> Iterator[_Row]:
    """Rows of one log: the key of a loss -> its split; ``kept`` is the place of the weights that stayed."""
    for line in lines:
        for key, split in splits.items():
            if _is_number(line.get(key)) and _is_number(line.get(place)):
                at, seconds = float(line[place]), line.get("seconds")
                clock = float(seconds) if _is_number(seconds) else None
                is_kept = split == TUNING and at == kept
                yield fit, part, split, at, clock, float(line[key]), is_kept


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _ended_by(model: _Model) -> str:
    """What ended a pretraining; empty for another fit."""
    if model.manifest["stage"] != _PRETRAINED:
        return ""
    lines = [line for line in read_lines(model.folder / _EVENTS_LOG) if TUNING in line]
    config, best = model.manifest["config"], model.manifest.get("notes", {}).get("best_step", 0)
    if sum(line["step"] > best for line in lines) >= config.get("patience", math.inf):
        return BY_PATIENCE
    minutes, seconds = config.get("minutes"), lines[-1]["seconds"] if lines else 0
    return BY_TIME if minutes and seconds >= _SECONDS_PER_MINUTE * minutes else BY_PASSES
