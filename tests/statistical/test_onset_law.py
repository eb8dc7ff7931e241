"""Onset hazards of a world whose hazards are known: risks, the effect of a score, and of none.

From the age of 40 on everybody has constant hazards of two diseases, which depend on a code had before, on a
score and on sex, and of death. Who lives to its entry is followed until it leaves or dies. So the risk of
whoever is free of a disease is

    λ / (λ + μ) (1 - exp(-(λ + μ) h)).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import known_law
from proband.core.schema import RISK
from proband.core.units import MINUTES_PER_YEAR
from proband.forecast import forecast
from proband.model.checkpoint import load_model
from proband.tokens import tokens
from proband.tokens.dataset import TokenStore
from proband.train import train
from proband.train.config import OnsetOptions, TrainConfig
from proband.train.onset.queries import draw_dates, read_queries

pytestmark = pytest.mark.slow

SUBJECTS, BEGIN, MOST_YEARS = 36_000, 40.0, 15.0
BETA = 0.4
DEATH_RATE, LEAVING_RATE = 0.02, 0.05
BORN = datetime(1940, 1, 1)
TASK = """
outcomes:
  d: {codes: X//D}
  e: {codes: X//E}
prediction: {years_after_entry: 1}
horizons_years: [5, 10]
"""
CONFIG = TrainConfig(
    depth=1,
    dim=16,
    num_heads=2,
    context=16,
    epochs=1,
    batch_tokens=4096,
    fusion="adapter",
    onset=OnsetOptions(queries=8, networks=1, codes=False),
)


def people(seed: int = 0) -> pl.DataFrame:
    """One row per subject: covariates, hazards, and what happened, ages in years."""
    rng = np.random.default_rng(seed)
    code, female = (rng.random(SUBJECTS) < share for share in (0.5, 0.5))
    score = rng.normal(size=SUBJECTS)
    rates = {
        "d": 0.05 * np.exp(0.7 * code + BETA * score - 0.3 * female),
        "e": 0.025 * np.exp(-0.5 * code + 0.6 * female),
    }
    late = rng.uniform(0, 10, SUBJECTS)
    death = rng.exponential(1 / DEATH_RATE, SUBJECTS)
    while (died := death <= late).any():  # who dies before entry is not in the data
        death[died] = rng.exponential(1 / DEATH_RATE, died.sum())
    leaving = late + np.minimum(rng.exponential(1 / LEAVING_RATE, SUBJECTS), MOST_YEARS)
    ages = {
        "entry": late,
        "death": death,
        "leaving": leaving,
        **{f"age_{name}": rng.exponential(1 / rate) for name, rate in rates.items()},
    }
    return pl.DataFrame(
        {"subject_id": np.arange(1, SUBJECTS + 1), "code": code, "female": female, "score": score}
        | {f"rate_{name}": rate for name, rate in rates.items()}
        | {name: BEGIN + age for name, age in ages.items()}
        | {"permuted": rng.permutation(score)}
    ).with_columns(exit=pl.min_horizontal("death", "leaving"))


def events_of(world: pl.DataFrame) -> pl.DataFrame:
    def at(age: float) -> datetime:
        return BORN + timedelta(days=365.25 * age)

    rows: list[tuple[int, datetime | None, str]] = []
    for person in world.iter_rows(named=True):
        subject, exit_ = person["subject_id"], person["exit"]
        rows.append((subject, None, "Gender//F" if person["female"] else "Gender//M"))
        rows.append((subject, BORN, "MEDS_BIRTH"))
        if person["code"]:
            rows.append((subject, at(30), "X//B"))
        rows.append((subject, at(person["entry"]), "OBSERVATION_PERIOD//START"))
        for name in ("d", "e"):
            if person[f"age_{name}"] <= exit_:
                rows.append((subject, at(person[f"age_{name}"]), f"X//{name.upper()}"))
        end = "MEDS_DEATH" if person["death"] <= person["leaving"] else "OBSERVATION_PERIOD//END"
        rows.append((subject, at(exit_), end))
    schema = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .with_columns(pl.lit(None, pl.Float32).alias("numeric_value"), pl.lit(None, pl.String).alias("unit"))
        .sort("subject_id", "time", nulls_last=False, maintain_order=True)
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The people, the model and its risks of the held-out."""
    root, world = tmp_path_factory.mktemp("onset_law"), people()
    known_law.write_meds(events_of(world), root / "meds")
    tokens(root / "meds", root / "tokens", workers=1)
    (root / "task.yaml").write_text(TASK)
    scores = {"scores": root / "scores.parquet"}
    world.select("subject_id", "score", "permuted").write_parquet(scores["scores"])
    task = root / "task.yaml"
    train(root / "tokens", root / "model", modalities=scores, tasks=[task], config=CONFIG)
    forecast(root / "model", root / "tokens", root / "risk", task=task, modalities=scores, workers=1)
    risk = RISK.read(root / "risk" / "risk.parquet")
    model, store = load_model(root / "model"), TokenStore(root / "tokens")
    return {"world": world, "model": model, "risk": risk, "store": store}


@pytest.mark.parametrize("outcome", ["d", "e"])
def test_mean_risks_of_groups_are_exact(found: dict[str, Any], outcome: str) -> None:
    """Errors of a group's risk: those of its number of onsets in train."""
    group = ["code", "female", "high"]
    world = found["world"].with_columns(high=pl.col("score") > 0, rate=pl.col(f"rate_{outcome}"))
    age = pl.col(f"age_{outcome}")
    onsets = (
        world.head(round(SUBJECTS * 0.7))
        .filter((age > pl.col("entry")) & (age <= pl.col("exit")))
        .group_by(group)
        .agg(pl.len().alias("onsets"))
    )
    total = pl.col("rate") + DEATH_RATE
    exact = pl.col("rate") / total * (1 - (-total * pl.col("horizon_years")).exp())
    groups = (
        found["risk"]
        .filter(outcome=outcome)
        .join(world, on="subject_id")
        .with_columns(exact=exact)
        .group_by(*group, "horizon_years")
        .agg(pl.col("risk", "exact").mean(), pl.len().alias("people"))
        .join(onsets, on=group)
    )
    assert groups.height == 16
    assert groups["people"].min() > 100
    z = (groups["risk"] / groups["exact"]).log() * groups["onsets"].sqrt()
    assert z.abs().max() < 3, z.to_list()  # type: ignore[operator]
    of_all = groups.group_by("horizon_years").agg(pl.col("exact").mean().alias("all"))
    joined = groups.join(of_all, on="horizon_years")
    away = (joined["all"] / joined["exact"]).log() * joined["onsets"].sqrt()
    assert away.abs().max() > 6  # type: ignore[operator]  # one risk for all would be far off


def test_single_risks_follow_the_score(found: dict[str, Any]) -> None:
    joined = found["risk"].filter(outcome="d", horizon_years=10.0).join(found["world"], on="subject_id")
    total = joined["rate_d"] + DEATH_RATE
    exact = joined["rate_d"] / total * (1 - (-10 * total).exp())
    assert np.corrcoef(joined["risk"], exact)[0, 1] > 0.98


def test_the_effect_of_a_score_comes_back_and_a_permuted_one_has_none(found: dict[str, Any]) -> None:
    head = found["model"].onset
    names = [task.name for task in head.config.tasks]
    linear = head.linear_of("scores")
    beta = (linear.beta / linear.sd[:, None]).numpy()
    assert beta[0, names.index("d")] == pytest.approx(BETA, rel=0.1)
    at_ages = linear.by_age[:, names.index("d")].numpy() * beta[0, names.index("d")]
    assert at_ages == pytest.approx(BETA, rel=0.2)  # the same at all ages
    assert np.abs(beta[0, [names.index("e"), names.index("MEDS_DEATH")]]).max() < 0.05
    assert np.abs(beta[1]).max() < 0.05


def test_the_rest_of_the_head_knows_nothing_of_the_score(found: dict[str, Any]) -> None:
    """Least squares of what the record says on the covariates, over held-out subjects at a date each.

    Of who has had d the head is not asked, and is not fitted to say anything.
    """
    store, model = found["store"], found["model"]
    rows, minutes = draw_dates(store, store.rows_of("held_out"), 1, 0, "score")
    queries = read_queries(model, store, {}, rows, minutes, {})
    with torch.no_grad():
        log_ratio = model.onset(queries.batch(np.arange(len(rows)))).mean(dim=-1).double().numpy()
    people = found["world"][store.subject_ids[rows] - 1]
    covariates = ("score", "permuted", "code", "female")
    design = people.select(pl.lit(1.0), *covariates).cast(pl.Float64).to_numpy()
    is_free = people["age_d"].to_numpy() > minutes / MINUTES_PER_YEAR
    effects = np.linalg.lstsq(design[is_free], log_ratio[is_free], rcond=None)[0]
    assert np.abs(effects[1:3]).max() < 0.02
    assert effects[3, 0] == pytest.approx(0.7, abs=0.1)  # the code's, in the record
