"""The site of the docs: every page is in its navigation, every room has its API page."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def pages(node: object) -> list[str]:
    """Files named anywhere in the navigation."""
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node
    assert isinstance(children, list | type({}.values()))
    return [page for child in children for page in pages(child)]


def test_the_navigation_names_every_page_once() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    there = sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))
    assert sorted(pages(config["nav"])) == there


def test_every_room_has_an_api_page() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "proband").glob("*/__init__.py")} - {"cli"}
    for room in rooms:
        assert f"::: proband.{room}" in (ROOT / "docs" / "api" / f"{room}.md").read_text()


def test_the_architecture_page_names_what_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    names = re.findall(r"`((?:genome|ehr|tokens|model|train|forecast|evaluate)(?:\.\w+)+)`", page)
    assert len(names) > 20
    for name in names:
        parts = name.split(".")
        module = importlib.import_module(f"proband.{parts[0]}")
        for part in parts[1:]:
            if importlib.util.find_spec(f"{module.__name__}.{part}") if hasattr(module, "__path__") else None:
                module = importlib.import_module(f"{module.__name__}.{part}")
            else:
                assert hasattr(module, part), name
