"""The entries of :data:`proband.evaluate.choices.BASELINES`: what each baseline needs, and what fits it.

Adding one is a file with a function from :class:`~proband.evaluate.baselines.inputs.Inputs` to a RiskTable,
one :class:`Baseline` here, and its name there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import polars as pl

from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.running.progress import say
from proband.evaluate.baselines import age_sex, tuning
from proband.evaluate.baselines.inputs import Inputs
from proband.evaluate.baselines.records import boosting, logistic, phers, survival_boost
from proband.evaluate.baselines.scores import late_fusion, pgs_logistic
from proband.evaluate.choices import BASELINES
from proband.evaluate.config import ALL, NONE

_HAZARDOUS = f"the package {survival_boost.PACKAGE} ({survival_boost.REMEDY})"
NEEDS: dict[str, Callable[[Inputs], bool]] = {
    "--tokens": lambda given: given.tokens is not None,
    "--genome": lambda given: given.scores is not None,
    "a tuning split": lambda given: not given.tuning.is_empty(),
    "--fusion-risks": lambda given: given.fusion_risks is not None,
    _HAZARDOUS: lambda given: find_spec(survival_boost.PACKAGE) is not None,
}
"""What a baseline may need -> whether it is there."""


@dataclass(frozen=True)
class Baseline:
    """One baseline.

    Attributes:
        title: What it is, in a few words.
        fit: Gives its RiskTable.
        needs: Keys of :data:`NEEDS`.
        also: A further name that it may give its model.
        is_reference: Whether every model's net benefit is compared with it.
    """

    title: str
    fit: Callable[[Inputs], pl.DataFrame]
    needs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    is_reference: bool = False


def model_names() -> list[str]:
    """Names of the baselines' models, which no other model may have."""
    return [model for name, baseline in BASELINES.items() for model in (name, *baseline.also)]


def references() -> list[str]:
    """Names of the models with which net benefit is compared."""
    return [model for name, one in BASELINES.items() if one.is_reference for model in (name, *one.also)]


def chosen(names: Iterable[str]) -> dict[str, Baseline]:
    """The baselines asked for by name, in the registry's order.

    Args:
        names: Names, or ``all``, or ``none``, alone.

    Raises:
        ConfigError: A name is none of the registry's, or two baselines have models of one name.
    """
    wanted, models = list(names), model_names()
    if twice := sorted({name for name in models if models.count(name) > 1}):
        raise ConfigError(
            "two baselines have models of one name", found=twice[0], remedy="rename one of them"
        )
    for name in wanted:
        if name not in BASELINES and not (name in (ALL, NONE) and len(wanted) == 1):
            expected = f"{ALL}, {NONE}, or names among {', '.join(BASELINES)}"
            remedy = near_matches(name, BASELINES)
            raise ConfigError("unusable --baselines", found=name, expected=expected, remedy=remedy)
    return {name: BASELINES[name] for name in BASELINES if wanted == [ALL] or name in wanted}


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
    for name, baseline in fitted.items():
        lacking = [need for need in baseline.needs if need in absent]
        if lacking and wanted != [ALL]:
            remedy = "give it, or leave the baseline out"
            raise ConfigError(f"the baseline {name} needs {' and '.join(lacking)}", remedy=remedy)
    for need in absent:
        names_left = [name for name, one in fitted.items() if need in one.needs]
        if names_left:
            say(f"evaluate: without {need} these baselines are not fitted: {', '.join(names_left)}")
    for name, baseline in fitted.items():
        if not set(baseline.needs) & set(absent):
            yield name, baseline.fit(inputs)


def _age_sex(given: Inputs) -> pl.DataFrame:
    return age_sex.age_sex(given.train, given.wanted, given.horizons_years, given.gap_years)


def _logistic(name: str, with_scores: bool) -> Callable[[Inputs], pl.DataFrame]:
    def fit(given: Inputs) -> pl.DataFrame:
        rows = given.examples, given.wanted, given.horizons_years
        return logistic.logistic(name, *rows, given.record(with_scores), given.gap_years).risks

    return fit


def _survival_boost(name: str, with_scores: bool) -> Callable[[Inputs], pl.DataFrame]:
    def fit(given: Inputs) -> pl.DataFrame:
        rows = given.examples, given.wanted, given.horizons_years
        record = given.record(with_scores)
        return survival_boost.survival_boost(name, *rows, record, given.gap_years, given.seed)

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


_RECORD, _GENOME, _TUNING = ("--tokens",), ("--genome",), ("a tuning split",)
AGE_SEX = Baseline("incidence by age and sex", _age_sex, also=("age",), is_reference=True)
LOGISTIC = Baseline("ridge logistic regression on records", _logistic(logistic.NAME, False), _RECORD)
LOGISTIC_PGS = Baseline(
    "the same with all scores", _logistic(logistic.NAME_WITH_SCORES, True), (*_RECORD, *_GENOME)
)
LIGHTGBM = Baseline(
    "gradient boosting on records", lambda given: given.boosted.risks, _RECORD, is_reference=True
)
LIGHTGBM_PGS = Baseline("the same with all scores", _boosting_with_scores, (*_RECORD, *_GENOME))
SURVIVAL_BOOST = Baseline(
    "gradient boosting on records, death competing",
    _survival_boost(survival_boost.NAME, False),
    (*_RECORD, *_TUNING, _HAZARDOUS),
)
SURVIVAL_BOOST_PGS = Baseline(
    "the same with all scores",
    _survival_boost(survival_boost.NAME_WITH_SCORES, True),
    (*_RECORD, *_GENOME, *_TUNING, _HAZARDOUS),
)
PHERS_PGS = Baseline("elastic net on codes ever recorded and all scores", _phers, (*_RECORD, *_GENOME))
PGS_LOGISTIC = Baseline("ridge logistic regression on age, sex and all scores", _pgs_logistic, _GENOME)
PGS_COX = Baseline(
    "Cox hazards on age, sex, components and all scores, death competing",
    lambda given: given.cox.risks(given.wanted, given.horizons_years),
    _GENOME,
)
LATE_FUSION = Baseline(
    "a model's risk and the scores' log hazard, joined on the tuning split",
    _late_fusion,
    (*_GENOME, *_TUNING, "--fusion-risks"),
)
