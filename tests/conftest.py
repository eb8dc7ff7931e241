"""Shape annotations are executed in every test: jaxtyping's shapes, checked by beartype."""

from __future__ import annotations

import os

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("POLARS_MAX_THREADS", "2")
install_import_hook("proband", "beartype.beartype")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("PROBAND_DATA"):
        return
    skip = pytest.mark.skip(reason="external data: set PROBAND_DATA to the folder that holds them")
    for item in items:
        if "external" in item.keywords:
            item.add_marker(skip)
