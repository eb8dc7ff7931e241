"""Shape annotations are executed at the beginning of every test: jaxtyping's shapes, checked by beartype.

Checked to the end, they took half the time of all tests: the longest call the same functions again and again.
Modules without such annotations are left as they are; mypy checks their types.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import threading
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import config, install_import_hook

import tiny_pipeline

os.environ.setdefault("POLARS_MAX_THREADS", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of PyTorch that wait for one another then cost three times the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # So would pools of a process per core; tests of pools name their workers.
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")
# Runs of Spark are short here: optimising its code takes longer than it saves.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def shaped_modules() -> list[str]:
    """Names of the modules of the package that annotate shapes."""
    spec = importlib.util.find_spec("proband")
    assert spec is not None
    root = Path(str(spec.origin)).parent
    files = [path for path in root.rglob("*.py") if "jaxtyping" in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in files]


# How long an example takes depends on what else runs on the machine, and the first one compiles.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

install_import_hook(shaped_modules(), "beartype.beartype")
CHECKED_SECONDS = 0.03


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Check shapes from the beginning of a test's fixtures on, for :data:`CHECKED_SECONDS`."""
    end = threading.Timer(CHECKED_SECONDS, config.update, ("jaxtyping_disable", True))
    end.daemon = True
    end.start()
    try:
        return (yield)
    finally:
        end.cancel()
        end.join()
        config.update("jaxtyping_disable", False)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without garbage collection, and keep what they are made of out of it from then on.

    Modules and tests are some 750,000 objects that stay: going through them again and again took more than a
    quarter of the processor time of collecting tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("PROBAND_DATA"):
        return
    skip = pytest.mark.skip(reason="external data: set PROBAND_DATA to the folder that holds them")
    for item in items:
        if "external" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with the outputs of every stage on a tiny synthetic biobank; read it, do not change it."""
    base = tmp_path_factory.getbasetemp()
    return tiny_pipeline.shared(base if worker_id == "master" else base.parent)
