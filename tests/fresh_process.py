"""Commands and code in processes of their own, without the seconds that each would import again.

They are forked from a process that has imported what all of them import. Shapes of arrays are not checked
there, which takes half the time of a training; tests of the parts check them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

# Not DuckDB, LightGBM or Ibis: what is forked after them waits for ever.
PRELOADED = [
    "torch._dynamo",
    "matplotlib.pyplot",
    "scipy.stats",
    "pandas",
    "pyarrow.parquet",
    "numba",
    "msprime",
    "sklearn.linear_model",
    "proband.cli.main",
    "proband.train.stage",
    "proband.forecast.stage",
]

_SECONDS = 300

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(PRELOADED)


def proband(words: Sequence[str], said: Path) -> int:
    """The exit code of ``proband WORDS`` in the working folder; what it prints goes to the end of a file."""
    return call(_command, list(words), said=said)


def python(code: str, said: Path, arguments: Sequence[str] = ()) -> int:
    """The exit code of a script in the working folder; what it prints goes to the end of a file."""
    return call(_script, code, list(arguments), said=said)


def call(function: Callable[..., None], *given: object, said: Path) -> int:
    """The exit code of a process that calls a function; what it prints goes to the end of a file."""
    process = _processes.Process(target=_redirected, args=(said, dict(os.environ), function, *given))
    process.start()
    process.join(_SECONDS)
    if process.is_alive():
        process.kill()
        raise TimeoutError(f"{function.__name__} has not ended; it said {said.read_text()[-1000:]}")
    return process.exitcode or 0


def _redirected(said: Path, environment: dict[str, str], function: Callable, *given: object) -> None:
    os.environ.update(environment)
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        function(*given)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)  # ends as an interpreter does
    finally:
        threading._shutdown()  # as at any exit; else joblib's workers are waited for, for ever


def _command(words: list[str]) -> None:
    from proband.cli.main import main

    sys.argv = ["proband", *words]
    main()


def _script(code: str, arguments: list[str]) -> None:
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
