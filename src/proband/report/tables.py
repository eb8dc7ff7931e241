"""Tables of the report: rows of finished text, nothing in them that may not leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from proband.evaluate.panel.multiplicity import FAMILY

MOST_ROWS = 2000
"""Of a table on the page, or of tables alike: longer ones are not read there, and take a megabyte."""
SPLIT_NAMES = {"train": "train", "tuning": "tuning", "held_out": "held out"}


@dataclass(frozen=True)
class TextTable:
    """A table ready for the page.

    Attributes:
        header: Column titles; the first ``num_labels`` columns are left-aligned text, the others numbers.
        rows: Cells, as many as titles.
        num_labels: Leading columns that are text.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_labels: int = 1


_ABBREVIATIONS = {"copd": "COPD", "ckd": "CKD", "ibd": "IBD", "alzheimers": "Alzheimer's"}


def plain(name: str) -> str:
    """An outcome's name for reading.

    >>> plain("type_2_diabetes"), plain("copd")
    ('Type 2 diabetes', 'COPD')
    """
    text = " ".join(_ABBREVIATIONS.get(word, word) for word in name.replace("_", " ").split())
    return text[:1].upper() + text[1:]


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A number with a true minus; a dash for null.

    >>> number(-0.0123, sign=True), number(None)
    ('−0.012', '–')
    """
    if value is None:
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def percent(value: float | None) -> str:
    """A share with one digit after the point.

    >>> percent(0.0314)
    '3.1%'
    """
    return "–" if value is None else f"{100 * value:.1f}%"


def with_interval(row: Mapping, digits: int = 3, sign: bool = False) -> str:
    """Value and 95% interval of a row of the metrics or differences."""
    value, low, high = row.get("value", row.get("difference")), row.get("low"), row.get("high")
    between = " to " if sign or (low is not None and low < 0) else "–"
    return interval(value, low, high, digits, sign, between)


def interval(
    value: float | None,
    low: float | None,
    high: float | None,
    digits: int = 3,
    sign: bool = False,
    between: str = " to ",
) -> str:
    """A value with the ends of its interval, if it has one; a dash for null.

    >>> interval(0.5, -0.1, 1.0, digits=1), interval(0.5, None, None), interval(None, None, None)
    ('0.5 (−0.1 to 1.0)', '0.500', '–')
    """
    if value is None or low is None or high is None:
        return number(value, digits, sign)
    return f"{number(value, digits, sign)} ({number(low, digits, sign)}{between}{number(high, digits, sign)})"


METRIC_COLUMNS = (
    ("auroc", "AUROC", 3),
    ("auroc_within_age_sex", "AUROC within age and sex", 3),
    ("auprc", "AUPRC", 3),
    ("brier", "Brier", 3),
    ("brier_scaled", "Scaled Brier", 3),
)
CALIBRATION_COLUMNS = (
    ("calibration_slope", "Slope", 2),
    ("observed_expected", "Obs. / exp.", 2),
    ("ici", "ICI", 3),
    ("ici_if_perfect", "ICI if perfect", 3),
    ("e50", "E50", 3),
    ("e90", "E90", 3),
)


def metric_table(
    metrics: pl.DataFrame, columns: Sequence[tuple[str, str, int]] = METRIC_COLUMNS
) -> TextTable:
    """One row per model with intervals; ``metrics`` are those of one outcome and one horizon."""
    rows = []
    for model in metrics["model"].unique(maintain_order=True):
        mine = {row["metric"]: row for row in metrics.filter(model=model).iter_rows(named=True)}
        rows.append([model, *(with_interval(mine.get(key, {}), digits) for key, _, digits in columns)])
    return TextTable(["Model", *(title for _, title, _ in columns)], rows)


_P_VALUES = {"p_value": "p", "q_value": "q", "p_value_max_t": "p max-T"}


def num_adjusted(differences: pl.DataFrame) -> int:
    """Most outcomes over which p values were adjusted together; 0 without any.

    Args:
        differences: Of all outcomes; those of one metric, horizon and pair are adjusted together.
    """
    tested = differences.drop_nulls("q_value")
    return 0 if tested.is_empty() else int(tested.group_by(FAMILY).len()["len"].max())  # type: ignore[arg-type]


def difference_table(differences: pl.DataFrame, adjusted: bool = False) -> TextTable:
    """Each pair of models of one outcome and horizon: the later named minus the earlier, with p values.

    Args:
        differences: Of one outcome and horizon.
        adjusted: Give p values adjusted over the outcomes beside, where there are any.
    """
    kinds = {
        name: title
        for name, title in _P_VALUES.items()
        if name == "p_value" or (adjusted and differences[name].null_count() < differences.height)
    }
    rows = []
    for a, b in differences.select("model_a", "model_b").unique(maintain_order=True).iter_rows():
        mine = {row["metric"]: row for row in differences.filter(model_a=a, model_b=b).iter_rows(named=True)}
        cells = []
        for metric, digits in (("auroc", 3), ("auprc", 3), ("brier", 4)):
            row = mine.get(metric, {})
            cells += [
                with_interval(_turned(row), digits, sign=True),
                *(p_value(row.get(name)) for name in kinds),
            ]
        rows.append([f"{b} − {a}", *cells])
    titles = [title for metric in ("AUROC", "AUPRC", "Brier") for title in (metric, *kinds.values())]
    return TextTable(["Difference", *titles], rows)


def _turned(row: Mapping) -> dict:
    """A difference the other way round."""
    turned = {"difference": row.get("difference"), "low": row.get("high"), "high": row.get("low")}
    return {name: None if value is None else -value for name, value in turned.items()}


def p_value(value: float | None) -> str:
    """A p value; never 0.

    >>> p_value(0.0004), p_value(0.25)
    ('<0.001', '0.250')
    """
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
