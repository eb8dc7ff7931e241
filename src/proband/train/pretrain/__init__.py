"""pretrain: the training loop of the generative model, resumable at any step.

Reads: a store of tokens, modalities, an initialised model. Writes: states, the best weights, metrics.jsonl.
Config: :class:`~proband.train.config.TrainConfig`. Next: onset hazards. Not done here: initial biases
(initial), the model folder (stage).
"""
