"""Models as repositories of the Hugging Face hub: the model folder is one, nothing is converted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from huggingface_hub.errors import HFValidationError

from proband.core.atomic import whole_file
from proband.core.errors import CheckpointError, first_line

if TYPE_CHECKING:
    from proband.model.transformer import Proband

WEIGHTS, CONFIG, VOCABULARY, CARD = "model.safetensors", "config.json", "vocabulary.json", "README.md"
FILES = (WEIGHTS, CONFIG, VOCABULARY, CARD)
"""All that a model is; what else a train output holds stays where it was trained."""


class HubFormat(PyTorchModelHubMixin):
    """``from_pretrained``, ``save_pretrained`` and ``push_to_hub`` of a model.

    Attributes:
        vocabulary_hash: The vocabulary that a loaded model is bound to.
        companions: Texts of the vocabulary and the model card by file name, as loaded.
    """

    vocabulary_hash: str | None = None
    companions: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, source: str | Path, *, vocabulary_hash: str | None = None, **options: Any
    ) -> Proband:
        """Load a model, ready to predict, as :func:`proband.model.checkpoint.load_model` does.

        Args:
            source: A model folder, or the name of a repository. With HF_HUB_OFFLINE=1 a repository must lie
                in the local cache.
            vocabulary_hash: The vocabulary of the tokens it will read; None to skip the check.
            options: For :func:`huggingface_hub.snapshot_download`, such as ``revision`` or ``cache_dir``.

        Raises:
            CheckpointError: Not found, damaged, of another version, or made for another vocabulary.
        """
        from proband.model.checkpoint import load_model

        folder = Path(source)
        return load_model(folder if folder.is_dir() else _download(str(source), options), vocabulary_hash)

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the folder that :meth:`from_pretrained` reads."""
        from proband.model.checkpoint import save_model
        from proband.model.transformer import Proband

        assert isinstance(self, Proband)
        if self.vocabulary_hash is None or VOCABULARY not in self.companions:
            remedy = "save a model that was loaded from the output folder of `proband train`"
            raise CheckpointError("a model without its vocabulary", where=save_directory, remedy=remedy)
        for name, text in self.companions.items():
            with whole_file(save_directory / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        save_model(self, save_directory, self.vocabulary_hash)


def _download(name: str, options: Mapping[str, Any]) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES), **options))
    except (HFValidationError, OSError) as error:
        raise CheckpointError(
            "no model",
            where=name,
            found=first_line(error),
            expected="a model folder, or a repository of the Hugging Face hub",
            remedy="check the name; without a network, copy the folder here and give its path",
        ) from None
