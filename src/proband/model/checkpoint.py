"""Models from and to their folders (:mod:`proband.model.folder`)."""

from __future__ import annotations

from pathlib import Path

from proband.model.transformer import Proband


def save_model(model: Proband, folder: Path, vocabulary_hash: str) -> None:
    """Write weights and configuration into ``folder``, with their digests and that of its vocabulary."""
    model.write_folder(folder, vocabulary_hash)


def load_model(folder: Path, vocabulary_hash: str | None = None) -> Proband:
    """Load a model, ready to predict.

    Args:
        folder: A finished train output.
        vocabulary_hash: The vocabulary of the tokens it will read; None to skip the check.

    Raises:
        CheckpointError: Missing, damaged, of another version, or made for another vocabulary.
    """
    return Proband.read_folder(folder, vocabulary_hash)
