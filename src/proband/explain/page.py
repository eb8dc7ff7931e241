"""One subject's risks and why they are what they are, as one HTML page without network or script."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import polars as pl
from jinja2 import Environment, StrictUndefined

from proband.core.errors import printable
from proband.core.files.atomic import whole_file
from proband.explain import tables
from proband.explain.attribution.parts import AGE_SEX, CALIBRATION, DEATH, NETWORKS, RECORD, STATE
from proband.explain.figures import risk_curve

TEMPLATE = "page.html"
_OUTCOMES, _ROWS = 6, 5
WORDS = {
    AGE_SEX: "risk of this age and sex",
    RECORD: "codes of the record",
    NETWORKS: "record, by networks",
    STATE: "record, by the transformer's state",
    CALIBRATION: "calibration and level",
    DEATH: "the subject's own hazard of death",
    "genome": "polygenic scores",
}
"""Parts in words; further modalities go by their names."""


@dataclass(frozen=True)
class Bar:
    """One line of a list.

    Attributes:
        text: What it is of.
        value: What it gives, as text.
        size: Width of the bar, percent of the widest.
        up: Whether it raises the risk.
        note: Beside it.
    """

    text: str
    value: str
    size: float
    up: bool
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One outcome."""

    title: str
    summary: str
    parts: list[Bar]
    codes: list[Bar]
    scores: list[Bar]
    without: list[Bar]
    curve: str


def write_page(folder: Path, subject: str) -> None:
    """Write ``page.html`` beside the tables of one subject's explanation.

    Args:
        folder: Where the tables are.
        subject: The subject in words: number, sex, age.
    """
    parts = tables.PARTS.read(folder / "parts.parquet")
    last = float(parts["horizon_years"].to_numpy().max())
    parts = parts.filter(horizon_years=last)
    total = parts.group_by("outcome", maintain_order=True).agg(
        pl.col("risk_points").sum().alias("risk"),
        pl.col("risk_points").filter(pl.col("part") == AGE_SEX).first().alias("age_sex"),
    )
    total = total.with_columns((pl.col("risk") / pl.col("age_sex").clip(1e-12)).alias("ratio"))
    total = total.sort((pl.col("risk") - pl.col("age_sex")).abs(), descending=True)
    sections = [_section(folder, parts, row, last) for row in total[:_OUTCOMES].iter_rows(named=True)]
    rows = [
        (_plain(row["outcome"]), _percent(row["risk"]), _percent(row["age_sex"]), f"{row['ratio']:.2f}")
        for row in total.sort("ratio", descending=True).iter_rows(named=True)
    ]
    content = {"subject": subject, "horizon": f"{last:g}", "rows": rows, "sections": sections}
    with whole_file(folder / TEMPLATE) as temporary:
        temporary.write_text(_render(content), encoding="utf-8")


def _render(content: dict) -> str:
    source = resources.files("proband.explain").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    return environment.from_string(source).render(content)


def _section(folder: Path, parts: pl.DataFrame, row: dict, horizon: float) -> Section:
    outcome, name = row["outcome"], _plain(row["outcome"])
    own = parts.filter(pl.col("part") != AGE_SEX, outcome=outcome)
    words = [WORDS.get(part, part) for part in own["part"]]
    summary = (
        f"{_percent(row['risk'])} within {horizon:g} years; of this age and sex {_percent(row['age_sex'])}."
    )
    return Section(
        name.capitalize(),
        summary,
        _bars(words, own["risk_points"].to_list()),
        _codes(folder, outcome),
        _scores(folder, outcome),
        _without(folder, outcome),
        _curve(folder, outcome, name),
    )


def _codes(folder: Path, outcome: str) -> list[Bar]:
    codes = tables.CODES.read(folder / "codes.parquet").filter(outcome=outcome)
    codes = codes.sort(pl.col("risk_points").abs(), descending=True)[:_ROWS]
    texts = [name or code for code, name in codes.select("code", "name").iter_rows()]
    return _bars(texts, codes["risk_points"].to_list())


def _scores(folder: Path, outcome: str) -> list[Bar]:
    if not (folder / "scores.parquet").is_file():
        return []
    scores = tables.SCORES.read(folder / "scores.parquet").filter(outcome=outcome).sort("rank")[:_ROWS]
    published = {}
    if (folder / "effects.parquet").is_file():
        effects = tables.EFFECTS.read(folder / "effects.parquet").filter(outcome=outcome, ancestry="all")
        published = dict(effects.select("score", "published").drop_nulls().iter_rows())
    notes = []
    for row in scores.iter_rows(named=True):
        known = published.get(row["score"])
        beside = "" if known is None else f", published {known:+.2f}"
        learnt = f"{row['log_hazard_ratio_per_sd']:+.2f}"
        notes.append(f"percentile {row['percentile']:.0f}; log hazard per SD: learnt {learnt}{beside}")
    texts = [name or score for score, name in scores.select("score", "name").iter_rows()]
    return _bars(texts, scores["risk_points"].to_list(), notes)


def _without(folder: Path, outcome: str) -> list[Bar]:
    if not (folder / "without.parquet").is_file():
        return []
    rows = tables.WITHOUT.read(folder / "without.parquet").filter(outcome=outcome)
    rows = rows.with_columns((pl.col("risk") - pl.col("risk_without")).alias("change"))
    rows = rows.sort(pl.col("change").abs(), descending=True)[:_ROWS]
    texts = [name or code for code, name in rows.select("code", "name").iter_rows()]
    notes = [f"{_percent(value)} without it" for value in rows["risk_without"]]
    return _bars(texts, rows["change"].to_list(), notes)


def _curve(folder: Path, outcome: str, name: str) -> str:
    if not (folder / "along.parquet").is_file():
        return ""
    rows = tables.ALONG.read(folder / "along.parquet").filter(outcome=outcome).sort("time")
    return risk_curve(rows, f"Risk of {name} along the record") if rows.height > 1 else ""


def _bars(texts: list[str], values: list[float], notes: list[str] | None = None) -> list[Bar]:
    """Bars of changes of risk, in percentage points."""
    widest = max((abs(value) for value in values), default=0.0) or 1.0
    notes = notes or [""] * len(texts)
    return [
        Bar(text, f"{100 * value:+.2f}", 100 * abs(value) / widest, value > 0, note)
        for text, value, note in zip(texts, values, notes, strict=True)
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%" if value >= 0.01 else f"{100 * value:.2f}%"


def _plain(outcome: str) -> str:
    return outcome.replace("_", " ")
