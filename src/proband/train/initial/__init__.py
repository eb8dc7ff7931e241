"""initial: a model of the configured size, and what is counted on the train split before the first step.

Reads: a store of tokens, modalities. Gives: a :class:`~proband.model.transformer.Proband` whose output biases
are log frequencies of the train split. Config: :class:`~proband.train.config.TrainConfig`. Next: pretrain.
Not done here: gradients.
"""
