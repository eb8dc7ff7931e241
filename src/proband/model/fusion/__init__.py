"""fusion: how modalities reach the trunk, behind one interface.

Every model, whatever its fusion, has ``num_latents`` learned leading positions before the record. An encoder
turns each modality into latents; then

- ``none`` reads no modality;
- ``prefix`` adds the latents to the leading positions, which every position of the record attends to;
- ``adapter`` scales and shifts the residual stream before each block (after Perez 2018, arXiv 1709.07871);
- ``cross_attention`` lets every position attend to the latents before each block, through a gate (after
  Alayrac 2022, arXiv 2204.14198).

At step 0 all four are the same model to the bit: the latents of ``prefix``, the adapters' weights and the
gates start at zero. A modality measured at an age reaches only positions at or after it, in every fusion:
each position reads the newest measurement by then, and before the first one what those read who never have
one, so that a measurement to come does not show. ``prefix`` adds it to the positions from then on, since
leading positions are seen by all.

What a block needs of the latents is computed once per subject (``prepare``) and lies in the cache beside
keys and values.

A new fusion is one subclass of :class:`~proband.model.fusion.layer.FusionMethod` in one file, and one entry
of :data:`proband.model.choices.FUSIONS`.
"""
