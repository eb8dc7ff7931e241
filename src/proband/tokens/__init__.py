"""tokens: from MEDS events to memory-mapped token arrays.

Reads: a MEDS folder. Writes: tokens.npy, minutes.npy, offsets.npy, statics.npy, subjects.parquet and the
frozen vocabulary.json. Config: :class:`~proband.tokens.stage.TokensConfig`. Next: train, forecast,
likelihood. Not done here: anything learned beyond counts and quantiles of the train split.
"""

from proband.tokens.stage import tokens as tokens

__all__ = ["tokens"]
