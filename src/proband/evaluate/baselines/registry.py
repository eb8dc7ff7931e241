"""The baselines there are: each an entry with its name, a title, what it needs and what fits it.

Adding one is a file with a function from :class:`~proband.evaluate.baselines.inputs.Inputs` to a RiskTable,
and one call of :func:`register`, here or in that file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.running.progress import say
from proband.evaluate.baselines import age_sex, tuning
from proband.evaluate.baselines.inputs import Inputs
from proband.evaluate.baselines.records import boosting, logistic, phers
from proband.evaluate.baselines.scores import late_fusion, pgs_logistic
from proband.evaluate.config import ALL, NONE

NEEDS: dict[str, Callable[[Inputs], bool]] = {
    "--tokens": lambda given: given.tokens is not None,
    "--genome": lambda given: given.scores is not None,
    "a tuning split": lambda given: not given.tuning.is_empty(),
    "--fusion-risks": lambda given: given.fusion_risks is not None,
}
"""What a baseline may need -> whether it is there."""


@dataclass(frozen=True)
class Baseline:
    """One baseline.

    Attributes:
        name: Of its RiskTable's model.
        title: What it is, in a few words.
        fit: Gives its RiskTable.
        needs: Keys of :data:`NEEDS`.
        also: A further name that it may give its model.
        is_reference: Whether every model's net benefit is compared with it.
    """

    name: str
    title: str
    fit: Callable[[Inputs], pl.DataFrame]
    needs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    is_reference: bool = False


BASELINES: dict[str, Baseline] = {}
"""Name -> baseline, in the order in which they are fitted."""


def register(baseline: Baseline) -> Baseline:
    """Add a baseline.

    Raises:
        ValueError: The name is taken.
    """
    if baseline.name in model_names():
        raise ValueError(f"the baseline {baseline.name} is registered twice")
    BASELINES[baseline.name] = baseline
    return baseline


def model_names() -> list[str]:
    """Names of the baselines' models, which no other model may have."""
    return [name for baseline in BASELINES.values() for name in (baseline.name, *baseline.also)]


def references() -> list[str]:
    """Names of the models with which net benefit is compared."""
    return [name for one in BASELINES.values() if one.is_reference for name in (one.name, *one.also)]


def chosen(names: Iterable[str]) -> list[Baseline]:
    """The baselines asked for, in the registry's order.

    Args:
        names: Names, or ``all``, or ``none``, alone.

    Raises:
        ConfigError: A name is none of the registry's.
    """
    wanted = list(names)
    for name in wanted:
        if name not in BASELINES and not (name in (ALL, NONE) and len(wanted) == 1):
            expected = f"{ALL}, {NONE}, or names among {', '.join(BASELINES)}"
            remedy = near_matches(name, BASELINES)
            raise ConfigError("unusable --baselines", found=name, expected=expected, remedy=remedy)
    return [one for one in BASELINES.values() if wanted == [ALL] or one.name in wanted]


def fit_baselines(inputs: Inputs, names: Iterable[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the name and RiskTable of each baseline asked for that has what it needs.

    Of ``all``, those that lack something are left out, and a line says so.

    Raises:
        DataError: There is no train split.
        ConfigError: A baseline asked for by name lacks something.
    """
    wanted = list(names)
    fitted = chosen(wanted)
    if fitted and inputs.train.is_empty():
        remedy = f"pass --baselines {NONE}, or MEDS with a train split"
        raise DataError("no train subject for the baselines", where=inputs.meds, remedy=remedy)
    absent = [need for need, is_met in NEEDS.items() if not is_met(inputs)]
    for baseline in fitted:
        lacking = [need for need in baseline.needs if need in absent]
        if lacking and wanted != [ALL]:
            raise ConfigError(f"the baseline {baseline.name} needs {' and '.join(lacking)}")
    for need in absent:
        names_left = [one.name for one in fitted if need in one.needs]
        if names_left:
            say(f"evaluate: without {need} these baselines are not fitted: {', '.join(names_left)}")
    for baseline in fitted:
        if not set(baseline.needs) & set(absent):
            yield baseline.name, baseline.fit(inputs)


def _age_sex(given: Inputs) -> pl.DataFrame:
    return age_sex.age_sex(given.train, given.wanted, given.horizons_years, given.gap_years)


def _logistic(name: str, with_scores: bool) -> Callable[[Inputs], pl.DataFrame]:
    def fit(given: Inputs) -> pl.DataFrame:
        rows = given.examples, given.wanted, given.horizons_years
        return logistic.logistic(name, *rows, given.record(with_scores), given.gap_years).risks

    return fit


def _phers(given: Inputs) -> pl.DataFrame:
    """Elastic net on codes ever recorded and scores."""
    rows = given.examples, given.wanted, given.horizons_years
    features = phers.EverRecorded(given.record(True))
    return tuning.tuned(phers.NAME, *rows, features, phers.ElasticNet, phers.PENALTIES, given.gap_years).risks


def _boosting_with_scores(given: Inputs) -> pl.DataFrame:
    """Scores are dense and slow: the setting is that without them, and only the number of rounds is tuned."""
    rows = given.examples, given.wanted, given.horizons_years
    settings = [given.boosted.setting]
    name = boosting.NAME_WITH_SCORES
    return boosting.boosting(name, *rows, given.record(True), given.gap_years, settings).risks


def _pgs_logistic(given: Inputs) -> pl.DataFrame:
    assert given.scores is not None
    return pgs_logistic.pgs_logistic(
        given.train, given.wanted, given.horizons_years, given.scores, given.seed
    )


def _late_fusion(given: Inputs) -> pl.DataFrame:
    assert given.fusion_risks is not None
    assert given.given is not None
    return late_fusion.late_fusion(given.cox, given.tuning, given.wanted, given.fusion_risks, given.given)


_RECORD, _GENOME = ("--tokens", "a tuning split"), ("--genome",)
for _baseline in (
    Baseline("age_sex", "incidence by age and sex", _age_sex, also=("age",), is_reference=True),
    Baseline("logistic", "ridge logistic regression on records", _logistic(logistic.NAME, False), _RECORD),
    Baseline(
        "logistic_pgs",
        "the same with all scores",
        _logistic(logistic.NAME_WITH_SCORES, True),
        (*_RECORD, *_GENOME),
    ),
    Baseline(
        "lightgbm",
        "gradient boosting on records",
        lambda given: given.boosted.risks,
        _RECORD,
        is_reference=True,
    ),
    Baseline("lightgbm_pgs", "the same with all scores", _boosting_with_scores, (*_RECORD, *_GENOME)),
    Baseline("phers_pgs", "elastic net on codes ever recorded and all scores", _phers, (*_RECORD, *_GENOME)),
    Baseline("pgs_logistic", "ridge logistic regression on age, sex and all scores", _pgs_logistic, _GENOME),
    Baseline(
        "pgs_cox",
        "Cox hazards on age, sex, components and all scores, death competing",
        lambda given: given.cox.risks(given.wanted, given.horizons_years),
        _GENOME,
    ),
    Baseline(
        "late_fusion",
        "a model's risk and the scores' log hazard, joined on the tuning split",
        _late_fusion,
        (*_GENOME, "a tuning split", "--fusion-risks"),
    ),
):
    register(_baseline)
