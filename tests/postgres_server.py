"""A PostgreSQL server of a test's own: throw-away data, a free port of the loopback address, one password."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

PASSWORD = "a-secret-of-the-test"
_TYPES = {
    pl.Int64: "bigint",
    pl.Int32: "integer",
    pl.Float64: "double precision",
    pl.Float32: "real",
    pl.Date: "date",
    pl.String: "text",
    pl.Null: "text",
    pl.Decimal: "numeric",
}


def programs() -> Path | None:
    """The folder of initdb and postgres; None where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


def why_not() -> str:
    """Why no server can be started here; empty where one can."""
    if not importlib.util.find_spec("psycopg"):
        return "pip install 'proband[postgres]'"
    if programs() is None:
        return "no PostgreSQL server: apt-get install postgresql"
    if os.geteuid() == 0 and _owner() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody"
    return ""


def _owner() -> tuple[int, int] | None:
    """Number and group of a user who may run the server, if this one is root."""
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid
    return None


@dataclass
class Server:
    """A running server; its superuser is ``admin``."""

    port: int
    data: Path
    run: Any

    def url(self, schema: str = "", user: str = "admin") -> str:
        """An address as the command line takes it."""
        return f"postgres://{user}@127.0.0.1:{self.port}/postgres" + (f"?schema={schema}" if schema else "")

    def connect(self) -> Any:
        """A connection of the superuser, each statement at once."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="admin",
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
        )

    def load(self, schema: str, frames: Mapping[str, pl.DataFrame]) -> None:
        """Make a schema anew, with the frames as its tables."""
        with self.connect() as connection:
            connection.execute(f'drop schema if exists "{schema}" cascade')
            connection.execute(f'create schema "{schema}"')
            for name, frame in frames.items():
                columns = ", ".join(f'"{column}" {_type(kind)}' for column, kind in frame.schema.items())
                connection.execute(f'create table "{schema}"."{name}" ({columns})')
                copy = f'copy "{schema}"."{name}" from stdin (format csv)'
                with connection.cursor().copy(copy) as rows:
                    rows.write(frame.write_csv(include_header=False))

    def stop(self) -> None:
        """End it at once, as if its machine had been turned off."""
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "stop")


def _type(kind: Any) -> str:
    if isinstance(kind, pl.Datetime):
        return "timestamptz" if kind.time_zone else "timestamp"
    return _TYPES[kind.base_type()]


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Start a server, and stop it and remove its data at the end."""
    folder, programs_folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp")), programs()
    assert programs_folder is not None
    owner = _owner() if os.geteuid() == 0 else None
    as_owner: dict[str, Any] = (
        {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}
    )
    password = folder / "password"
    password.write_text(PASSWORD)
    if owner:
        for path in (folder, password):
            os.chown(path, *owner)

    def run(program: str, *words: str) -> None:
        command = [str(programs_folder / program), *words]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=60, **as_owner)

    data = folder / "data"
    login = ("-U", "admin", "-A", "scram-sha-256", f"--pwfile={password}")
    run("initdb", "-D", str(data), *login, "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=10"
    run("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-w", "-o", options, "start")
    started = Server(port, data, run)
    try:
        yield started
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            started.stop()
        shutil.rmtree(folder, ignore_errors=True)
