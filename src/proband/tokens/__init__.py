"""tokens: from MEDS events to memory-mapped token arrays.

Reads: a MEDS folder. Writes: tokens.npy, minutes.npy, offsets.npy, statics.npy, subjects.parquet and the
frozen vocabulary.json. Config: :class:`~proband.tokens.config.TokensConfig`. Next: train, forecast,
likelihood. Not done here: anything learned beyond counts and quantiles of the train split.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.tokens.stage import tokens as tokens
else:
    __getattr__ = lazy_names(__name__, {"tokens": "proband.tokens.stage"})

__all__ = ["tokens"]
