"""Onset hazards: tasks, queries and the fit of the head on a pretrained model.

Reads: a tokens folder, task files, modalities and a pretrained trunk. Writes: the model's onset head. Config:
:class:`~proband.train.config.OnsetOptions`. Next: forecast (closed_form). Not done here: new tasks on a
finished model.
"""
