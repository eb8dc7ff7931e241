"""Every experiment on a synthetic biobank, several seeds at a time.

    python experiments/run_all.py OUT --size small --jobs 2

Training uses one thread, so that two seeds at a time keep two cores busy. First each seed goes through the
scripts in their order, by itself: no two processes write to the same biobank. Then every script that has
several seeds runs once for all of them, on what is there, and writes its tables. A call that was interrupted
goes on where it stopped. What a script prints is in OUT/SIZE/logs; one that fails is named at the end, while
the others go on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from biobank import SEEDS, arguments

from proband.core.running.engine import available_cores
from proband.core.running.progress import say

SCRIPTS = (
    "onset_panel", "controls", "headline", "when_genome_matters", "ungenotyped", "expected_auroc",
    "attainable", "calibration_by_value", "alignment", "twin_against_truth", "transfer", "few_labels",
    "number_of_scores", "another_law", "objectives", "estimators", "fusion", "stability", "onset_inputs",
    "effects_by_risk", "own_cohort",
)  # fmt: skip
"""In their order: first the panel, whose models most of the others need."""
OWN_BIOBANK = ("number_of_scores",)
"""Scripts that make a biobank of their own, and wait for no other."""


@dataclass(frozen=True)
class Part:
    """One call of a script.

    Attributes:
        script: Its name.
        seeds: What it is asked for.
    """

    script: str
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of its log.

        >>> Part("controls", (0, 1)).name
        'controls_0_1'
        """
        return "_".join([self.script, *map(str, self.seeds)])


Run = Callable[[Part, int], Awaitable[bool]]
"""Runs a part in so many threads, and returns whether it succeeded."""


def main() -> None:
    """Run, or go on."""
    parser = arguments(__doc__, seeds=())
    parser.add_argument(
        "--jobs", type=int, default=available_cores(), help="seeds at a time; default as many as cores"
    )
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, help="some of the scripts")
    given = parser.parse_args()
    if given.jobs < 1:
        parser.error(f"--jobs {given.jobs}: expected at least 1")
    seeds = {name: tuple(given.seeds) or seeds_of(name) for name in SCRIPTS if name in given.only}
    logs = given.out / given.size / "logs"
    logs.mkdir(parents=True, exist_ok=True)

    async def run(part: Part, threads: int) -> bool:
        script = str(Path(__file__).with_name(f"{part.script}.py"))
        options = ["--size", given.size, "--seeds", *map(str, part.seeds)]
        command = [sys.executable, script, str(given.out), *options]
        return await succeeds(command, part.name, logs / f"{part.name}.log", threads)

    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else scripts would outlive this process
    failed = asyncio.run(run_parts(seeds, given.jobs, run))
    say(f"experiments: {len(seeds)} scripts, {(time.monotonic() - began) / 60:.0f} minutes, {logs.parent}")
    if failed:
        sys.exit(f"failed: {', '.join(part.name for part in failed)}; see {logs}, then call this again")


def seeds_of(script: str) -> tuple[int, ...]:
    """The seeds that a script has by default."""
    found: Sequence[int] = getattr(import_module(script), "SEEDS", SEEDS)
    return tuple(found)


async def run_parts(seeds: Mapping[str, tuple[int, ...]], jobs: int, run: Run) -> list[Part]:
    """Run each script seed by seed, several seeds at a time, then those of several seeds for all of theirs.

    Args:
        seeds: Of each script.
        jobs: Seeds at a time.
        run: Runs a part.

    Returns:
        Parts that failed. A script of which a seed failed is not run for all of its seeds.
    """
    free, cores = asyncio.Semaphore(jobs), available_cores()

    async def one_after_another(parts: Sequence[Part]) -> list[Part]:
        async with free:
            return [part for part in parts if not await run(part, max(1, cores // jobs))]

    found = await asyncio.gather(*map(one_after_another, by_seed(seeds)))
    failed = [part for parts in found for part in parts]
    unfinished = {part.script for part in failed}
    whole = [Part(name, own) for name, own in seeds.items() if len(own) > 1 and name not in unfinished]
    return [*failed, *[part for part in whole if not await run(part, cores)]]


def by_seed(seeds: Mapping[str, tuple[int, ...]]) -> list[list[Part]]:
    """The parts of each seed in the order of the scripts; the seed with most of them first.

    Those with a biobank of their own are by themselves.

    >>> [[part.name for part in parts] for parts in by_seed({"a": (0, 1), "b": (1,)})]
    [['a_1', 'b_1'], ['a_0']]
    >>> [[part.name for part in parts] for parts in by_seed({"a": (0,), "number_of_scores": (0,)})]
    [['a_0'], ['number_of_scores_0']]
    """
    found: dict[tuple[str, int], list[Part]] = {}
    for script, own in seeds.items():
        for seed in own:
            biobank = script if script in OWN_BIOBANK else ""
            found.setdefault((biobank, seed), []).append(Part(script, (seed,)))
    return sorted(found.values(), key=len, reverse=True)


async def succeeds(command: Sequence[str], name: str, log: Path, threads: int) -> bool:
    """Run a command with what it prints in a log, and say when it ends; returns whether it succeeded."""
    say(f"{name}: begins")
    began = time.monotonic()
    limits = {"OMP_NUM_THREADS": str(threads), "LOKY_MAX_CPU_COUNT": str(threads)}
    with log.open("w", encoding="utf-8") as file:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=file, stderr=file, env=os.environ | limits
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
    end = "done" if code == 0 else f"failed, exit code {code}: {last_line(log.read_text().splitlines())}"
    say(f"{name}: {end}, {(time.monotonic() - began) / 60:.1f} minutes")
    return code == 0


def last_line(lines: Iterable[str]) -> str:
    """The last that is not empty.

    >>> last_line(["Traceback", "KeyError: 'x'", ""])
    "KeyError: 'x'"
    """
    return next((line for line in reversed(list(lines)) if line.strip()), "nothing printed")


if __name__ == "__main__":
    main()
