"""Shape annotations are executed in every test: jaxtyping's shapes, checked by beartype."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

import tiny_pipeline

os.environ.setdefault("POLARS_MAX_THREADS", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of PyTorch that wait for one another then cost three times the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
install_import_hook("proband", "beartype.beartype")


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
