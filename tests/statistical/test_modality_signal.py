"""A world where scores, a lead variant and a later measurement decide what happens: models find each of them,
and nothing in the same values of other people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.special import softmax

from proband.core.schema import SCORES
from proband.genome import genome
from proband.model.checkpoint import load_model
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows
from proband.tokens.modalities.tables import tables_for
from proband.train import train
from proband.train.config import OnsetOptions, TrainConfig
from small_world import write_splits

pytestmark = pytest.mark.slow

SUBJECTS, YEARS, MEASURED = 1600, 3.0, 0.5
SPLITS = {"train": 800, "tuning": 960, "held_out": 1600}
"""The last subject of each; many are held out, since the gain of a few is mostly noise."""

DAILY = 1 / 180
"""Probability of an event on a day, whatever was before: six events a subject."""

START = datetime(1960, 1, 1)
CODES = ("X//NONE", "X//SCORE", "X//VARIANT", "X//PANEL")
"""The score shifts the log odds of the second code against the first, the variant those of the third, and the
panel, from its age on, those of the fourth."""

CONFIG = TrainConfig(
    depth=1,
    dim=32,
    num_heads=2,
    context=32,
    batch_tokens=512,
    token_budget=512,
    epochs=15,
    dropout=0.0,
    drop_modality=0.05,
    onset=OnsetOptions(enabled=False),
)


@dataclass(frozen=True)
class World:
    """Folders, and the files of every modality: true, and given to other people."""

    root: Path
    true: dict[str, dict[str, Any]]
    permuted: dict[str, dict[str, Any]]


def simulate(
    rng: np.random.Generator, score: np.ndarray, dosage: np.ndarray, panel: np.ndarray
) -> pl.DataFrame:
    rows: list[tuple[int, datetime | None, str]] = []
    for at in range(SUBJECTS):
        subject, day, end = at + 1, 0, round(YEARS * 365.25)
        rows += [(subject, START, "MEDS_BIRTH"), (subject, START, "OBSERVATION_PERIOD//START")]
        while (day := day + int(rng.geometric(DAILY))) <= end:
            known = panel[at] if day >= MEASURED * 365.25 else 0.0
            odds = np.array([0.0, 1.5 * score[at], 1.5 * (dosage[at] - 1), 1.5 * known])
            rows.append((subject, START + timedelta(days=day), str(rng.choice(CODES, p=softmax(odds)))))
        rows.append((subject, START + timedelta(days=end), "OBSERVATION_PERIOD//END"))
    schema = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .with_columns(pl.lit(None, pl.Float32).alias("numeric_value"), pl.lit(None, pl.String).alias("unit"))
        .sort("subject_id", "time", maintain_order=True)
    )


def write_genotypes(folder: Path, dosage: np.ndarray, rng: np.random.Generator) -> Path:
    """The lead variant among three others of no effect, as a genome folder with its dosages."""
    folder.mkdir()
    calls = np.stack([dosage, *rng.binomial(2, 0.4, (3, SUBJECTS))]).astype(int)
    text = [
        "##fileformat=VCFv4.3",
        "##contig=<ID=1>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Call">',
    ]
    names = "\t".join(str(subject) for subject in range(1, SUBJECTS + 1))
    text.append(f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}")
    for number, row in enumerate(calls):
        cells = "\t".join(("0/0", "0/1", "1/1")[call] for call in row)
        text.append(f"1\t{10 + number}\tv{number}\tA\tG\t.\t.\t.\tGT\t{cells}")
    (folder / "calls.vcf").write_text("\n".join(text) + "\n")
    (folder / "scores").mkdir()
    score = "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n1\t11\tG\tA\t1\n"
    (folder / "scores" / "PGS9.txt").write_text(score)
    (folder / "lead.txt").write_text("v0\nv2\nv3\n")
    genome(folder / "calls.vcf", folder / "scores", folder / "genome", variants=folder / "lead.txt")
    return folder / "genome" / "dosages.parquet"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root, rng = tmp_path_factory.mktemp("signal"), np.random.default_rng(0)
    score, dosage, panel = (
        rng.normal(size=SUBJECTS),
        rng.binomial(2, 0.5, SUBJECTS),
        rng.normal(size=SUBJECTS),
    )
    events, begin = simulate(rng, score, dosage, panel), 0
    parts = {}
    for split, end in SPLITS.items():
        parts[split], begin = events.filter(pl.col("subject_id").is_between(begin + 1, end)), end
    write_splits(root / "meds", **parts)
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    files = []
    for name, order in (("true", np.arange(SUBJECTS)), ("permuted", rng.permutation(SUBJECTS))):
        folder = root / name
        (folder / "pgs").mkdir(parents=True)
        noise = rng.normal(size=(3, SUBJECTS))
        columns = {"PGS1": score[order], "PGS2": noise[0], "PGS3": noise[1]}
        ids = {"subject_id": np.arange(1, SUBJECTS + 1)}
        frame = pl.DataFrame(ids | {key: value.astype(np.float32) for key, value in columns.items()})
        SCORES.write(frame, folder / "pgs" / "scores.parquet")
        measured = pl.DataFrame(ids | {"age_years": [MEASURED] * SUBJECTS, "p": panel[order], "q": noise[2]})
        measured.write_parquet(folder / "panel.parquet")
        dosages = write_genotypes(folder / "calls", dosage[order], rng)
        files.append(
            {
                "score": {"genome": folder / "pgs"},
                "variant": {"modalities": {"variants": dosages}},
                "panel": {"modalities": {"panel": folder / "panel.parquet"}},
            }
        )
    train(root / "tokens", root / "none", config=CONFIG)
    return World(root, *files)


def subject_nats(model: Path, store: TokenStore, given: dict[str, Any]) -> np.ndarray:
    """Nats of the events of every held-out subject."""
    files = dict(given.get("modalities", {}))
    if "genome" in given:
        files["genome"] = given["genome"] / "scores.parquet"
    loaded = load_model(model)
    rows = store.rows_of("held_out")
    batch = load_batch(
        store, make_windows(store, rows, 32), tables_for(loaded.config.modalities, store, files)
    )
    with torch.no_grad():
        terms = loaded(batch)
    nats = torch.zeros(len(batch.rows)).index_add_(0, terms.rows, terms.event_when + terms.event_what)
    return np.bincount(np.searchsorted(rows, batch.rows.numpy()), weights=nats.numpy(), minlength=len(rows))


def gain(world: World, name: str, fusion: str, given: dict[str, Any]) -> tuple[float, float]:
    """Held-out nats per subject saved by a modality, and in standard errors of their mean over subjects."""
    store = TokenStore(world.root / "tokens")
    out = world.root / f"{name}_{fusion}"
    train(world.root / "tokens", out, config=CONFIG.model_copy(update={"fusion": fusion}), **given)
    saved = subject_nats(world.root / "none", store, {}) - subject_nats(out, store, given)
    found = float(saved.mean()), float(saved.mean() / (saved.std(ddof=1) / len(saved) ** 0.5))
    print(f"{name} {fusion}: {found[0]:.3f} nats per subject, {found[1]:.1f} standard errors")
    return found


@pytest.mark.parametrize("fusion", ["prefix", "adapter"])
def test_scores_are_found_by_every_fusion(world: World, fusion: str) -> None:
    assert gain(world, "score", fusion, world.true["score"])[1] > 4


@pytest.mark.parametrize("name", ["score", "variant", "panel"])
def test_each_modality_is_found_and_that_of_other_people_shows_nothing(world: World, name: str) -> None:
    true, errors = gain(world, name, "cross_attention", world.true[name])
    assert errors > 4
    # Standard errors over subjects leave out that no two trainings end alike, so nothing is a tenth of it.
    other, _ = gain(world, f"{name}_permuted", "cross_attention", world.permuted[name])
    assert abs(other) < true / 10
