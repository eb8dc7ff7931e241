"""The model card, README.md of a model folder: what the model is for, and what it was trained on.

It may leave a secure workspace as far as counts go: they are shown by the rules of
:mod:`proband.core.statistics.suppress`, and no column adds up to a total from which a small one follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from proband.core.files.atomic import whole_file
from proband.core.statistics import suppress
from proband.core.units import MINUTES_PER_YEAR
from proband.model.folder import CARD
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable
from proband.tokens.vocabulary import kind_of
from proband.train.config import TrainConfig
from proband.train.log_likelihood import Likelihood
from proband.train.onset.stage import OnsetResult

_HEAD = """---
library_name: proband
license: other
license_name: set-by-the-data-holder
tags:
- electronic-health-records
- survival-analysis
---

# A proband model

A generative model of health records: when the next event of a life happens, and what it is.

## Intended use

Research on disease risk in cohorts like the one it was trained on, by people who may use that cohort's data.
`Proband.from_pretrained(folder)` loads it; `proband forecast` gives risks, `proband evaluate` checks them.

**Not for** clinical decisions, screening, insurance, or any decision about a person. Not for another
population without evaluation there. Differences between scenarios are no causal effects.
"""

_TAIL = """
## Limits

- It predicts what gets recorded, which depends on access to care, coding habits and insurance.
- Codes too rare in training stand together as parents or unknowns.
- Counts above are suppressed: 1 to 20 as "≤20", others rounded up to tens. The weights are not so protected:
  output biases start from the frequencies of codes, and nothing shows that no record was memorised. Share
  them only under the rules of the data they were trained on.
- {names}

## Licence and citation

The code is Apache-2.0; the holder of the data decides on the weights. Cite proband, and the work it builds
on: Amar et al. 2025, arXiv 2510.23639.
"""

_FEWER = """
A point of a learning curve: {share:.4g} of the subjects of train and of tuning were read. Codes were chosen
from those of all, so that some may be of few of the subjects read, and this model may not leave the place
where its data are.
"""
_RESAMPLED = """
A refit: subjects of train and tuning were drawn with replacement, and count as often as they were drawn. So
counts here are not of different people, and this model may not leave the place where its data are.
"""


def write_card(
    folder: Path,
    model: Proband,
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    config: TrainConfig,
    tuning: Likelihood,
    onset: OnsetResult | None = None,
) -> None:
    """Write the card into a model folder.

    Args:
        folder: The model folder.
        model: The finished model.
        store: The tokens it was trained on.
        tables: The modalities it was trained with.
        config: Resolved settings.
        tuning: Its likelihood on the tuning split.
        onset: How its onset hazards were fitted, if it has any.
    """
    sections = [
        _HEAD,
        "## Training data\n",
        _table(("", "train", "tuning"), _data_rows(store, tables)),
        _FEWER.format(share=config.subject_fraction) if config.subject_fraction < 1 else "",
        "" if config.resample_seed is None else _RESAMPLED,
        "\nNo subject of the held-out split was used.\n\n## Model and training\n",
        _table(("setting", "value"), _setting_rows(model, config)),
        "\n## Likelihood\n\nNats per event of the tuning split, time in days; the split chose the weights.\n",
        _table(("part", "nats"), [(name, f"{value:.3f}") for name, value in tuning.per_event().items()]),
        *_onset_section(model, onset),
        _TAIL.format(names=_what_is_named(store.vocabulary.min_subjects)),
    ]
    with whole_file(folder / CARD) as temporary:
        temporary.write_text("\n".join(sections), encoding="utf-8")


def _what_is_named(min_subjects: int) -> str:
    """From how many train subjects on vocabulary.json names what they had."""
    if min_subjects >= suppress.LEAST:
        return (
            f"vocabulary.json names no code, value bin or static code that fewer than {min_subjects} train "
            "subjects had."
        )
    return (
        f"**vocabulary.json names codes, value bins and static codes that as few as {min_subjects} train "
        f"subjects had** (`proband tokens --min-subjects {min_subjects}`): it may not leave where counts of "
        "1 to 20 may not."
    )


def _onset_section(model: Proband, onset: OnsetResult | None) -> list[str]:
    """Tasks, and the loss at each stage of the fit."""
    if onset is None or model.config.onset is None:
        return ["\n## Onset hazards\n\nNone: risks of this model are those of sampled paths.\n"]
    shape = model.config.onset
    names = ", ".join(task.name for task in shape.tasks[: shape.num_named])
    others = len(shape.tasks) - shape.num_named
    return [
        f"\n## Onset hazards\n\nFirst occurrences of {names}; and of {others} codes and families. "
        "Nats per date of the tuning split, which chose the weights:\n",
        _table(
            ("", "nats"), [(name.replace("_", " "), f"{value:.3f}") for name, value in onset.losses.items()]
        ),
    ]


def _data_rows(store: TokenStore, tables: Mapping[str, ModalityTable]) -> list[tuple[str, ...]]:
    columns = [_summary(store, tables, store.rows_of(split)) for split in ("train", "tuning")]
    return [(name, *(column[name] for column in columns)) for name in columns[0]]


def _summary(store: TokenStore, tables: Mapping[str, ModalityTable], rows: np.ndarray) -> dict[str, str]:
    """Figures of one split, as they may be shown."""
    number = len(rows)
    events = int((store.offsets[rows + 1] - store.offsets[rows] - 1).sum())
    years = (store.exit[rows].astype(np.int64) - store.entry[rows]).clip(min=0).sum() / MINUTES_PER_YEAR
    shown = {"subjects": suppress.count(number)}
    shown["events"] = suppress.count(events) if suppress.may_show(number) else suppress.WITHHELD
    shown["person-years of follow-up"] = _rounded(years) if suppress.may_show(number) else suppress.WITHHELD
    for name, ages in (("entry", store.entry), ("exit", store.exit)):
        shown[f"age at {name}, years: 10th, 50th, 90th percentile"] = _percentiles(
            ages[rows] / MINUTES_PER_YEAR
        )
    shown |= _split_up(("died", "alive at exit"), store.died[rows][:, None])
    codes = store.vocabulary.statics
    for kind in dict.fromkeys(map(kind_of, codes)):  # each kind divides the subjects anew
        names = [code for code in codes if kind_of(code) == kind]
        places = [codes.index(code) + 1 for code in names]
        having = (store.statics[rows][:, :, None] == places).any(axis=1)
        shown |= _split_up((*names, f"no {kind}"), having)
    for name, table in tables.items():
        shown |= _split_up((f"with {name}", f"without {name}"), table.observed[rows][:, None])
    return shown


def _split_up(names: Sequence[str], having: Bool[np.ndarray, "subjects groups"]) -> dict[str, str]:
    """Sizes of groups, and of what no group holds, which is named last."""
    sizes = [*having.sum(axis=0).tolist(), int((~having.any(axis=1)).sum())]
    return dict(zip(names, suppress.parts(sizes), strict=True))


def _percentiles(years: np.ndarray) -> str:
    """Percentiles in whole years, if more than 20 subjects lie beyond each."""
    if len(years) < 10 * suppress.LEAST:
        return suppress.WITHHELD
    return ", ".join(f"{value:.0f}" for value in np.percentile(years, (10, 50, 90)))


def _rounded(value: float) -> str:
    """Two significant figures."""
    digits = 1 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{round(value, digits):,.0f}"


def _setting_rows(model: Proband, config: TrainConfig) -> list[tuple[str, ...]]:
    shape = model.config
    rows: dict[str, object] = {
        "weights": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "depth, width, heads": f"{shape.depth}, {shape.dim}, {shape.num_heads}",
        "tokens of the vocabulary": shape.vocabulary_size,
        "context": f"{shape.context} tokens",
        "time step": f"{shape.resolution_minutes} minutes",
        "fusion": shape.fusion,
    }
    for name, modality in shape.modalities.items():
        rows[f"modality {name}"] = f"{modality.width} values, encoder {modality.encoder}"
    length = "epochs" if config.minutes is None else "minutes"
    for name in (length, "batch_tokens", "learning_rate", "weight_decay", "dropout", "seed"):
        rows[name.replace("_", " ")] = getattr(config, name)
    return [(name, str(value)) for name, value in rows.items()]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
