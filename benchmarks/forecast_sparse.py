"""Sparse lifelong records: trajectories per second, and what estimators reach there."""

from __future__ import annotations

from pathlib import Path

from forecast_cohort import Cohort, Run, sample_futures
from forecast_errors import errors_at_equal_compute, paths_for_ranking

from proband.ehr.outcomes import CodeSet, PredictionTimes, Task
from proband.tokens.dataset import TokenStore

PEER_PER_SECOND, PEER_POSITIONS = 0.998, 163
"""Trajectories from age 60 to 80 by a public model's own sampler on one core, and positions it computes per
token it keeps: it reads the whole record again for each."""
AGE, TO_AGE, RISK_YEARS = 60, 80, 5
UNSEEN = ("held_out",)


def sparse_figures(model: Path, tokens: Path, *, quick: bool) -> dict[str, object]:
    """All figures on a model of experiments/delphi.py's tokens."""
    subjects, paths, repeats = (16, 4, 1) if quick else (100, 16, 3)
    lifelong = Cohort.read(model, tokens, _task(tokens, ["MEDS_DEATH"]), TO_AGE - AGE, UNSEEN)
    figures: dict[str, object] = {
        "weights": sum(weight.numel() for weight in lifelong.model.parameters()),
        "trajectories": trajectories(lifelong.sample(subjects, 0), paths, repeats),
    }
    print("trajectories", figures["trajectories"], flush=True)
    people = Cohort.read(model, tokens, _task(tokens, _diseases(tokens)), RISK_YEARS, UNSEEN)
    figures["errors"] = errors_at_equal_compute(people, *((16, 4) if quick else (100, 32)))
    print("errors", figures["errors"], flush=True)
    asked = people.sample(100, 2) if quick else people
    figures["ranking"] = paths_for_ranking(
        asked, 1000, sets=1 if quick else 3, check_paths=4 if quick else 100
    )
    print("ranking", figures["ranking"], flush=True)
    return figures


def _task(tokens: Path, codes: list[str]) -> Task:
    """Each code an outcome, predicted at ``AGE``."""
    return Task(
        outcomes={code: CodeSet(codes=(code,)) for code in codes},
        prediction=PredictionTimes(age_years=(AGE,)),
        horizons_years=(RISK_YEARS,),
    )


def _diseases(tokens: Path) -> list[str]:
    return [code for code in TokenStore(tokens).vocabulary.codes if code.startswith("ICD10//")]


def trajectories(cohort: Cohort, num_paths: int, repeats: int) -> dict[str, object]:
    """Whole futures to ``TO_AGE`` or death, in CPU seconds of one core, reading histories included."""
    sample_futures(cohort.sample(4, 0), "mc", num_paths, record=True)  # compiles
    runs = [sample_futures(cohort, "mc", num_paths, record=True, seed=seed) for seed in range(repeats)]
    rates = sorted(len(cohort) * num_paths / run.seconds for run in runs)
    rate = rates[len(rates) // 2]
    return {
        "subjects": len(cohort),
        "paths_each": num_paths,
        "per_cpu_second": [round(rate, 1) for rate in rates],
        "per_cpu_second_median": round(rate, 1),
        "over_peer": round(rate / PEER_PER_SECOND, 1),
        "events_per_path": round(_kept(runs[0]) / (len(cohort) * num_paths), 2),
        "positions_per_kept_token": round(runs[0].path_positions / _kept(runs[0]), 3),
        "peer_positions_per_kept_token": PEER_POSITIONS,
        "prompt_positions_per_history": round(runs[0].prompt_positions / len(cohort), 1),
        "share_cut": _share_cut(runs[0]),
    }


def _kept(run: Run) -> int:
    return sum(len(path.tokens) for paths in run.trajectories for path in paths)


def _share_cut(run: Run) -> float:
    ends = [path.end for paths in run.trajectories for path in paths]
    return round(ends.count("budget") / len(ends), 4)
