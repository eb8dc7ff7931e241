"""How many codes and subjects each line of an outcome selects, so that nobody takes a line on trust."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import polars as pl

from proband.core.running.progress import say
from proband.ehr.outcomes import Task
from proband.ehr.task.codesets import Codes

_MOST_LINES = 40


class Selection:
    """The lines of a task's outcomes, and the subjects who have a dated code of each.

    Args:
        task: The task.
        known: The codes there are.
    """

    def __init__(self, task: Task, known: Sequence[str]) -> None:
        self.chosen = {name: line.select(known) for name, line in _lines(task)}
        pairs = [(name, code) for name, codes in self.chosen.items() for code in codes]
        self._pairs = pl.DataFrame(pairs, schema={"line": pl.String, "code": pl.String}, orient="row")
        self.num_subjects: Counter[str] = Counter()

    def add(self, events: pl.DataFrame, subject_ids: Collection[int] | pl.Series) -> None:
        """Count the subjects of one shard; no subject may be in two.

        Args:
            events: Columns subject_id, time, code.
            subject_ids: Those who count.
        """
        named = events.lazy().filter(
            pl.col("time").is_not_null()
            & pl.col("code").is_in(self._pairs["code"].unique().to_list())
            & pl.col("subject_id").is_in(list(subject_ids))
        )
        pairs = named.select("subject_id", "code").unique().join(self._pairs.lazy(), on="code")
        counted = pairs.group_by("line").agg(pl.col("subject_id").n_unique()).collect()
        self.num_subjects.update(dict(counted.rows()))

    def report(self) -> list[str]:
        """A sentence for each line, in order; of more than forty those with the fewest subjects."""
        names = list(self.chosen)
        if len(names) > _MOST_LINES:
            names = sorted(names, key=lambda name: self.num_subjects[name])[:_MOST_LINES]
        said = [
            f"task: {name} selects {len(self.chosen[name]):,} codes in {self.num_subjects[name]:,} subjects"
            for name in names
        ]
        more = len(self.chosen) - len(names)
        return [*said, f"task: {more:,} more lines select codes in more subjects"] if more else said

    def say(self) -> None:
        """Print the report."""
        for line in self.report():
            say(line)


def _lines(task: Task) -> Iterator[tuple[str, Codes]]:
    for name, outcome in task.outcomes.items():
        for number, step in enumerate(outcome.steps, start=1):
            place = f"{name}, step {number}" if len(outcome.steps) > 1 else name
            for said, line in step.lines.items():
                yield f"{place}: {said}", line
