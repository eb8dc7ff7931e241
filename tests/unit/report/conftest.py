"""Results of a small known world, made by evaluate from the world its own tests use."""

import importlib.util
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
def page(results, tmp_path_factory):
    from proband.report import report

    out = tmp_path_factory.mktemp("page") / "report.html"
    report(results, out)
    return out.read_text(encoding="utf-8")
