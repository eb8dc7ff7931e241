"""Model folders: model.safetensors, config.json, vocabulary.json, README.md. No pickle anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from proband.core.errors import CheckpointError, DataError, first_line
from proband.core.files.atomic import whole_file
from proband.core.files.digests import check_digests, digests_of
from proband.core.files.jsonfiles import read_object, write_json
from proband.core.files.manifest import check_stage
from proband.model.config import FORMAT_VERSION, ModelConfig

WEIGHTS, CONFIG, VOCABULARY, CARD = "model.safetensors", "config.json", "vocabulary.json", "README.md"
FILES = (WEIGHTS, CONFIG, VOCABULARY, CARD)
"""All that a model is; what else a train output holds stays where it was trained."""
STAGES = ("train", "finetune")
"""Stages that write a model."""
MAY_LEAVE = f"{', '.join(FILES)} alone, under the rules of the data; this file stays where they are"
"""Their manifest's line on leaving the place where the data are."""
_REMEDY = "copy the folder again, or train again"


@dataclass(frozen=True)
class SavedModel:
    """What a model folder holds.

    Attributes:
        config: The model's shape.
        once_groups: The tokens that happen at most once in a life, by groups of which only one happens.
        weights: Weights by name.
        vocabulary_hash: The vocabulary that the model is bound to.
        companions: Texts of the vocabulary and the model card by file name.
    """

    config: ModelConfig
    once_groups: list[list[int]]
    weights: Mapping[str, Tensor]
    vocabulary_hash: str | None
    companions: Mapping[str, str]


def write_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write a safetensors file whole or not at all.

    Raises:
        DataError: It cannot be written, as on a full disk.
    """
    try:
        with whole_file(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    except (SafetensorError, OSError) as error:
        found = first_line(error)
        raise DataError("cannot write", where=path, found=found, remedy="free space on the disk") from None


def write_saved(saved: SavedModel, folder: Path) -> None:
    """Write weights and configuration into ``folder``, with their digests and that of its vocabulary."""
    write_tensors(saved.weights, folder / WEIGHTS)
    files = [name for name in (WEIGHTS, VOCABULARY) if (folder / name).is_file()]
    content = {
        "format_version": FORMAT_VERSION,
        "files": digests_of(folder, files),
        "vocabulary_hash": saved.vocabulary_hash,
        "once": saved.once_groups,
        "model": saved.config.model_dump(mode="json"),
    }
    write_json(folder / CONFIG, content)


def once_of(
    groups: list[list[int]], vocabulary_size: int
) -> tuple[Bool[Tensor, " vocabulary"], Int[Tensor, " vocabulary"]]:
    """Whether each token happens once, and the lowest of its group."""
    once, alike = torch.zeros(vocabulary_size, dtype=torch.bool), torch.arange(vocabulary_size)
    for group in groups:
        once[group] = True
        alike[group] = min(group)
    return once, alike


def _check_files(folder: Path, files: Any) -> None:
    try:
        check_stage(folder, STAGES, FILES)  # by its manifest, which a repository of the hub has not
        check_digests(folder, files, _REMEDY)
    except DataError as error:
        raise CheckpointError(str(error)) from None


def _check_size(config: ModelConfig, path: Path) -> None:
    """Refuse a shape whose largest matrices alone are more than the file: building it would take the memory.

    Raises:
        ValueError: It is.
    """
    numbers = config.vocabulary_size * config.dim + config.depth * config.dim**2
    if config.onset:
        numbers += config.onset.num_features * config.onset.width * config.onset.num_networks
    if numbers > path.stat().st_size:
        raise ValueError(
            f"a shape of {numbers:,} weights and more, and {path.stat().st_size:,} bytes of them"
        )


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turn whatever reading a damaged model raises into one line.

    Raises:
        CheckpointError: The model cannot be read.
    """
    try:
        yield
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        ValidationError,
    ) as error:
        found = first_line(error)
        raise CheckpointError("unreadable model", where=folder, found=found, remedy=_REMEDY) from None


def read_saved(folder: Path, vocabulary_hash: str | None = None) -> SavedModel:
    """Read a model folder.

    Args:
        folder: A finished train output.
        vocabulary_hash: The vocabulary of the tokens it will read; None to skip the check.

    Raises:
        CheckpointError: Missing, damaged, of another version, or made for another vocabulary.
    """
    content = _checked_content(folder, vocabulary_hash)
    with readable(folder):
        config = ModelConfig.model_validate(content["model"])
        _check_size(config, folder / WEIGHTS)
        weights = load_file(folder / WEIGHTS)
        groups = TypeAdapter(list[list[int]]).validate_python(content["once"])
        bound_to = TypeAdapter(str | None).validate_python(content.get("vocabulary_hash"))
    return SavedModel(config, groups, weights, bound_to, _read_companions(folder))


def _checked_content(folder: Path, vocabulary_hash: str | None) -> dict[str, Any]:
    """config.json of a folder of this version, for this vocabulary, whose files are as they were written."""
    if not (folder / CONFIG).is_file():
        remedy = "name the output folder of `proband train`"
        raise CheckpointError("no model", where=folder, expected=f"{CONFIG} and {WEIGHTS}", remedy=remedy)
    content = read_object(folder / CONFIG)
    if content.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            "unknown checkpoint version",
            where=folder / CONFIG,
            found=content.get("format_version"),
            expected=FORMAT_VERSION,
            remedy="use the proband version that trained it, or train again",
        )
    if vocabulary_hash is not None and content.get("vocabulary_hash") != vocabulary_hash:
        raise CheckpointError(
            "model and tokens have different vocabularies",
            where=folder,
            found=f"tokens {vocabulary_hash[:12]}",
            expected=str(content.get("vocabulary_hash"))[:12],
            remedy=f"tokenise with --vocabulary {folder}",
        )
    _check_files(folder, content.get("files", {}))
    return content


def _read_companions(folder: Path) -> dict[str, str]:
    """Texts of the vocabulary and the model card."""
    texts = {name: folder / name for name in (VOCABULARY, CARD)}
    try:
        return {name: path.read_text(encoding="utf-8") for name, path in texts.items() if path.is_file()}
    except ValueError as error:
        raise CheckpointError("a text that is no UTF-8", where=folder, found=error, remedy=_REMEDY) from None
