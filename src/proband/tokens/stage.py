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

from proband.core.engine import map_shards
from proband.core.errors import DataError
from proband.core.progress import say
from proband.core.provenance import StageRun, check_input, check_stage, is_finished, stage_output
from proband.core.schema import read_parquet
from proband.core.units import MINUTES_PER_DAY
from proband.ehr.cohort import follow_up
from proband.ehr.meds.dataset import Shard, list_shards, read_shard
from proband.ehr.units.counts import total_units, units_of
from proband.tokens.config import TokensConfig
from proband.tokens.pack import merge_parts, write_part
from proband.tokens.tokenize import dated_events, is_static, tokenize_events, whole_days
from proband.tokens.units import COUNTS, Groups, group_units, place_values, value_code, value_codes
from proband.tokens.values import fit_edges
from proband.tokens.vocabulary import (
    UNKNOWN,
    Vocabulary,
    assemble_tokens,
    common_unknowns,
    is_unknown,
    roll_up,
)


class _Seen(NamedTuple):
    """What one train shard contributes to the vocabulary."""

    pairs: pl.DataFrame
    values: pl.DataFrame
    statics: pl.DataFrame
    daily: bool
    units: pl.DataFrame


def tokens(
    meds: Path,
    out: Path,
    *,
    vocabulary: Path | None = None,
    config: TokensConfig | None = None,
    workers: int | None = None,
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
        overwrite: Replace a finished output.

    Raises:
        DataError: No train split to fit on, or unusable MEDS files.
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
    shards = list_shards(meds)
    if any(shard.split is None for shard in shards):
        remedy = "split it first: proband ehr FOLDER OUT"
        raise DataError(
            "subjects without a split", where=meds, expected="data/SPLIT/*.parquet", remedy=remedy
        )
    parents = read_parents(meds)
    with stage_output(out, stage="tokens", config=config, inputs=inputs) as run:
        fitted = frozen or fit_vocabulary(shards, parents, config, workers)
        _tokenise_all(shards, fitted, parents, run, workers, freeze=frozen is None)
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


def fit_vocabulary(
    shards: Sequence[Shard],
    parents: Mapping[str, Sequence[str]],
    config: TokensConfig,
    workers: int | None = None,
) -> Vocabulary:
    """Fit units, bins, roll-up and token order on the train split; counts are still to be filled in."""
    train = [shard for shard in shards if shard.split == "train"]
    if not train:
        remedy = "split the subjects (proband ehr does), or give a frozen --vocabulary"
        raise DataError("no train split to fit the vocabulary on", where="the MEDS data", remedy=remedy)
    look = partial(_look_at_shard, static_prefixes=config.static_prefixes)
    seen = map_shards(look, train, description="Fitting the vocabulary", workers=workers)
    least = config.min_subjects
    counts = total_units([shard.units for shard in seen])
    units = group_units(counts, least)
    if counts["code"].is_duplicated().any():  # some code has several units: its values are to be converted
        look = partial(_look_at_shard, static_prefixes=config.static_prefixes, units=units)
        seen = map_shards(look, train, description="Converting units", workers=workers)
    edges = fit_edges(pl.concat([shard.values for shard in seen]), config.num_bins, config.min_values, least)
    pairs = pl.concat([shard.pairs for shard in seen])
    unknown = common_unknowns(pairs, least)
    rolled = roll_up(pairs, parents, least)
    rolled = {
        code: UNKNOWN if is_unknown(target) and target not in unknown else target
        for code, target in rolled.items()
    }
    recorded = value_codes(units)
    edges = {name: inner for name, inner in edges.items() if recorded.get(name, (name,))[0] not in rolled}
    common = [code for code in pairs["code"].unique().to_list() if code not in rolled]
    tokens = assemble_tokens([*common, *rolled.values()], edges, unknown)
    return Vocabulary(
        tokens=tokens,
        edges=edges,
        rolled=rolled,
        once=(False,) * len(tokens),
        statics=_common_statics(pl.concat([shard.statics for shard in seen]), least),
        resolution_minutes=MINUTES_PER_DAY if all(shard.daily for shard in seen) else 1,
        min_subjects=least,
        units={code: groups for code, groups in units.items() if _has_bins(code, groups, edges)},
    )


def _has_bins(code: str, groups: Sequence[Sequence[str]], edges: Mapping[str, Sequence[float]]) -> bool:
    """Whether any unit of a code has value bins."""
    return any(value_code(code, groups, number) in edges for number in range(len(groups)))


def _common_statics(pairs: pl.DataFrame, min_subjects: int) -> tuple[str, ...]:
    """The static codes of enough subjects, in alphabetical order."""
    counts = pairs.unique().group_by("code").len()
    common = counts.filter(pl.col("len") >= min_subjects)["code"].sort().to_list()
    if counts.height > len(common):
        few = f"fewer than {min_subjects} train subjects"
        say(f"tokens: {counts.height - len(common)} static codes of {few} are left out (--min-subjects)")
    return tuple(common)


def _look_at_shard(shard: Shard, static_prefixes: Sequence[str], units: Groups | None = None) -> _Seen:
    events = read_shard(shard.path)
    dated = dated_events(events, follow_up(events))
    placed = dated.with_columns(value_code="code") if units is None else place_values(dated, units)
    return _Seen(
        pairs=dated.select("subject_id", "code").unique(),
        values=placed.drop_nulls("numeric_value").select("subject_id", "numeric_value", code="value_code"),
        statics=events.filter(is_static(static_prefixes)).select("subject_id", "code").unique(),
        daily=whole_days(dated["minutes"]),
        units=units_of(dated),
    )


class _Tokenised(NamedTuple):
    """What tokenising one shard counted."""

    counts: dict[str, int]
    max_repeats: np.ndarray


def _tokenise_shard(
    numbered: tuple[int, Shard], vocabulary: Vocabulary, parents: Mapping[str, Sequence[str]], folder: Path
) -> _Tokenised:
    number, shard = numbered
    part = tokenize_events(read_shard(shard.path), vocabulary, parents)
    write_part(part, str(shard.split), folder / f"{number:06d}")
    return _Tokenised(part.counts, _max_repeats(part.rows, vocabulary))


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
    *,
    freeze: bool,
) -> None:
    folder = run.folder / "parts"
    one = partial(_tokenise_shard, vocabulary=vocabulary, parents=parents, folder=folder)
    done = map_shards(one, list(enumerate(shards)), description="Tokenising", workers=workers)
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
    run.notes["vocabulary_hash"] = vocabulary.hash
    run.notes["resolution_minutes"] = vocabulary.resolution_minutes


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
