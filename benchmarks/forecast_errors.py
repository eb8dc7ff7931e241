"""How well each estimator knows a risk for the same computing, and how many paths a ranking needs."""

from __future__ import annotations

import numpy as np
from forecast_cohort import Cohort, sample_futures
from jaxtyping import Float

from proband.evaluate.metrics.discrimination import auroc_and_auprc, rank
from proband.forecast.choices import ESTIMATORS, samples_paths

RARE, COMMON = 0.005, 0.10
"""Incidences between which outcomes are compared."""
NUM_OUTCOMES, NUM_ALONE = 20, 3
RANKED_INCIDENCE, NUM_RANKED = 0.02, 5
FEW_PATHS = (1, 2, 3, 4, 5, 6, 8, 10, 16, 32)
"""Numbers of reach's paths that are tried."""
NUM_DRAWS = 100
"""Of mc's estimates, over which its AUROC is averaged."""


def spread_outcomes(cohort: Cohort, number: int) -> list[int]:
    """Outcomes of incidence 0.5% to 10%, evenly spaced by rank of incidence, so that nobody chooses them."""
    incidence = cohort.incidence()
    eligible = [at for at in np.argsort(incidence, kind="stable") if RARE <= incidence[at] <= COMMON]
    picked = np.linspace(0, len(eligible) - 1, min(number, len(eligible))).round().astype(int)
    return [int(eligible[at]) for at in picked]


def errors_at_equal_compute(people: Cohort, points: int, num_paths: int) -> dict[str, object]:
    """Standard errors of scope and reach over that of mc when all have the same CPU seconds.

    A path costs what its run cost by paths, reading histories included. The variance of mc's path is
    F(1 − F), with F by reach: where F is small, no hit on few paths would look like no variance. Per outcome,
    the ratio is that of root mean squares over points; beside it the median over points and outcomes.
    """
    outcomes, cohort = spread_outcomes(people, NUM_OUTCOMES), people.sample(points, 0)
    together = cohort.about(outcomes)
    alone = [outcomes[at] for at in np.linspace(0, len(outcomes) - 1, NUM_ALONE).round().astype(int)]
    single = [_ratios(cohort.about([outcome]), num_paths) for outcome in alone]
    joint = _ratios(together, num_paths)
    figures: dict[str, object] = {
        "points": len(cohort),
        "paths": num_paths,
        "years": cohort.years,
        "outcomes": len(outcomes),
        "incidence": [round(float(share), 4) for share in people.about(outcomes).incidence()],
        "at_once": joint,
        "one_alone": {
            name: round(float(np.median([found[name] for found in single])), 3)
            for name in single[0]
            if not name.endswith("by_outcome")
        },
        "one_alone_names": [cohort.names[outcome] for outcome in alone],
    }
    return figures


def _ratios(cohort: Cohort, num_paths: int) -> dict[str, object]:
    """The ratios for the outcomes of a cohort asked about at once."""
    runs = {
        name: sample_futures(cohort, name, num_paths) for name in ESTIMATORS.names() if samples_paths(name)
    }
    risk = runs["reach"].risk
    found: dict[str, object] = {}
    for name, run in runs.items():
        variance = risk * (1 - risk) if name == "mc" else run.variance
        cost = run.seconds / (len(cohort) * num_paths)
        found[f"{name}_ms_per_path"] = round(1000 * cost, 3)
        runs[name].values = variance * cost  # of one CPU second
    mc = runs["mc"].values
    for name in ("scope", "reach"):
        own = runs[name].values
        by_outcome = np.sqrt(np.nanmean(own, axis=0) / np.nanmean(mc, axis=0))
        found[f"{name}_over_mc_median"] = round(float(np.median(by_outcome)), 3)
        found[f"{name}_over_mc_by_outcome"] = by_outcome.round(3).tolist()
        found[f"{name}_over_mc_median_of_risks"] = round(float(np.nanmedian(np.sqrt(own / mc))), 3)
    return found


def paths_for_ranking(cohort: Cohort, mc_paths: int, *, sets: int, check_paths: int) -> dict[str, object]:
    """The fewest of reach's paths whose AUROC is no lower than that of mc with ``mc_paths``.

    AUROC is against what happened, the mean over five outcomes: those of incidence nearest to 2%. That of few
    paths is the mean over disjoint sets of paths. A path of mc hits with probability F, so what mc says after
    n paths is binomial; it is drawn from that law, with F by paths of reach that are used for nothing else,
    and ``check_paths`` real paths of mc are held against the same law.

    Args:
        cohort: Whose risks.
        mc_paths: Paths of mc.
        sets: Paths of reach as a multiple of the most that are tried; as many again tell F.
        check_paths: Paths of mc that are really drawn.
    """
    nearest = np.argsort(np.abs(cohort.incidence() - RANKED_INCIDENCE), kind="stable")[:NUM_RANKED]
    asked = cohort.about([int(at) for at in nearest])
    num_few = sets * FEW_PATHS[-1]
    reach = sample_futures(asked, "reach", 2 * num_few)
    check = sample_futures(asked, "mc", check_paths)
    risk = np.nan_to_num(reach.values[:, num_few:].mean(axis=1)).clip(0, 1)
    few = reach.values[:, :num_few]
    by_paths = {paths: _mean_auroc(asked, few, paths) for paths in FEW_PATHS}
    target, _ = _auroc_of_mc(asked, risk, mc_paths)
    return {
        "outcomes": list(asked.names),
        "incidence": asked.incidence().round(4).tolist(),
        "points": len(asked),
        "cases": (asked.case & ~asked.prevalent).sum(axis=0).tolist(),
        "mc_paths": mc_paths,
        "mc_auroc": round(target, 4),
        "auroc_without_sampling_error": round(float(np.mean(_aurocs(asked, risk))), 4),
        "reach_auroc": {paths: round(auroc, 4) for paths, auroc in by_paths.items()},
        "reach_paths_needed": min((n for n, auroc in by_paths.items() if auroc >= target), default=None),
        "check_paths": check_paths,
        "check_auroc_really_drawn": round(_mean_auroc(asked, check.values, check_paths), 4),
        "check_auroc_by_law": [round(value, 4) for value in _auroc_of_mc(asked, risk, check_paths)],
        "mc_ms_per_path": round(1000 * check.seconds / len(asked) / check_paths, 3),
        "reach_ms_per_path": round(1000 * reach.seconds / len(asked) / (2 * num_few), 3),
    }


def _auroc_of_mc(
    cohort: Cohort, risk: Float[np.ndarray, "points outcomes"], paths: int
) -> tuple[float, float]:
    """Mean and standard deviation of mc's AUROC, mean over outcomes."""
    rng = np.random.default_rng(0)
    drawn = [np.mean(_aurocs(cohort, rng.binomial(paths, risk) / paths)) for _ in range(NUM_DRAWS)]
    return float(np.mean(drawn)), float(np.std(drawn, ddof=1))


def _mean_auroc(cohort: Cohort, values: Float[np.ndarray, "points all outcomes"], paths: int) -> float:
    """Mean over outcomes, and over disjoint sets of ``paths`` paths."""
    number = values.shape[1] // paths
    parts = np.split(values[:, : number * paths], number, axis=1)
    return float(np.mean([_aurocs(cohort, part.mean(axis=1)) for part in parts]))


def _aurocs(cohort: Cohort, risk: Float[np.ndarray, "points outcomes"]) -> Float[np.ndarray, " outcomes"]:
    """AUROC of each outcome among those at risk whose status is known."""
    found = []
    for at in range(risk.shape[1]):
        used = cohort.known[:, at] & ~cohort.prevalent[:, at]
        case = cohort.case[used, at]
        ranking = rank(risk[used, at], case)
        found.append(auroc_and_auprc(ranking, np.ones((1, len(case))))[0][0])
    return np.asarray(found)
