"""train: fit a model to token arrays, and measure its likelihood.

Reads: a tokens folder and, for a fusion, a genome folder or files of other modalities. Writes:
model.safetensors, config.json, vocabulary.json, README.md, metrics.jsonl, loss.png. Config:
:class:`~proband.train.config.TrainConfig`. Next: forecast. Not done here: fine-tuning on labels.
"""

from proband.train.log_likelihood import likelihood as likelihood
from proband.train.stage import train as train

__all__ = ["likelihood", "train"]
