"""The page: a template filled with finished text, with its style and script inlined."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from proband.core.errors import printable

TEMPLATE, STYLE, SCRIPT = "page.html", "page.css", "page.js"


def render(content: Mapping[str, Any]) -> str:
    """Fill the template; every text is escaped, and control characters too; only figures are not.

    Args:
        content: Names used in the template; ``svg`` of a figure is markup.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    page = environment.get_template(TEMPLATE)
    return page.render(content, style=_resource(STYLE), script=_resource(SCRIPT))


def _resource(name: str) -> str:
    return resources.files("proband.report").joinpath(name).read_text(encoding="utf-8")
