"""Models as repositories of the Hugging Face hub: the model folder is one, nothing is converted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from huggingface_hub.errors import HFValidationError
from torch import nn

from proband.core.errors import CheckpointError, first_line
from proband.core.files.atomic import whole_file
from proband.model.config import ModelConfig
from proband.model.folder import FILES, VOCABULARY, SavedModel, once_of, read_saved, readable, write_saved

Model = TypeVar("Model", bound="HubFormat")


class HubFormat(nn.Module, PyTorchModelHubMixin):
    """A model that is read from and written to a folder, which is a repository of the hub too.

    The class that inherits is made from a :class:`~proband.model.config.ModelConfig`, which tokens happen
    once, and which of them together.

    Attributes:
        config: The model's shape.
        once_groups: The tokens that happen at most once in a life, by groups of which only one happens.
        vocabulary_hash: The vocabulary that a loaded model is bound to.
        companions: Texts of the vocabulary and the model card by file name, as loaded.
    """

    config: ModelConfig
    vocabulary_hash: str | None = None
    companions: Mapping[str, str] = MappingProxyType({})

    @property
    def once_groups(self) -> list[list[int]]:
        """The tokens that happen at most once in a life."""
        raise NotImplementedError

    @classmethod
    def read_folder(cls: type[Model], folder: Path, vocabulary_hash: str | None = None) -> Model:
        """Load a model, ready to predict, as :func:`proband.model.checkpoint.load_model` does."""
        saved = read_saved(folder, vocabulary_hash)
        with readable(folder):
            model = cls(saved.config, *once_of(saved.once_groups, saved.config.vocabulary_size))
            model.load_state_dict(saved.weights)
        model.vocabulary_hash, model.companions = saved.vocabulary_hash, saved.companions
        return model.eval()

    def write_folder(self, folder: Path, vocabulary_hash: str) -> None:
        """Write weights and configuration into ``folder``, bound to a vocabulary."""
        weights = self.state_dict()
        write_saved(SavedModel(self.config, self.once_groups, weights, vocabulary_hash, {}), folder)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls: type[Model], source: str | Path, *, vocabulary_hash: str | None = None, **options: Any
    ) -> Model:
        """Load a model, ready to predict.

        Args:
            source: A model folder, or the name of a repository. With HF_HUB_OFFLINE=1 a repository must lie
                in the local cache.
            vocabulary_hash: The vocabulary of the tokens it will read; None to skip the check.
            options: For :func:`huggingface_hub.snapshot_download`, such as ``revision`` or ``cache_dir``.

        Raises:
            CheckpointError: Not found, damaged, of another version, or made for another vocabulary.
        """
        folder = Path(source)
        return cls.read_folder(
            folder if folder.is_dir() else _download(str(source), options), vocabulary_hash
        )

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the folder that :meth:`from_pretrained` reads."""
        if self.vocabulary_hash is None or VOCABULARY not in self.companions:
            remedy = "save a model that was loaded from the output folder of `proband train`"
            raise CheckpointError("a model without its vocabulary", where=save_directory, remedy=remedy)
        for name, text in self.companions.items():
            with whole_file(save_directory / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        self.write_folder(save_directory, self.vocabulary_hash)


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
