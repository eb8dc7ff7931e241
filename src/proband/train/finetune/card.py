"""The model card of an adapted model: that of the model it was made from, with what was added."""

from __future__ import annotations

from pathlib import Path

from proband.core.files.atomic import whole_file
from proband.model.config import OnsetTask
from proband.model.folder import CARD
from proband.model.transformer import Proband
from proband.train.finetune.config import FinetuneConfig
from proband.train.onset.stage import OnsetResult

_BEFORE = "\n## Limits"


def write_card(
    folder: Path,
    model: Proband,
    tasks: tuple[OnsetTask, ...],
    config: FinetuneConfig,
    result: OnsetResult,
) -> None:
    """Write the card into a model folder.

    Args:
        folder: The model folder.
        model: The model, with the card it was loaded with, if it had one.
        tasks: The new tasks.
        config: Settings.
        result: How the fit went.
    """
    card = model.companions.get(CARD, "# A proband model\n")
    names = ", ".join(task.name for task in tasks)
    what = "Labels" if tasks[0].is_label else "First occurrences"
    rows = [f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in result.losses.items()]
    section = "\n".join(
        [
            "\n## Fine-tuning\n",
            f"{what} of {names} were added by `proband finetune --mode {config.mode}`, with the "
            f"labels of {config.label_fraction:.0%} of the subjects of train and tuning. The sections above "
            "tell of the model before. Nats per date of the tuning split, which chose the weights:\n",
            "|  | nats |\n|---|---|",
            *rows,
            "",
        ]
    )
    begin, found, end = card.partition(_BEFORE)
    with whole_file(folder / CARD) as temporary:
        temporary.write_text(begin + section + found + end, encoding="utf-8")
