"""Rules on who: subjects, dates of people, users, machines and places on disk."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterator

from proband.report.check.page import Page
from proband.report.check.violation import Violation

MADE_ON = "made-on"
"""Class of the element that holds the day on which the results were made."""
_LEAST_NAME = 5
_COMMON_NAMES = frozenset(
    {"admin", "debian", "jovyan", "localhost", "rstudio", "runner", "ubuntu", "vagrant"}
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_PATTERNS = {
    "subject identifier": re.compile(
        r"\b(?:subject|person|patient|participant|sample|family)[ _-]?id\b|\b(?:eid|mrn|iid|fid)\b[ :=#]*\d+|"
        r"\b(?:subject|person|patient|participant)\s*(?:#|no\.?|number|nr\.?)?\s*:?\s*\d{3,}\b",
        re.I,
    ),
    "universal identifier": re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.I),
    "number of a person": re.compile(
        r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])|"
        r"\b(?:NHS|SSN|CPR|BSN|CHI|medical record|insurance)\b(?:\s+(?:number|no\.?))?\W{0,3}\d{3}[\d -]{3,}",
        re.I,
    ),
    "telephone number": re.compile(r"(?<![\w.+])\+\d{1,3}[ ./()-]*\d{1,4}(?:[ /()-]+\d{2,4}){2,}"),
    "e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "user and host name": re.compile(r"\b[\w.-]+@[\w-]+(?::|\b)(?!\.)"),
    "host name": re.compile(
        r"\b[\w-]+(?:\.[\w-]+)*\.(?:local|internal|lan|corp|cluster|intranet|localdomain)\b"
    ),
    "network address": re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"),
    "absolute path": re.compile(
        r"(?<![\w<:/.])/(?:home|Users|mnt|data|tmp|var|opt|srv|root|work|workspace|scratch|usr|etc|gpfs|lustre)"
        r"(?:/[\w.-]+)*|\b[A-Za-z]:\\[\w\\.-]+|\\\\[\w.-]+\\[\w\\.-]+|(?<![\w/])~/[\w.-]+"
    ),
    "address of a file": re.compile(
        r"\bfile:/+[^\s\"'<>]*|\b(?:gs|s3|abfss?|hdfs|dbfs)://?[^\s\"'<>]+", re.I
    ),
}
_DATE = re.compile(
    rf"\b(?:18|19|20)\d\d-[01]\d-[0-3]\d\b|\b[0-3]?\d[/.][01]?\d[/.](?:18|19|20)\d\d\b|"
    rf"\b[0-3]?\d\.? {_MONTH}\.? (?:18|19|20)\d\d\b|\b{_MONTH}\.? [0-3]?\d, (?:18|19|20)\d\d\b"
)


def identities(page: Page) -> Iterator[Violation]:
    """Identifiers, addresses, paths and names in texts, attributes and code."""
    own = _own_names()
    for text, line in _everything(page):
        for kind, pattern in _PATTERNS.items():
            for match in pattern.finditer(text):
                yield Violation(kind, line, match.group())
        for name in own:
            if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text):
                yield Violation("user or host name of this machine", line, name)


def dates(page: Page) -> Iterator[Violation]:
    """Days anywhere but where the page says when it was made."""
    made_on = {
        element.line for element in page.elements if MADE_ON in element.attributes.get("class", "").split()
    }
    for text, line in _everything(page):
        for match in _DATE.finditer(text):
            if line not in made_on:
                yield Violation("date", line, match.group())


def _everything(page: Page) -> Iterator[tuple[str, int]]:
    for text in (*page.texts, *page.code, *page.comments):
        yield text.text, text.line
    for element in page.elements:
        for name, value in element.attributes.items():
            if not (element.tag == "svg" and name.startswith("xmlns")):
                yield value, element.line
            if name.startswith("data-") and re.search(r"subject|person|patient", name):
                yield "subject_id", element.line


def _own_names() -> list[str]:
    """User and host name, unless they are so short or common that they are words of the page."""
    try:
        names = {getpass.getuser(), socket.gethostname(), socket.gethostname().partition(".")[0]}
    except (KeyError, OSError):
        names = {socket.gethostname()}
    return sorted(name for name in names if len(name) >= _LEAST_NAME and name not in _COMMON_NAMES)
