"""What one model gains on another over all outcomes together: paired on people, with one interval.

Every replicate draws people with replacement, the same for all outcomes and models, so that the interval of a
mean over outcomes knows that the same people stand in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.core.errors import DataError
from proband.core.files.manifest import manifest_if_any
from proband.core.seeds import generator
from proband.ehr.meds.kinship import Families, clusters_of
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.metrics.censoring import CASE, CENSORED, censoring_weights, horizon_status
from proband.evaluate.metrics.compare import interval
from proband.evaluate.metrics.discrimination import auroc_and_auprc, rank
from proband.evaluate.selection.landmarks import early_enough, end_of_data, landmarks

METRICS = ("auroc", "auprc")
_KEY = ["subject_id", "prediction_time", "outcome"]


class Gain(NamedTuple):
    """Mean difference over outcomes with its 95% interval, and how many outcomes."""

    value: float
    low: float
    high: float
    num_outcomes: int


@dataclass(frozen=True)
class PairedRisks:
    """Risks of several models for the same people, beside what happened.

    Attributes:
        rows: Per outcome the labels with a column of risks for each model.
        horizon_years: Of the risks.
        replicates: Weights of subjects in each replicate, the sample itself first.
        subjects: Subject of each column of ``replicates``, ascending.
    """

    rows: Mapping[str, pl.DataFrame]
    horizon_years: float
    replicates: Float[np.ndarray, "replicates subjects"]
    subjects: Int[np.ndarray, " subjects"]

    @classmethod
    def read(
        cls,
        results: Path,
        risks: Sequence[Path],
        horizon_years: float,
        replicates: int,
        seed: int,
        families: Families | None = None,
    ) -> PairedRisks:
        """Join RiskTables with the labels of a results folder.

        Args:
            results: Folder of ``proband evaluate``; its baselines are read too, and people of the split
                that it judged are compared.
            risks: RiskTable files; the first says which people and outcomes are compared.
            horizon_years: Horizon.
            replicates: Bootstrap replicates.
            seed: Seed of the draws.
            families: Drawn as one; default each subject by itself.
        """
        files = [*risks, *sorted((results / "baselines").glob("*.parquet"))]
        columns = [*_KEY, "horizon_years", "model", "risk"]
        parts = [
            pl.read_parquet(file, columns=columns).filter(pl.col("horizon_years") == horizon_years)
            for file in files
        ]
        asked = parts[0].select(_KEY).unique()  # an oracle answers for people of every split
        wide = pl.concat(parts).join(asked, on=_KEY, how="semi").pivot(on="model", index=_KEY, values="risk")
        split = manifest_if_any(results).get("config", {}).get("split", EvaluateConfig().split)
        labels = pl.read_parquet(results / "labels.parquet").filter(split=split)
        joined = labels.join(wide, on=_KEY, how="inner", maintain_order="left")
        end = end_of_data(labels)
        rows = {
            str(name[0]): part.filter(early_enough(part, horizon_years, end))
            for name, part in joined.partition_by("outcome", as_dict=True).items()
        }
        subjects = joined["subject_id"].unique().sort().to_numpy()
        return cls(rows, horizon_years, drawn(subjects, families, replicates, seed), subjects)

    def with_cases(self, least: int, models: Sequence[str]) -> list[str]:
        """Outcomes with so many cases by the horizon that all models have risks of, most cases first.

        A risk that is null or not finite counts as absent.
        """
        number = {
            name: int((self.status(rows) == CASE).sum())
            for name, rows in self.rows.items()
            if all(self.is_complete(name, model) for model in models)
        }
        return [name for name in sorted(number, key=lambda one: (-number[one], one)) if number[name] >= least]

    def is_complete(self, outcome: str, model: str) -> bool:
        """Whether a model has a finite risk for each of an outcome's rows; of a model or outcome that is not
        there, none."""
        rows = self.rows.get(outcome)
        return rows is not None and model in rows.columns and not _absent(rows[model]).any()

    def risks_of(self, outcome: str, model: str) -> Float[np.ndarray, " rows"]:
        """Risks of a model, one for each of an outcome's rows.

        Raises:
            DataError: The model has no risk for some of them, or one that is not finite: it has no rank.
        """
        rows = self.rows[outcome]
        number = int(_absent(rows[model]).sum()) if model in rows.columns else rows.height
        if number or model not in rows.columns:
            raise DataError(
                "a model without a risk for everybody",
                where=f"{outcome} at {self.horizon_years:g} years, model {model}",
                found=f"{number:,} of {rows.height:,} rows without a finite risk",
                expected="a finite risk in each row",
                remedy="forecast for the same people, or leave out this model or outcome",
            )
        return rows[model].to_numpy()

    def weights(self, outcome: str) -> Float[np.ndarray, "replicates rows"]:
        """How often the subject of each of an outcome's rows was drawn in each replicate."""
        place = np.searchsorted(self.subjects, self.rows[outcome]["subject_id"].to_numpy())
        return np.take(self.replicates, place, axis=1)

    def areas(self, outcome: str, model: str) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and AUPRC of every replicate, weighted for censoring.

        Raises:
            DataError: See :meth:`risks_of`.
        """
        return self._areas(outcome, [model])[model]

    def _areas(self, outcome: str, models: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        rows, weights = self.rows[outcome], self.weights(outcome)
        weights = weights * self.censoring(rows, weights)
        case = self.status(rows) == CASE
        return {
            model: auroc_and_auprc(rank(self.risks_of(outcome, model), case), weights) for model in models
        }

    def gain(self, outcomes: Sequence[str], model: str, other: str, metric: str = "auroc") -> Gain:
        """Mean over outcomes of the metric (auroc or auprc) of ``model`` less that of ``other``.

        Raises:
            DataError: There is no outcome, or a model has no finite risk for some row of one.
        """
        if not outcomes:
            expected = "an outcome that both have risks of"
            raise DataError(
                "no outcome to compare models on", found=f"{model} and {other}", expected=expected
            )
        return self.gains({(model, other): outcomes})[model, other][METRICS.index(metric)]

    def gains(
        self, outcomes: Mapping[tuple[str, str], Sequence[str]]
    ) -> dict[tuple[str, str], tuple[Gain, Gain]]:
        """The gains in AUROC and AUPRC of several pairs, each outcome and model judged once.

        Args:
            outcomes: Model and the one it is compared with -> outcomes over which the mean is taken; pairs
                without any are left out.

        Raises:
            DataError: See :meth:`risks_of`.
        """
        wanted = {pair: names for pair, names in outcomes.items() if names}
        each: dict[tuple[str, str], list[np.ndarray]] = {pair: [] for pair in wanted}
        for outcome in dict.fromkeys(name for names in wanted.values() for name in names):
            pairs = [pair for pair, names in wanted.items() if outcome in names]
            areas = self._areas(outcome, list(dict.fromkeys(model for pair in pairs for model in pair)))
            for model, other in pairs:
                each[model, other].append(np.subtract(areas[model], areas[other]))
        return {pair: _means(found) for pair, found in each.items()}

    def status(self, rows: pl.DataFrame) -> np.ndarray:
        """What is known of each row at the horizon."""
        return horizon_status(rows["time_years"].to_numpy(), rows["event"].to_numpy(), self.horizon_years)

    def censoring(self, rows: pl.DataFrame, weights: np.ndarray) -> np.ndarray:
        """Inverse probability of censoring weights, 0 for the censored."""
        time, event = rows["time_years"].to_numpy(), rows["event"].to_numpy()
        found = censoring_weights(time, event, self.horizon_years, weights, landmarks(rows))
        return found * (self.status(rows) != CENSORED)


def drawn(
    subjects: Int[np.ndarray, " subjects"], families: Families | None, replicates: int, seed: int
) -> Float[np.ndarray, "replicates subjects"]:
    """How often each subject is there in the sample, which is once, and in each replicate.

    Args:
        subjects: Them; others get other draws.
        families: Drawn as one; None for each subject by itself.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.
    """
    clusters, own = np.unique(clusters_of(subjects, families), return_inverse=True)
    chances = np.full(len(clusters), 1 / len(clusters))
    found = generator(seed, "gain").multinomial(len(clusters), chances, replicates)[:, own]
    return np.vstack([np.ones(len(subjects)), found])


def _absent(risk: pl.Series) -> pl.Series:
    """Which risks are null or not finite."""
    return ~risk.cast(pl.Float64).fill_null(float("nan")).is_finite()


def _means(differences: Sequence[np.ndarray]) -> tuple[Gain, Gain]:
    """Mean over outcomes of differences in AUROC and AUPRC, shape (2, replicates), each with its interval."""
    auroc, auprc = (
        Gain(float(one[0]), *interval(one[1:]), len(differences)) for one in np.mean(differences, axis=0)
    )
    return auroc, auprc


def genome_sentence(gain: Gain, horizon_years: float) -> str:
    """What the genome added, in words.

    >>> genome_sentence(Gain(0.02, 0.01, 0.03, 9), 10.0)
    'The genome added 0.020 to the AUROC of 10-year risk, mean over 9 outcomes (95% interval 0.010 to 0.030).'
    """
    where = (
        f"the AUROC of {horizon_years:g}-year risk, mean over {gain.num_outcomes} outcomes "
        f"(95% interval {gain.low:.3f} to {gain.high:.3f})."
    )
    if gain.low > 0:
        return f"The genome added {gain.value:.3f} to {where}"
    if gain.high < 0:
        return f"The genome took {-gain.value:.3f} from {where}"
    return f"The genome added nothing that can be told from chance: {gain.value:+.3f} to {where}"
