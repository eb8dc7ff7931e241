"""What may leave, and what holds no rows of people, has no identifier, date, name of a machine or path."""

from __future__ import annotations

import getpass
import json
import platform
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import known_law
from proband.core.schema import SCORES
from proband.embed import embed
from proband.embed.config import EmbedConfig
from proband.explain import explain
from proband.explain.config import ExplainConfig
from proband.forecast import forecast
from proband.model.folder import FILES
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from proband.train import train
from proband.train.config import OnsetOptions, TrainConfig
from proband.train.finetune import finetune
from proband.train.finetune.config import FinetuneConfig

FIRST_ID = 7_316_254_890_000_000_000
"""Identifiers are this and some hundred more: their leading digits and bytes are nowhere by chance."""
HOST, USER, FOLDER = "enclave-7", "drmarker", "ward-marker"
MARKS = [str(FIRST_ID)[:14].encode(), HOST.encode(), USER.encode(), FOLDER.encode()]
MARKS += [struct.pack("<q", FIRST_ID)[3:], struct.pack(">q", FIRST_ID)[:5]]
A_DAY = re.compile(rb"(?<!\d)(?:18|19|20)\d\d-[01]\d-[0-3]\d")
TASK = "outcomes: {{{}}}\nprediction: {{years_after_entry: 0.5}}\nhorizons_years: [1, 5]\n"
SCENARIO = "scenarios: {never: {changes: [{remove: {prefixes: [X//]}}]}}\n"
RARE = "X//RARE"
"""A code of fewer than 21 subjects."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One tiny run, on a machine and by a user of telling names."""
    root = tmp_path_factory.mktemp(FOLDER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: HOST)
        patch.setattr(platform, "node", lambda: HOST)
        patch.setattr(getpass, "getuser", lambda: USER)
        for name in ("USER", "LOGNAME"):
            patch.setenv(name, USER)
        patch.setenv("HOSTNAME", HOST)
        _make(root)
        yield root


def _make(root: Path) -> None:
    events = known_law.simulate(200, 0).with_columns(pl.col("subject_id") + FIRST_ID)
    few = events.filter(code="MEDS_BIRTH")[:150:10].with_columns(
        pl.lit(RARE).alias("code"), pl.col("time") + pl.duration(days=700)
    )
    known_law.write_meds(
        pl.concat([events, few]).sort("subject_id", "time", maintain_order=True), root / "meds"
    )
    tokens(root / "meds", root / "tokens", config=TokensConfig(), workers=1)
    for name, text in {
        "old.yaml": TASK.format("b: {codes: X//B}"),
        "new.yaml": TASK.format("d: {codes: X//D}"),
        "scenario.yaml": SCENARIO,
    }.items():
        (root / name).write_text(text)
    small = TrainConfig(
        depth=1, dim=16, num_heads=2, context=16, batch_tokens=256, epochs=0.1,
        onset=OnsetOptions(queries=2, networks=1),
    )  # fmt: skip
    genome = _write_genome(root)
    given = {"model": root / "model", "tokens": root / "tokens", "genome": genome}
    train(root / "tokens", root / "model", genome=genome, tasks=[root / "old.yaml"], config=small)
    for mode in ("row", "lora"):
        config = FinetuneConfig(mode=mode, queries=2, epochs=0.3, rank=1)
        finetune(**given, out=root / mode, tasks=[root / "new.yaml"], config=config)
    embed(**given, out=root / "vectors", config=EmbedConfig())
    forecast(**given, out=root / "what_if", task=root / "old.yaml", scenario=root / "scenario.yaml")
    quick = ExplainConfig(reread=4, donors=5, permutations=100)
    explain(**given, out=root / "why", task=root / "old.yaml", config=quick)


def _write_genome(root: Path) -> Path:
    ids = TokenStore(root / "tokens").subject_ids
    scores = {name: [float(at * step % 7) for at in range(len(ids))] for name, step in (("S1", 2), ("S2", 3))}
    (root / "genome").mkdir()
    floats = pl.DataFrame(scores).cast(pl.Float32)
    SCORES.write(floats.insert_column(0, pl.Series("subject_id", ids)), root / "genome" / "scores.parquet")
    (root / "genome" / "scores.json").write_text(json.dumps({name: {"trait": "b"} for name in scores}))
    return root / "genome"


def found_in(path: Path) -> list[bytes]:
    """Marks in a file as it stands and, of a table, as text."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        content += pl.read_parquet(path).write_csv().encode()
    return [mark for mark in MARKS if mark in content]


@pytest.mark.parametrize("model", ["model", "row", "lora"])
def test_a_model_that_may_leave_names_nobody_and_no_place(made: Path, model: str) -> None:
    told = json.loads((made / model / "manifest.json").read_text())["may_leave"]
    for name in FILES:
        assert name in told
        assert not found_in(made / model / name), name
    texts = b"".join((made / model / name).read_bytes() for name in FILES if "safetensors" not in name)
    assert b"X//D" in texts
    assert not A_DAY.search(texts)
    assert RARE.encode() not in texts


@pytest.mark.parametrize("out", ["model", "row", "lora", "vectors", "what_if", "why"])
def test_manifests_and_tables_without_people_name_nobody(made: Path, out: str) -> None:
    for path in (made / out).rglob("*"):
        if not path.is_file():
            continue
        has_people = path.suffix == ".parquet" and "subject_id" in pl.read_parquet_schema(path)
        if has_people:
            continue
        marks = found_in(path)
        assert not marks, (path.name, marks)


def test_what_holds_rows_of_people_says_that_it_stays(made: Path) -> None:
    people = [path.parent for path in made.rglob("*.parquet") if "subject_id" in pl.read_parquet_schema(path)]
    folders = {path for path in people if (path / "manifest.json").is_file()}
    assert {path.name for path in folders} == {"tokens", "vectors", "what_if", "why"}
    assert {"agreement.parquet", "effects.parquet"} <= {path.name for path in (made / "why").iterdir()}
    assert (made / "what_if" / "scenario_summary.parquet").is_file()
    for folder in folders:
        assert json.loads((folder / "manifest.json").read_text())["may_leave"].startswith("no: ")


def test_a_mark_is_found(made: Path) -> None:
    assert MARKS[0] in found_in(made / "vectors" / "embeddings.parquet")
