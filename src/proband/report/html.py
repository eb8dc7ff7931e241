"""The page: a template filled with finished text."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from proband.core.errors import printable

TEMPLATE = "template.html"


def render(content: Mapping[str, Any]) -> str:
    """Fill the template; every text is escaped, and control characters too; only figures are not.

    Args:
        content: Names used in the template; ``figure`` of a section is SVG.
    """
    import jinja2

    source = resources.files("proband.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    return environment.from_string(source).render(content)
