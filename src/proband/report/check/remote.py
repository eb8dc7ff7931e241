"""Rules on what a page loads, runs or carries: nothing from elsewhere, no hidden data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proband.report.check.page import Page
from proband.report.check.violation import Violation

_LOADING = {"src", "srcset", "poster", "background", "data", "action", "formaction", "ping", "manifest"}
_REMOTE = re.compile(r"^\s*(?:https?:|//|ftp:|wss?:)", re.I)
_SCRIPT_ADDRESS = re.compile(r"^\s*(?:javascript|vbscript):", re.I)
_FILE = re.compile(r"\bfile:/+", re.I)
_STYLE_LOADS = re.compile(r"@import|url\(\s*['\"]?(?!\s*['\"]?#)(?!data:image/png)", re.I)
_SCRIPT_LOADS = re.compile(
    r"\bfetch\s*\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts|\bimport\s*[({'\"]|"
    r"new\s+Image\b|\.src\s*=|serviceWorker|\beval\s*\(|new\s+Function\b",
)
_ADDRESS = re.compile(r"(?:https?|wss?|ftp)://", re.I)
_FRAMES = frozenset({"iframe", "frame", "object", "embed", "applet", "base", "form", "audio", "video"})
_DATA_URI = re.compile(r"data:(?!image/png;base64,)[\w.+-]*[/;,][^\s'\")]{0,40}", re.I)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{200,}={0,2}")
_PARQUET = re.compile(r"PAR1|UEFSM")
_NUMBERS = re.compile(r"(?:-?\d+(?:\.\d+)?\s*,\s*){200,}")
_SVG_NAMES = "http://www.w3.org/"


def loaded(page: Page) -> Iterator[Violation]:
    """Addresses that a browser would load, frames, forms, and refreshes."""
    for element in page.elements:
        if element.tag in _FRAMES:
            yield Violation("frame, form or embedded object", element.line, f"<{element.tag}>")
        if element.tag == "meta" and element.attributes.get("http-equiv", "").lower() == "refresh":
            yield Violation("page that loads another", element.line, element.attributes.get("content", ""))
        for name, value in element.attributes.items():
            loads = name in _LOADING or (name in ("href", "xlink:href") and element.tag != "a")
            if loads and _REMOTE.match(value):
                kind = "remote script" if element.tag == "script" else "address that is loaded"
                yield Violation(kind, element.line, value)
            elif loads and value and not value.startswith(("#", "data:")) and not _FILE.match(value):
                yield Violation("file that is loaded", element.line, value)
            if _SCRIPT_ADDRESS.match(value):
                yield Violation("script in an address", element.line, f"{name} of <{element.tag}>")
            if name.startswith("on"):
                yield Violation("event handler in a tag", element.line, f"{name} of <{element.tag}>")
            if name == "style" and _STYLE_LOADS.search(value):
                yield Violation("style that loads", element.line, value)


def scripts_and_styles(page: Page) -> Iterator[Violation]:
    """Scripts that send or load, styles that load, and scripts that are data."""
    for code in page.code:
        if code.inside[-1] == "style":
            for match in _STYLE_LOADS.finditer(code.text):
                yield Violation("style that loads", code.line, code.text[match.start() :][:60])
            continue
        for match in _SCRIPT_LOADS.finditer(code.text):
            yield Violation("script that loads or sends", code.line, match.group())
        for match in _ADDRESS.finditer(code.text):
            if not code.text.startswith(_SVG_NAMES, match.start()):
                yield Violation("script with an address", code.line, code.text[match.start() :][:60])
    for element in page.elements:
        kind = element.attributes.get("type", "")
        if element.tag == "script" and kind not in ("", "text/javascript", "module"):
            yield Violation("data in a script", element.line, f"type {kind}")


def embedded(page: Page) -> Iterator[Violation]:
    """Files and long rows of numbers inside the page, and comments."""
    values = [(value, element.line) for element in page.elements for value in element.attributes.values()]
    texts = [(text.text, text.line) for text in (*page.texts, *page.code)]
    for text, line in [*values, *texts]:
        for match in _DATA_URI.finditer(text):
            yield Violation("embedded data", line, match.group())
        without_images = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)
        if _PARQUET.search(without_images):
            yield Violation("embedded Parquet file", line, "its magic number")
        elif _BASE64.search(without_images):
            yield Violation("embedded data", line, "base64 of 200 characters or more")
    for code in page.code:
        if code.inside[-1] == "script" and _NUMBERS.search(code.text):
            yield Violation("row of 200 numbers or more in a script", code.line, "an array")
    for comment in page.comments:
        yield Violation("comment", comment.line, comment.text.strip())
