"""model: when the next event happens, then what it is, given history, statics and genome.

Reads and writes: checkpoint folders (safetensors and JSON, no pickle). Config:
:class:`~proband.model.config.ModelConfig`. Next: train fits it, forecast samples from it. Not done here:
files of data, follow-up rules, optimisation, anything parallel.
"""
