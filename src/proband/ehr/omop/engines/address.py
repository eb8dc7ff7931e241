"""Addresses of engines, as the command line takes them; never with credentials in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from proband.core.errors import ConfigError

_SCHEME = re.compile(r"^(postgres|postgresql|spark|bigquery):")
_OPTIONS = {"postgres": ("schema",), "spark": ("catalog", "schema"), "bigquery": ()}
_FORMS = {
    "postgres": "postgres://[user@]host[:port]/database[?schema=NAME]",
    "spark": "spark:local[2] or spark://host:port, [?catalog=NAME&schema=NAME]",
    "bigquery": "bigquery://project/dataset",
}


@dataclass(frozen=True)
class Address:
    """Where an engine is, and which of its tables are meant.

    Attributes:
        engine: ``postgres``, ``spark`` or ``bigquery``.
        user: Login name; empty for the engine's own default.
        host: Empty for the default; the master of Spark, the project of BigQuery.
        port: None for the default.
        database: Empty for the default; the dataset of BigQuery.
        options: Such as ``schema``.
    """

    engine: str
    user: str = ""
    host: str = ""
    port: int | None = None
    database: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def schemas(self) -> tuple[str, ...]:
        """The schemas named, between commas; empty for all, or the engine's default."""
        return tuple(name for name in self.options.get("schema", "").split(",") if name)

    def __str__(self) -> str:
        """As it may be shown, in messages and the manifest: without a user."""
        port = f":{self.port}" if self.port else ""
        options = "&".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        colon = ":" if self.engine == "spark" and "//" not in self.host else "://"
        host = self.host.removeprefix("spark://")
        database = f"/{self.database}" if self.database else ""
        return f"{self.engine}{colon}{host}{port}{database}{f'?{options}' if options else ''}"


def is_address(source: object) -> bool:
    """Whether a source names an engine, and no file or folder.

    >>> is_address("postgres://localhost/cdm"), is_address("biobank/omop")
    (True, False)
    """
    return isinstance(source, str) and bool(_SCHEME.match(source))


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        ConfigError: It has a password, an unknown option, or another form; nothing of a password is shown.

    >>> address = parse_address("postgres://me@db.org:5433/cdm?schema=omop")
    >>> address.user, address.host, address.port, address.database, address.schemas
    ('me', 'db.org', 5433, 'cdm', ('omop',))
    >>> print(address)
    postgres://db.org:5433/cdm?schema=omop
    """
    scheme = text.partition(":")[0]
    engine = "postgres" if scheme == "postgresql" else scheme
    body, _, query = text.partition("?")
    options = _options(engine, query)
    if engine == "spark":
        master = body if body.startswith("spark://") else body.removeprefix("spark:")
        if not master or "@" in master:
            raise ConfigError("unusable address", where=f"{engine}:", expected=_FORMS[engine])
        return Address(engine, host=master, options=options)
    try:
        parts = urlsplit(body)
        port = parts.port
    except ValueError:
        raise ConfigError("unusable address", where=f"{engine}:", expected=_FORMS[engine]) from None
    if parts.password is not None:
        raise _secret(engine)
    database = unquote(parts.path.strip("/"))
    wrong = "/" in database or not body.startswith(f"{scheme}://")
    if wrong or ((engine == "bigquery" and not (parts.netloc and database)) or "@" in (parts.hostname or "")):
        raise ConfigError("unusable address", where=f"{engine}:", expected=_FORMS[engine])
    # A project keeps its letters as they are; a host has none that matter.
    host = parts.netloc if engine == "bigquery" else unquote(parts.hostname or "")
    return Address(engine, unquote(parts.username or ""), host, port, database, options)


def _options(engine: str, query: str) -> dict[str, str]:
    known, found = _OPTIONS[engine], {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if "pass" in name.lower():
            raise _secret(engine)
        if name not in known or not value or name in found:
            expected = " and ".join(known) or "none"
            raise ConfigError("unusable option of an address", where=engine, found=name, expected=expected)
        found[name] = value
    return found


def _secret(engine: str) -> ConfigError:
    remedy = "take it out (other users see command lines), and give it as PGPASSWORD or in ~/.pgpass"
    return ConfigError("a password in an address", where=f"{engine}:", expected=_FORMS[engine], remedy=remedy)
