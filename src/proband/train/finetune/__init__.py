"""finetune: new outcomes for a trained model.

Reads: a model folder, a tokens folder of its vocabulary, task files and, for their linear terms, a genome
folder and files of other modalities. Writes: a model folder. Config:
:class:`~proband.train.finetune.config.FinetuneConfig`. Next: forecast. Not done here: outcomes that are
patterns of events, labels without a time.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.train.finetune.stage import finetune as finetune
else:
    __getattr__ = lazy_names(__name__, {"finetune": "proband.train.finetune.stage"})

__all__ = ["finetune"]
