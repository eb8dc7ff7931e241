"""Learnt effects beside those of Cox models: a true effect comes back, of permuted genomes nothing does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from threadpoolctl import threadpool_limits

from onset_world import part_of
from proband.core.errors import DataError
from proband.explain.alignment.agreement import agreement_frame, correlations, strongest
from proband.explain.alignment.effects import alone, effects_frame, related
from proband.explain.alignment.published import PublishedEffect, read_published
from proband.explain.attribution.standard import Standard
from proband.explain.inputs import Asked, Names
from proband.explain.tables import AGREEMENT, EFFECTS
from proband.forecast.job import one_thread
from proband.forecast.risk import Points
from proband.model.config import OnsetConfig, OnsetTask
from proband.model.onset.head import OnsetHead
from proband.tokens.history.summary import SummaryLayout
from proband.tokens.modalities.modality import GENOME, ModalityTable
from proband.train.onset.fit import Part
from proband.train.onset.incidence import log_rates
from proband.train.onset.terms.linear import fit_linear
from small_world import GENOME as SHAPE
from small_world import HandStore, Record, random_model

NUM_SCORES, EFFECT, YEAR = 12, 0.6, 525_960
ENTRY, EXIT = 40 * YEAR, 55 * YEAR
OUTCOMES = ("alpha", "beta", "gamma")
TRAITS = {f"S{at}": name for at, name in enumerate(OUTCOMES)}


def people(number: int, split: str, rng: np.random.Generator) -> tuple[list[Record], np.ndarray]:
    """Records whose outcome k has a log hazard of EFFECT times score k."""
    z = rng.normal(size=(number, NUM_SCORES))
    wait = rng.exponential(size=(number, len(OUTCOMES))) / (0.02 * np.exp(EFFECT * z[:, : len(OUTCOMES)]))
    onset = ENTRY + np.floor(wait * YEAR).astype(int) + 1
    records = []
    for row in onset:
        at = [(int(minute), 2 + k) for k, minute in enumerate(row) if minute <= EXIT]
        ages, tokens = [one for one, _ in sorted(at)], [one for _, one in sorted(at)]
        records.append(Record(tokens, ages, entry=ENTRY, exit=EXIT, split=split))
    return records, z


@pytest.fixture(scope="module")
def biobank() -> tuple[HandStore, np.ndarray]:
    rng = np.random.default_rng(0)
    parts = [people(900, "train", rng), people(300, "tuning", rng)]
    store = HandStore([record for records, _ in parts for record in records])
    return store, np.concatenate([z for _, z in parts])


def table_of(z: np.ndarray) -> ModalityTable:
    names = tuple(f"S{at}" for at in range(NUM_SCORES))
    return ModalityTable(z.astype(np.float32), np.zeros(len(z), np.int64), np.arange(len(z) + 1), names)


def asked_of(store: HandStore, learnt: np.ndarray, true: np.ndarray) -> Asked:
    """A model trained on one set of genomes, asked with another."""
    shape = SHAPE[GENOME].model_copy(update={"width": NUM_SCORES, "names": tuple(TRAITS)})
    model = random_model(fusion="prefix", modalities={GENOME: shape})
    tasks = tuple(OnsetTask(name=name, tokens=(2 + at,)) for at, name in enumerate(OUTCOMES))
    layout = SummaryLayout.of(store.vocabulary)
    size = {"num_features": layout.num_features, "linear": {GENOME: NUM_SCORES}}
    head = model.attach_onset(OnsetConfig(tasks=tasks, num_named=len(tasks), **size))
    head.log_rate.copy_(log_rates(store, tasks))
    train, tuning = (part(store, head, split, learnt) for split in ("train", "tuning"))
    with one_thread():
        fit_linear(head, train, tuning, torch.device("cpu"))
    points = Points(np.zeros(0, np.int64), np.zeros(0, np.int64), pl.DataFrame(), np.zeros((0, 3), bool))
    names = Names({}, {}, TRAITS)
    tables = {GENOME: table_of(true)}
    return Asked(
        model, head, store, tables, points, OUTCOMES, tuple(range(len(tasks))), None, (10.0,), 0.0, names
    )


def part(store: HandStore, head: OnsetHead, split: str, z: np.ndarray) -> Part:
    rows = store.rows_of(split)
    found = part_of(store, rows, np.full(len(rows), ENTRY), head)
    return Part(replace(found.queries, tables={GENOME: table_of(z)}), found.followed)


def frames(store: HandStore, learnt: np.ndarray, true: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame]:
    asked = asked_of(store, learnt, true)
    rows = np.arange(len(store))
    standard = Standard.of(asked.head, store, GENOME, asked.tables[GENOME])
    published = [PublishedEffect(name, "", EFFECT, None, "here") for name in OUTCOMES]
    labels = ["X" if row % 3 else None for row in rows]
    with threadpool_limits(1):
        correlation = standard.correlations()
        effects = effects_frame(
            asked, standard, correlation, rows, np.zeros((len(rows), 0)), labels, published
        )
    EFFECTS.check(effects, "effects")
    return effects, AGREEMENT.check(agreement_frame(effects, correlation, 200, 0), "agreement")


def test_a_true_effect_comes_back(biobank: tuple[HandStore, np.ndarray]) -> None:
    effects, agreement = frames(*biobank, biobank[1])
    own = effects.filter("is_own", ancestry="all")
    assert own["score"].to_list() == ["S0", "S1", "S2"]
    for name in ("log_hazard_ratio", "log_hazard_ratio_alone", "cox"):
        assert own[name].to_list() == pytest.approx([EFFECT] * 3, abs=0.15)
    assert own["published"].to_list() == [EFFECT] * 3
    assert (own["cox_q"] < 1e-6).all()
    others = effects.filter(~pl.col("is_own"), ancestry="all")
    assert (others["cox"].abs() < 4 * others["cox_standard_error"]).all()
    of = {row["statistic"]: row for row in agreement.filter(outcome="all").iter_rows(named=True)}
    assert of["correlation_with_cox"]["low"] > 0.2
    assert of["correlation_with_cox"]["p"] < 0.01
    assert of["precision_at_5"]["value"] == pytest.approx(0.2)
    assert of["precision_at_5_by_chance"]["value"] == pytest.approx(5 / 12 / 5, abs=0.02)
    assert of["ratio_of_own_to_published"]["value"] == pytest.approx(1, abs=0.2)
    assert of["share_of_same_sign"]["value"] == 1.0
    assert effects.filter(ancestry="X")["num_cases"].max() < own["num_cases"].min()  # type: ignore[operator]


def test_of_permuted_genomes_nothing_agrees(biobank: tuple[HandStore, np.ndarray]) -> None:
    store, z = biobank
    shuffled = z[np.random.default_rng(1).permutation(len(z))]
    _, agreement = frames(store, shuffled, z)
    of = {row["statistic"]: row for row in agreement.filter(outcome="all").iter_rows(named=True)}
    row = of["correlation_with_cox"]
    assert row["value"] is None or (row["low"] < 0 < row["high"] and row["p"] > 0.05)
    assert of["precision_at_5"]["p"] > 0.05
    assert abs(of["ratio_of_own_to_cox"]["value"]) < 0.15


def noise(rng: np.random.Generator, loadings: np.ndarray, known: np.ndarray) -> dict[str, dict]:
    """Agreement with known effects of a model whose effects are noise, of scores that share factors."""
    correlation = loadings @ loadings.T
    spread = np.sqrt(np.diag(correlation))
    correlation /= spread[:, None] * spread
    learnt = rng.normal(size=known.shape)
    numbers = {
        "log_hazard_ratio": learnt,
        "log_hazard_ratio_alone": correlation @ learnt,
        "cox": correlation @ known,
        "cox_q": np.full_like(known, np.nan),
        "published": np.full_like(known, np.nan),
        "is_own": np.zeros_like(known),
        "is_related": np.zeros_like(known),
    }
    names = {
        "outcome": np.repeat([f"o{at}" for at in range(known.shape[1])], len(known)),
        "score": np.tile([f"s{at}" for at in range(len(known))], known.shape[1]),
    }
    columns = names | {name: values.T.reshape(-1) for name, values in numbers.items()}
    effects = pl.DataFrame(columns).with_columns(ancestry=pl.lit("all"))
    frame = agreement_frame(effects, correlation, 200, 0)
    return {row["statistic"]: row for row in frame.filter(outcome="all").iter_rows(named=True)}


def test_noise_of_scores_that_go_together_agrees_as_often_as_p_says() -> None:
    rng = np.random.default_rng(0)
    loadings = np.hstack([rng.normal(size=(40, 3)), 0.7 * np.eye(40)])
    found = [noise(rng, loadings, rng.normal(size=(40, 6))) for _ in range(60)]
    p = np.array([one["correlation_with_cox"]["p"] for one in found])
    assert 0.01 <= (p < 0.1).mean() <= 0.23
    assert 0.01 <= (p > 0.9).mean() <= 0.23
    chance = [one["correlation_with_cox_by_chance"] for one in found]
    within = [row["low"] <= one["correlation_with_cox"]["value"] <= row["high"]
              for row, one in zip(chance, found, strict=True)]  # fmt: skip
    assert 0.85 <= np.mean(within) <= 0.999
    # What an interval by resampling scores one by one does not give.
    excluded = [
        not one["correlation_with_cox"]["low"] <= 0 <= one["correlation_with_cox"]["high"] for one in found
    ]
    assert np.mean(excluded) > 0.3


def test_alone_is_the_effect_with_others_at_their_mean_given_it() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=4000)
    z = np.column_stack([first, 0.5 * first + rng.normal(size=4000), np.zeros(4000)])
    assert alone(z, np.array([0.0, 1.0, 0.0])) == pytest.approx([0.5, 1.0, 0.0], abs=0.05)


def test_related_scores_and_the_strongest() -> None:
    matrix = np.array([[1, 0.3, 0.1], [0.3, 1, 0], [0.1, 0, 1]])
    assert related(matrix, np.array([True, False, False])).tolist() == [False, True, False]
    assert not related(matrix, np.zeros(3, dtype=bool)).any()
    learnt = np.array([[0.0, 0.1], [-0.4, 0.0], [0.2, 0.0]])
    assert strongest(learnt, 2).tolist() == [[False, True], [True, False], [True, False]]


def test_correlations_of_every_draw() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 20, 3))
    second[4, 1] = np.nan
    known = np.isfinite(second)
    order = np.stack([np.arange(20), rng.permutation(20)])
    found = correlations(first, second, order, np.arange(20)[None])
    expected = [np.corrcoef(first[one][known], second[known])[0, 1] for one in order]
    assert found == pytest.approx(expected)
    both = correlations(first, second, order, order)
    assert both == pytest.approx([expected[0]] * 2)
    assert np.isnan(correlations(first, np.full_like(second, np.nan), order, order)).all()


def test_published_effects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "published.tsv"
    path.write_text("outcome\tscore\tlog_hazard_ratio\tsource\nalpha\t\t0.5\tx\nother\tS1\t0.1\tNA\n")
    assert read_published(path, OUTCOMES) == [PublishedEffect("alpha", "", 0.5, None, "x")]
    assert "1 published effects are of other outcomes" in capsys.readouterr().err
    frame = pl.DataFrame({"outcome": ["beta"], "log_hazard_ratio": [0.1], "standard_error": [0.02]})
    frame.write_parquet(tmp_path / "published.parquet")
    assert read_published(tmp_path / "published.parquet", OUTCOMES)[0].standard_error == 0.02


def test_published_effects_of_scores_that_the_model_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "published.csv"
    path.write_text("outcome,score,log_hazard_ratio\nalpha,PGS01,0.5\nalpha,PGS2,0.1\nbeta,,0.2\n")
    kept = read_published(path, OUTCOMES, ("PGS1", "PGS2"))
    assert [effect.score for effect in kept] == ["PGS2", ""]
    said = capsys.readouterr().err
    assert "1 published effects are of scores that the model does not read" in said
    assert "first PGS01 (did you mean PGS1" in said
    path.write_text("outcome,score,log_hazard_ratio\nalpha,PGS01,0.5\n")
    with pytest.raises(DataError, match=r"^no published effect of a score of the model; .*did you mean PGS1"):
        read_published(path, OUTCOMES, ("PGS1", "PGS2"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outcome,effect\nalpha,1\n", r"^no column log_hazard_ratio; in .*found columns outcome, effect"),
        (
            "outcome,log_hazard_ratio\nalpha,big\n",
            r"^log_hazard_ratio is no number; .*'big' in the row of alpha",
        ),
        ("outcome,log_hazard_ratio\nalpha,\n", r"^no log_hazard_ratio; .*in the row of alpha"),
        ("outcome,log_hazard_ratio\nalpa,1\n", r"^no published effect of an outcome .*did you mean alpha\?"),
        ("outcome,log_hazard_ratio\n", r"^no published effect of an outcome explained; in .*found no row"),
    ],
)
def test_an_unusable_table_of_published_effects(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "published.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_published(tmp_path / "published.csv", OUTCOMES)
