"""The tokens stage: fit (or take) a vocabulary, tokenise every shard, pack the arrays."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.core.errors import DataError, first_names
from proband.core.files.manifest import check_input, check_stage
from proband.core.files.provenance import StageRun, is_finished, stage_output
from proband.core.files.tables import read_parquet
from proband.core.running.engine import map_shards
from proband.core.running.progress import say
from proband.core.running.unused import say_unused
from proband.ehr.meds.dataset import Shard, list_shards, read_shard
from proband.tokens.config import TokensConfig
from proband.tokens.encode.fit import fit_vocabulary
from proband.tokens.encode.pack import merge_parts, write_part
from proband.tokens.encode.tokenize import tokenize_events
from proband.tokens.measurements.units import COUNTS
from proband.tokens.vocabulary import BIRTH_TOKEN, Vocabulary

LEAST_UNKNOWN = 100
"""Rows, at least, that are refused where a frozen vocabulary knows none of their codes."""


def tokens(
    meds: Path,
    out: Path,
    *,
    vocabulary: Path | None = None,
    config: TokensConfig | None = None,
    workers: int | None = None,
    spark: str | None = None,
    overwrite: bool = False,
) -> None:
    """Tokenise a MEDS folder.

    Args:
        meds: A MEDS folder, as the ehr stage writes it.
        out: Output folder.
        vocabulary: A model or tokens folder whose frozen vocabulary to use, for new subjects or other
            cohorts; default fits one on the train split.
        config: Settings.
        workers: Processes; default one per core.
        spark: Master URL of a Spark cluster that works on the shards instead; ``meds`` and ``out`` must lie
            where all its machines see them.
        overwrite: Replace a finished output.

    Raises:
        DataError: No train split to fit on, or unusable MEDS files.
        ConfigError: Spark does not start.
        CheckpointError: The given vocabulary is damaged or of another version.
    """
    config = config or TokensConfig()
    if vocabulary:
        check_stage(vocabulary, ("tokens", "train", "finetune"))
        check_input(vocabulary / "vocabulary.json")
    frozen = Vocabulary.load(vocabulary / "vocabulary.json") if vocabulary else None
    config = config.model_copy(update={"vocabulary": frozen.hash if frozen else None})
    inputs = [meds, *([vocabulary / "vocabulary.json"] if vocabulary else [])]
    if is_finished(out, "tokens", config, overwrite, inputs):
        return
    if frozen:
        say_unused("tokens", config, ("num_bins", "min_subjects"), "--vocabulary has its own")
    shards = list_shards(meds.absolute() if spark else meds)
    if any(shard.split is None for shard in shards):
        remedy = "split it first: proband ehr FOLDER OUT"
        raise DataError(
            "subjects without a split", where=meds, expected="data/SPLIT/*.parquet", remedy=remedy
        )
    parents = read_parents(meds)
    with stage_output(out, stage="tokens", config=config, inputs=inputs, overwrite=overwrite) as run:
        fitted = frozen or fit_vocabulary(shards, parents, config, workers, spark)
        _tokenise_all(shards, fitted, parents, run, workers, spark, freeze=frozen is None)
    if not run.counts["num_subjects_with_sex"]:
        say("tokens: no subject has a sex; expected codes without a time such as Gender//F, SEX//MALE")
    say(f"tokens: {run.counts['num_tokens']:,} tokens of {run.counts['num_subjects']:,} subjects in {out}")


def read_parents(meds: Path) -> dict[str, list[str]]:
    """Code to its parent codes from metadata/codes.parquet; empty where the file or column is absent."""
    path = meds / "metadata" / "codes.parquet"
    if not path.is_file():
        return {}
    codes = read_parquet(path)
    if "parent_codes" not in codes.columns:
        return {}
    try:
        known = codes.with_columns(pl.col("parent_codes").cast(pl.List(pl.String)))
    except pl.exceptions.PolarsError:
        found = str(codes.schema["parent_codes"])
        raise DataError("wrong type of parent_codes", where=path, found=found, expected="lists") from None
    known = known.filter(pl.col("parent_codes").list.len() > 0).sort("code")
    spelled = {_one_slash(code): code for code in codes["code"].sort(descending=True).to_list()}
    return {
        code: [spelled.get(_one_slash(parent), parent) for parent in parents if parent is not None]
        for code, parents in known.select("code", "parent_codes").rows()
    }


def _one_slash(code: str) -> str:
    """A code as those spell it who write one slash for two."""
    return code.replace("//", "/")


class _Tokenised(NamedTuple):
    """What tokenising one shard counted."""

    counts: dict[str, int]
    max_repeats: np.ndarray
    unknown_codes: dict[str, int]
    num_known: int


def _tokenise_shard(
    numbered: tuple[int, Shard], vocabulary: Vocabulary, parents: Mapping[str, Sequence[str]], folder: Path
) -> _Tokenised:
    number, shard = numbered
    part = tokenize_events(read_shard(shard.path), vocabulary, parents)
    write_part(part, str(shard.split), folder / f"{number:06d}")
    repeats = _max_repeats(part.rows, vocabulary)
    return _Tokenised(part.counts, repeats, part.unknown_codes, part.num_known)


def _max_repeats(rows: pl.DataFrame, vocabulary: Vocabulary) -> Int[np.ndarray, " vocabulary"]:
    """Most times that a token occurred in one subject, any value bin of a code counting for all of them."""
    numbers = np.unique(vocabulary.base_codes(), return_inverse=True)[1]
    bases = rows.select("subject_id", base=pl.Series(numbers[rows["token"].to_numpy()]))
    repeats = bases.group_by("subject_id", "base").len().group_by("base").agg(pl.col("len").max())
    by_base = np.zeros(len(vocabulary), dtype=np.int64)
    by_base[repeats["base"].to_numpy()] = repeats["len"].to_numpy()
    return by_base[numbers]


def _tokenise_all(
    shards: Sequence[Shard],
    vocabulary: Vocabulary,
    parents: Mapping[str, Sequence[str]],
    run: StageRun,
    workers: int | None,
    spark: str | None,
    *,
    freeze: bool,
) -> None:
    folder = run.folder.absolute() / "parts"
    one = partial(_tokenise_shard, vocabulary=vocabulary, parents=parents, folder=folder)
    done = map_shards(one, list(enumerate(shards)), description="Tokenising", workers=workers, spark=spark)
    if freeze:
        train = [result for result, shard in zip(done, shards, strict=True) if shard.split == "train"]
        vocabulary = vocabulary.with_repeats(np.max([result.max_repeats for result in train], axis=0))
    merge_parts([folder / f"{number:06d}" for number in range(len(shards))], run.folder, len(vocabulary))
    shutil.rmtree(folder)
    vocabulary.save(run.folder / "vocabulary.json")
    totals: Counter[str] = Counter()
    for result in done:
        totals.update(result.counts)
    run.counts.update(totals, num_vocabulary=len(vocabulary))
    run.notes["min_subjects"] = vocabulary.min_subjects
    run.notes["units_of_codes"] = {
        code: groups for code, groups in vocabulary.units.items() if sum(map(len, groups)) > 1
    }
    _say_units(vocabulary, totals)
    if not freeze:
        _check_known(done, vocabulary)
    run.notes["vocabulary_hash"] = vocabulary.hash
    run.notes["resolution_minutes"] = vocabulary.resolution_minutes


def _check_known(done: Sequence[_Tokenised], vocabulary: Vocabulary) -> None:
    """Say how many rows have a code that a frozen vocabulary does not know, and which code most often.

    Raises:
        DataError: Of :data:`LEAST_UNKNOWN` rows or more, deaths apart, none has one that it knows, as where
            codes are spelled in another way. A few rows of a single person may all be unknown.
    """
    unknown: Counter[str] = Counter()
    for result in done:
        unknown.update(result.unknown_codes)
    if not unknown:
        return
    num_unknown, num_known = unknown.total(), sum(result.num_known for result in done)
    code, number = min(unknown.items(), key=lambda one: (-one[1], one[0]))
    if not num_known and num_unknown >= LEAST_UNKNOWN:
        clinical = [token.code for token in vocabulary.tokens[BIRTH_TOKEN + 1 : -1] if not token.is_unknown]
        raise DataError(
            "no code of these records is in the vocabulary",
            found=f"{num_unknown:,} rows, most often {code}",
            expected=f"codes such as {first_names(list(dict.fromkeys(clinical)), most=3)}",
            remedy="write codes as in the records that the vocabulary was fitted on, or fit one on these",
        )
    say(
        f"tokens: {num_unknown:,} of {num_unknown + num_known:,} rows "
        f"({num_unknown / (num_unknown + num_known):.1%}) have a code that the vocabulary does not know and "
        f"count as unknown, most often {code} ({number:,} rows)"
    )


def _say_units(vocabulary: Vocabulary, totals: Mapping[str, int]) -> None:
    """Say what became of values of other units than that of their code's bins, with the first example."""
    if not any(totals[name] for name in COUNTS):
        return
    several = {code: groups for code, groups in vocabulary.units.items() if sum(map(len, groups)) > 1}
    first = next((f"; first {code}: {_groups_said(groups)}" for code, groups in several.items()), "")
    converted, assumed, apart, unused = (totals[name] for name in COUNTS)
    say(
        f"tokens: of values in another unit than their code's bins {converted:,} were converted, {apart:,} "
        f"have bins of their own, {unused:,} are not used; {assumed:,} of unknown unit were taken as they "
        f"are{first} (manifest.json: units_of_codes)"
    )


def _groups_said(groups: Sequence[Sequence[str]]) -> str:
    """Groups of units in words.

    >>> _groups_said((("mg/dL", "mmol/L"), ("none",)))
    'bins in mg/dL from mg/dL, mmol/L; bins in none from none'
    """
    return "; ".join(f"bins in {group[0]} from {', '.join(group)}" for group in groups)
