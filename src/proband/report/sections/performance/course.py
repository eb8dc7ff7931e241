"""The course of a fit in words: whether losses were still falling at the end, or had risen before."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import polars as pl

from proband.evaluate.panel import learning as fits
from proband.report.tables import number

_LEAST_FALL = 0.001
"""Nats: a fall of less from one evaluation to the next is called none."""
_CLEAR = 2.0
"""Standard errors that a difference of train losses must be away from 0."""
_SECONDS_PER_MINUTE = 60
STEP_NAMES = {
    "age_sex": "age and sex",
    "known_tasks": "tasks known before",
    "record": "linear terms and interactions of the record",
    "networks": "networks",
    "decay": "decay",
    "by_time": "values by time",
    "modalities": "modalities (scores)",
    "calibrated": "calibration",
}
"""In the order of the fit; see :mod:`proband.train.onset`."""
_ENDED = {
    fits.BY_TIME: "the time given was over",
    fits.BY_PASSES: "the passes given were done",
    fits.BY_PATIENCE: "it stopped early, for want of a lower tuning loss",
}


def sentence(rows: pl.DataFrame, ended: str) -> str:
    """What the curves of one model show.

    Args:
        rows: Of :data:`proband.evaluate.tables.LEARNING`, one model.
        ended: What ended its pretraining, of :mod:`proband.evaluate.panel.learning`; empty for not known.
    """
    said = [_of_pretraining(rows.filter(fit=fits.NEXT_EVENT), ended)]
    trunk = rows.filter(fit=fits.TRUNK, split=fits.TUNING).sort("at")
    said += [f"Fine-tuning of the trunk: {of_tuning(trunk, 'nats per date')}"] if trunk.height else []
    said.append(_of_steps(rows.filter(fit=fits.STEPS).sort("at")))
    return " ".join(filter(None, said))


def _of_pretraining(rows: pl.DataFrame, ended: str) -> str:
    if rows.is_empty():
        return ""
    last = rows.sort("at").row(-1, named=True)
    minutes = last["seconds"] and f", {last['seconds'] / _SECONDS_PER_MINUTE:.1f} minutes"
    why = f": {_ENDED[ended]}" if ended in _ENDED else ""
    train, tuning = (rows.filter(split=split).sort("at") for split in (fits.TRAIN, fits.TUNING))
    course = of_tuning(tuning, "nats per event")
    if tuning.height < 2:
        course = f"{course} {of_train(train)}".strip()
    return f"Training ended after {last['at']:,.0f} steps{minutes or ''}{why}. {course}"


def of_tuning(tuning: pl.DataFrame, unit: str) -> str:
    """Whether the tuning loss was still falling at the end, or had risen since its lowest.

    Args:
        tuning: at, loss and kept of the evaluations, in order.
        unit: Of the losses.
    """
    losses = tuning["loss"].to_list()
    if len(losses) < 2:
        return (
            "Tuning was evaluated once, at the end, so the course of its loss is not known." if losses else ""
        )
    lowest = losses.index(min(losses))
    if lowest < len(losses) - 1:
        risen = losses[-1] - losses[lowest]
        at = f"Tuning loss was lowest at step {tuning['at'][lowest]:,.0f}"
        since = (
            f"risen by {number(risen)} {unit} since" if risen >= _LEAST_FALL else "fallen no further since"
        )
        return f"{at} and has {since}; the weights of that step were kept."
    fall = losses[-2] - losses[-1]
    if fall < _LEAST_FALL:
        return "Tuning loss was lowest at the end, but hardly falling any more."
    return (
        f"Tuning loss was still falling at the end, by {number(fall)} {unit} since the evaluation before: "
        "more training may lower it further."
    )


def of_train(train: pl.DataFrame) -> str:
    """Whether the train loss fell from the third to the last quarter of the steps; empty below four lines.

    Args:
        train: at and loss of the lines of the log, in order.
    """
    end = max(train["at"].to_list(), default=0.0)
    thirds, lasts = (
        train.filter(pl.col("at") > low * end, pl.col("at") <= high * end)["loss"].to_list() if end else []
        for low, high in ((0.5, 0.75), (0.75, 1.0))
    )
    if min(len(thirds), len(lasts)) < 2:
        return ""
    fall = _mean(thirds) - _mean(lasts)
    if fall > _CLEAR * math.hypot(_standard_error(thirds), _standard_error(lasts)):
        return (
            f"Train loss was still falling, by {number(fall)} nats per event from the third to the last "
            "quarter of the steps: more training may lower both."
        )
    return "Train loss did not clearly fall from the third to the last quarter of the steps."


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _standard_error(values: Sequence[float]) -> float:
    mean = _mean(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))


def _of_steps(steps: pl.DataFrame) -> str:
    """What the fit of onset hazards gained, and which step most."""
    if steps.height < 2:
        return ""
    losses = steps["loss"].to_list()
    falls = [before - after for before, after in itertools.pairwise(losses)]
    most = max(range(len(falls)), key=lambda place: falls[place])
    total = losses[0] - losses[-1]
    first, name = (step_name(steps["part"][place]) for place in (0, most + 1))
    if total <= 0:
        return f"Onset hazards: tuning loss not below that of {first}."
    return (
        f"Onset hazards: tuning loss {number(total)} nats per date below that of {first}, most by {name} "
        f"({number(falls[most])})."
    )


def step_name(name: str) -> str:
    """A step of the onset fit for reading.

    >>> step_name("by_time"), step_name("a_new_one")
    ('values by time', 'a new one')
    """
    return STEP_NAMES.get(name, name.replace("_", " "))
