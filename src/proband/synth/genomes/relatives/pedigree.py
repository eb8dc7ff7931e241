"""The genealogy: biobank subjects, some of them relatives, and the absent people who tie them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Int

from proband.core.seeds import generator
from proband.synth.config import POPULATIONS, SynthConfig
from proband.synth.genomes.relatives.families import ALONE, KINDS, Member, draw_calendar, num_subjects

MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Pedigree:
    """Everyone, parents before their children.

    Attributes:
        population: Name of the population; a family is of one.
        father: Row of the father, -1 for founders.
        mother: Row of the mother, -1 for founders.
        male: Sex.
        birth: Midnight of birth, microseconds since 1970.
        entry: Midnight of enrolment; 0 for those outside the biobank.
        subject: Row of the biobank, -1 for those outside it.
        family: Number of the family; everyone has one.
    """

    population: np.ndarray
    father: Int[np.ndarray, " people"]
    mother: Int[np.ndarray, " people"]
    male: Bool[np.ndarray, " people"]
    birth: Int[np.ndarray, " people"]
    entry: Int[np.ndarray, " people"]
    subject: Int[np.ndarray, " people"]
    family: Int[np.ndarray, " people"]

    @property
    def people(self) -> Int[np.ndarray, " subjects"]:
        """Row of each subject of the biobank, in the biobank's order."""
        rows = np.flatnonzero(self.subject >= 0)
        return rows[np.argsort(self.subject[rows])]

    @property
    def founder(self) -> Bool[np.ndarray, " people"]:
        """Whether a person's parents are unknown."""
        return self.father < 0

    @property
    def generation(self) -> Int[np.ndarray, " people"]:
        """0 for founders, else one more than the later parent's."""
        generation = np.zeros(len(self.father), dtype=np.int64)
        while True:
            known = ~self.founder
            later = np.maximum(generation[self.father], generation[self.mother]) + 1
            after = np.where(known, later, 0)
            if np.array_equal(after, generation):
                return generation
            generation = after


@dataclass(frozen=True)
class Subjects:
    """The biobank's subjects in its order; the same columns as in :class:`Pedigree`."""

    male: Bool[np.ndarray, " subjects"]
    population: np.ndarray
    birth: Int[np.ndarray, " subjects"]
    entry: Int[np.ndarray, " subjects"]
    family: Int[np.ndarray, " subjects"]


def subjects_of(pedigree: Pedigree) -> Subjects:
    """What is known of each subject before any genome or life."""
    people = pedigree.people
    return Subjects(**{field.name: getattr(pedigree, field.name)[people] for field in fields(Subjects)})


def population_sizes(config: SynthConfig) -> dict[str, int]:
    """Subjects per population, adding up to ``config.subjects`` (largest remainders)."""
    exact = np.array(config.population_shares) * config.subjects
    counts = np.floor(exact + 1e-9).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: config.subjects - counts.sum()]] += 1
    return {name: int(count) for name, count in zip(POPULATIONS, counts, strict=True)}


def draw_pedigree(config: SynthConfig) -> Pedigree:
    """Draw every family of the biobank; a share ``config.related`` of subjects have a relative in it.

    Raises:
        ConfigError: A kind of family does not fit the days of enrolment.
    """
    random = generator(config.seed, "synth", "pedigree")
    parts: list[dict[str, np.ndarray]] = []
    first_family = 0
    for population, members, count in _families(config, random):
        parts.append(_people(population, members, count, first_family, config, random))
        first_family += count
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    sizes = np.array([len(part["family"]) for part in parts])
    offset = np.repeat(np.cumsum(sizes) - sizes, sizes)
    for parent in ("father", "mother"):
        columns[parent] = np.where(columns[parent] >= 0, columns[parent] + offset, -1)
    # Families and populations would otherwise be neighbours, and the order would tell who belongs together.
    inside = np.flatnonzero(columns.pop("inside"))
    columns["subject"] = np.full(len(offset), -1)
    columns["subject"][inside] = random.permutation(len(inside))
    return Pedigree(**columns)


def _families(
    config: SynthConfig, random: np.random.Generator
) -> Iterator[tuple[str, tuple[Member, ...], int]]:
    """Population, members and number of the families of each kind."""
    shares = np.array([share for share, _ in KINDS.values()])
    kinds = [members for _, members in KINDS.values()]
    width = np.array([num_subjects(members) for members in kinds])
    for population, size in population_sizes(config).items():
        drawn = random.choice(len(kinds), size, p=shares / shares.sum())
        drawn = drawn[np.cumsum(width[drawn]) <= round(config.related * size)]
        for kind, members in enumerate(kinds):
            yield population, members, int(np.sum(drawn == kind))
        yield population, ALONE, size - int(width[drawn].sum())


def _people(
    population: str,
    members: Sequence[Member],
    count: int,
    first_family: int,
    config: SynthConfig,
    random: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Columns of ``count`` families of one kind, one family after another; parents as rows of these."""
    birth, entry = draw_calendar(members, count, config, random)
    sexes = [random.random(count) < 0.5 if one.male is None else np.full(count, one.male) for one in members]
    start = np.arange(count)[:, None] * len(members)

    def rows_of(places: list[int]) -> np.ndarray:
        return np.where(np.array(places) >= 0, start + np.array(places), -1).ravel()

    return {
        "population": np.full(birth.size, population),
        "father": rows_of([member.father for member in members]),
        "mother": rows_of([member.mother for member in members]),
        "male": np.stack(sexes, axis=1).ravel(),
        "birth": birth.ravel() * MICROSECONDS_PER_DAY,
        "entry": entry.ravel() * MICROSECONDS_PER_DAY,
        "inside": np.tile([member.subject for member in members], count),
        "family": np.repeat(first_family + np.arange(count), len(members)),
    }
