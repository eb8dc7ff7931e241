"""train: fit a model to token arrays, and measure its likelihood.

Reads: a tokens folder and, for a fusion, a genome folder or files of other modalities. Writes:
model.safetensors, config.json, vocabulary.json, README.md, metrics.jsonl, loss.png. Config:
:class:`~proband.train.config.TrainConfig`. Next: finetune, forecast. Not done here: outcomes that
come up later (train.finetune).
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.train.log_likelihood import likelihood as likelihood
    from proband.train.stage import train as train
else:
    __getattr__ = lazy_names(
        __name__, {"likelihood": "proband.train.log_likelihood", "train": "proband.train.stage"}
    )

__all__ = ["likelihood", "train"]
