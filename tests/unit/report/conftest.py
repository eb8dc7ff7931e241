"""Results of a small known world, made by evaluate from the world its own tests use."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "small_world", Path(__file__).parents[1] / "evaluate" / "conftest.py"
)
small_world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_world)


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    from proband.evaluate import evaluate
    from proband.evaluate.config import EvaluateConfig

    world = small_world.make_world(tmp_path_factory.mktemp("world"))
    risks = [world.risk_folder("<b>ehr", noise=1.5), world.risk_folder("ehr & pgs")]
    out = world.folder / "results"
    evaluate(risks, world.meds, out, genome=world.genome, config=EvaluateConfig(bootstrap=50))
    return out


@pytest.fixture(scope="session")
def refitted(tmp_path_factory):
    """Results with refits, and without baselines; RiskTables of the model and of its refits."""
    from proband.evaluate import evaluate
    from proband.evaluate.config import EvaluateConfig

    world = small_world.make_world(tmp_path_factory.mktemp("world"))
    folders = [world.risk_folder("m & n", noise=0.3)]
    for seed in (2, 3, 4):
        here = replace(world, folder=world.folder / f"seed {seed}")
        here.folder.mkdir()
        folders.append(here.risk_folder("m & n", noise=0.3, seed=seed))
    out = world.folder / "results"
    config = EvaluateConfig(bootstrap=0, baselines=("none",))
    evaluate(folders[:1], world.meds, out, refits=folders[1:], config=config)
    return out, [folder / "risk.parquet" for folder in folders]


@pytest.fixture(scope="session")
def page(results, tmp_path_factory):
    from proband.report import report

    out = tmp_path_factory.mktemp("page") / "report.html"
    report(results, out)
    return out.read_text(encoding="utf-8")
