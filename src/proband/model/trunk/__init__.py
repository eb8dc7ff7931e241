"""trunk: the transformer's blocks: attention over a window or step by step, SwiGLU, norms, rotary angles.

Reads: vectors, (batch, length, dim). Gives: the same shape, and keys and values for a cache. Config:
:class:`~proband.model.config.ModelConfig`. Next: the heads. Not done here: embedding of tokens, fusion, and
hand-tuned kernels (:mod:`proband.model.kernels`).
"""
