"""Which tokens make the outcomes of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from proband.core.errors import ConfigError, near_matches
from proband.core.running.progress import say
from proband.ehr.outcomes import Task
from proband.ehr.task.bounds import no_unit_given
from proband.ehr.task.codesets import Codes, Pattern
from proband.ehr.task.labelled import Labelled
from proband.ehr.units.convert import SAME, Line, conversion
from proband.ehr.units.counts import different_units
from proband.tokens.vocabulary import Vocabulary


def outcome_tokens(
    vocabulary: Vocabulary, task: Task, stage: str = "forecast"
) -> dict[str, Bool[np.ndarray, "steps vocabulary"]]:
    """Tokens of each step of each outcome; sets of codes, which have one step, come before patterns.

    An outcome that is given as labels has one step without a token.

    Of a step that asks for values, those bins count that lie beyond the bound as a whole. Where the bound
    falls inside a bin, a line says which edge counts instead. Bounds are converted to the unit of the bins;
    bins of a unit that they do not convert to do not count.

    Args:
        vocabulary: The tokens there are.
        task: The task.
        stage: Name of the stage that asks, for what is said.

    Raises:
        ConfigError: A bound has no unit, and its values came in several. No code of a step is in the
            vocabulary, and the outcome may not be absent (names near matches); or no value bin
            lies beyond a step's bounds.
    """
    tokens = _Tokens(vocabulary, stage)
    found, unknown = {}, {}
    for name, outcome in sorted(task.outcomes.items(), key=lambda item: isinstance(item[1], Pattern)):
        if isinstance(outcome, Labelled):
            found[name] = np.zeros((1, len(vocabulary)), dtype=bool)
            continue
        steps = [tokens.named(step) for step in outcome.steps]
        absent = [step for step, members in zip(outcome.steps, steps, strict=True) if not members.any()]
        if not absent:
            steps = [tokens.beyond(name, *pair) for pair in zip(outcome.steps, steps, strict=True)]
        elif outcome.may_be_absent:
            say(f"{stage}: the model knows no code of {name}; its risks are 0")
        else:
            unknown[name] = absent[0]
        rolled = sorted({code for step in outcome.steps for code in step.select(vocabulary.rolled)})
        if rolled and name not in unknown:
            say(f"{stage}: {len(rolled)} rare codes of {name} rolled up and do not count, first {rolled[0]}")
        found[name] = np.stack(steps)
    if unknown:
        raise tokens.unknown(unknown)
    return found


class _Tokens:
    """A vocabulary as outcomes see it: codes without bins, and the values of bins."""

    def __init__(self, vocabulary: Vocabulary, stage: str) -> None:
        self.vocabulary, self.stage = vocabulary, stage
        self.codes = vocabulary.recorded_codes()
        self.units = vocabulary.bin_units()
        self.low, self.high = vocabulary.value_bounds().T
        self.said: set[str] = set()

    def named(self, step: Codes) -> Bool[np.ndarray, " vocabulary"]:
        """Tokens of the step's codes, whatever their values."""
        chosen = set(step.select(self.codes))
        return np.array([code in chosen for code in self.codes])

    def beyond(
        self, name: str, step: Codes, members: Bool[np.ndarray, " vocabulary"]
    ) -> Bool[np.ndarray, " vocabulary"]:
        """Those of ``members`` whose values all lie within the step's bounds."""
        if not step.bounded:
            return members
        above, below, known = self._bounds_of(name, step, members)
        whole = known & ((self.low > above) | np.isneginf(above)) & (self.high <= below)
        whole &= ~np.isnan(self.low)
        if not whole.any():
            raise self._no_bin(name, step, members)
        partly = known & ~whole & (self.high > above) & (self.low < below)
        if partly.any():
            self._say_edges(
                name, step, whole, sorted({self.codes[token] for token in np.flatnonzero(partly)})
            )
        return whole

    def _bounds_of(
        self, name: str, step: Codes, members: Bool[np.ndarray, " vocabulary"]
    ) -> tuple[
        Float[np.ndarray, " vocabulary"], Float[np.ndarray, " vocabulary"], Bool[np.ndarray, " vocabulary"]
    ]:
        """Per token the step's bounds in the unit of its bin, and which members have a unit that converts."""
        above, below = np.full(len(self.codes), -np.inf), np.full(len(self.codes), np.inf)
        known = members.copy()
        for token in np.flatnonzero(members & ~np.isnan(self.low)):
            code, unit = self.codes[token], self.units[token]
            line: Line | None = SAME
            if step.unit is None:
                self._refuse_several(name, code)
            elif unit is not None:
                line = conversion(code, step.unit, unit)
            elif code in self.vocabulary.units:  # values without a unit, where others have one
                line = None
            if line is None:
                known[token] = False
                continue
            # Bounds are rounded as values are, so that a value equal to one does not lie beyond it.
            if step.above is not None:
                above[token] = np.float32(line(step.above))
            if step.below is not None:
                below[token] = np.float32(line(step.below))
        return above, below, known

    def _refuse_several(self, name: str, code: str) -> None:
        """Refuse a bound without a unit for a code whose train values came in several.

        Raises:
            ConfigError: Names the units.
        """
        recorded = [unit for group in self.vocabulary.units.get(code, ()) for unit in group]
        if len(different_units(code, recorded)) > 1:
            raise no_unit_given(name, code, recorded)

    def _say_edges(
        self, name: str, step: Codes, whole: Bool[np.ndarray, " vocabulary"], partly: Sequence[str]
    ) -> None:
        """Say which values of a code count instead of those asked for."""
        bins = whole & (np.array(self.codes) == partly[0])
        parts = [f"from {self.low[bins].min():g}"] if step.above is not None and bins.any() else []
        parts += [f"below {self.high[bins].max():g}"] if step.below is not None and bins.any() else []
        others = f" (so of {len(partly) - 1} more codes)" if len(partly) > 1 else ""
        line = (
            f"{self.stage}: {name} asks for {partly[0]} {_bounds(step)}; by the edges of the model's "
            f"value bins those {' and '.join(parts) or 'of none'} count{others}"
        )
        if line not in self.said:  # two steps may ask for the same
            say(line)
        self.said.add(line)

    def unknown(self, outcomes: Mapping[str, Codes]) -> ConfigError:
        """No token is of the codes of these outcomes."""
        (name, step), *others = outcomes.items()
        rare = step.select(self.vocabulary.rolled)
        static = step.select(self.vocabulary.statics)
        if static:
            return ConfigError(
                "an outcome of static codes, which nobody gets at a time",
                where=f"outcome {name}",
                found=static[0],
                remedy="name codes that have times",
            )
        remedy = near_matches(step.asked[0], self.codes) or "compare with codes in vocabulary.json"
        if rare:
            remedy = (
                f"{len(rare)} of its codes were too rare and rolled up, first {rare[0]}: "
                "tokenise with a lower --min-subjects and train again"
            )
        also = f"; the same of {len(others)} more outcomes: {', '.join(other for other, _ in others)}"
        return ConfigError(
            "outcome codes are not in the model's vocabulary",
            where=f"outcome {name}",
            found=", ".join(step.asked[:5]) + (also if others else ""),
            remedy=remedy,
        )

    def _no_bin(self, name: str, step: Codes, members: Bool[np.ndarray, " vocabulary"]) -> ConfigError:
        binned = [self.codes[token] for token in np.flatnonzero(members & ~np.isnan(self.low))]
        if not binned:
            found = f"no value bins of {self.codes[np.flatnonzero(members)[0]]}"
            return ConfigError(
                "the model knows no values of an outcome's codes",
                where=f"outcome {name}",
                found=found,
                remedy="drop above and below, or train on more measurements of it",
            )
        edges = ", ".join(f"{edge:g}" for edge in self.vocabulary.edges[binned[0]])
        return ConfigError(
            "no value bin of the model lies beyond an outcome's bounds as a whole",
            where=f"outcome {name}",
            found=f"{binned[0]} {_bounds(step)}, bins with edges {edges}",
            remedy="move the bound to an edge, or tokenise with more --num-bins and train again",
        )


def _bounds(step: Codes) -> str:
    above = [f"above {step.above:g}"] if step.above is not None else []
    below = [f"below {step.below:g}"] if step.below is not None else []
    return " and ".join(above + below) + (f" {step.unit}" if step.unit else "")
