"""The site of the docs: every page is in its navigation, every room has its API page."""

from __future__ import annotations

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


def is_there(name: str) -> bool:
    """Whether a dotted name below src is a room, a file, or something that a file defines or imports."""
    path, rest = ROOT / "src", name.split(".")
    while rest and (path / rest[0]).is_dir():
        path, rest = path / rest[0], rest[1:]
    file = path / "__init__.py"
    if rest and (path / f"{rest[0]}.py").is_file():
        file, rest = path / f"{rest[0]}.py", rest[1:]
    return (
        not rest
        or re.search(rf"^(?:(?:class|def) |.*import.*|    )?\b{rest[0]}\b", file.read_text(), re.M)
        is not None
    )


def test_references_in_docstrings_name_what_is_there() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    names = set(re.findall(r":(?:mod|class|func|data|meth|attr):`~?(proband[\w.]+)`", source))
    assert len(names) > 50
    assert [name for name in sorted(names) if not is_there(name)] == []


def test_the_architecture_page_names_what_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    names = re.findall(r"`((?:genome|ehr|tokens|model|train|forecast|evaluate)(?:\.\w+)+)`", page)
    assert len(names) > 20
    assert [name for name in names if not is_there(f"proband.{name}")] == []
