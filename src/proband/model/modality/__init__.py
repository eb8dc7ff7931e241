"""modality: the values of one measurement of a modality, such as the genome, become a few latents.

Reads: values, (batch, measurements, width), NaN where missing. Gives: latents, (batch, measurements, latents,
dim). Config: :class:`~proband.model.config.ModalityConfig`. Next: fusion. Not done here: files of values.
A new encoder is one subclass of :class:`ModalityEncoder` in one file, and one entry of :data:`ENCODERS`.
"""

from proband.model.choices import ENCODERS as ENCODERS
from proband.model.modality.encoder import ModalityEncoder as ModalityEncoder

__all__ = ["ENCODERS", "ModalityEncoder"]
