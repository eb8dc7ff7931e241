"""Which polygenic scores there are: of what trait, from whose genomes, how many, and by which method."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.traits import TRAITS

METHODS = ("ridge", "ridge_hapmap3", "spike_and_slab", "threshold_1e-2", "threshold_1e-4", "threshold_5e-8")
"""How a score is made of its GWAS; :mod:`proband.synth.genomes.polygenic.methods` says how each works."""


@dataclass(frozen=True)
class Discovery:
    """A kind of discovery sample.

    Attributes:
        share: Share of scores that come from it.
        size: Its sizes relative to ``SynthConfig.discovery_sizes``.
        mixture: Shares of the panels of single populations in it.
        components: Leading components of its genotypes that the GWAS adjusts for: in a pool of populations
            one fewer than their sources. Within one admixed population none is needed: its chromosomes are
            simulated apart, so ancestry on one says nothing of ancestry on another.
    """

    share: float
    size: float
    mixture: dict[str, float]
    components: int


DISCOVERIES = {
    "EUR": Discovery(0.6, 1.0, {"EUR": 1.0}, 0),
    "MULTI": Discovery(0.15, 1.0, {"EUR": 0.5, "EAS": 0.15, "AFA": 0.2, "AMR": 0.15}, 2),
    "EAS": Discovery(0.1, 0.2, {"EAS": 1.0}, 0),
    "AFA": Discovery(0.08, 0.1, {"AFA": 1.0}, 0),
    "AMR": Discovery(0.07, 0.1, {"AMR": 1.0}, 0),
}
"""Mostly European and smaller elsewhere, as in the field; all numbers are rounded choices of ours."""
BEST = ("EUR", "ridge")
"""Discovery and method that predict Europeans' genetic values best at any size; at the largest size it is the
score whose published hazard ratio ``traits.yaml`` gives."""


@dataclass(frozen=True)
class Plan:
    """One polygenic score.

    Attributes:
        pgs_id: SYN000001 and on.
        trait: Place in the table of traits; -1 for a null score.
        control: Number of a null score, from 1; 0 for the others.
        discovery: Key of :data:`DISCOVERIES`.
        size: People in its GWAS.
        method: Of :data:`METHODS`.
        cohort: Scores of one trait, discovery, size and cohort come from one GWAS.
    """

    pgs_id: str
    trait: int
    control: int
    discovery: str
    size: int
    method: str
    cohort: int

    @property
    def is_null(self) -> bool:
        """Whether it is a control that nothing causes."""
        return self.trait < 0

    @property
    def trait_name(self) -> str:
        """Name in the table of traits, or ``control_k``."""
        return f"control_{self.control}" if self.is_null else TRAITS[self.trait].name

    @property
    def label(self) -> str:
        """The trait for people."""
        return f"Synthetic control {self.control}" if self.is_null else TRAITS[self.trait].label

    @property
    def name(self) -> str:
        """Its pgs_name: what it is of, and how it was made."""
        return f"{self.trait_name}_{self.discovery}_n{self.size}_{self.method}"

    @property
    def study(self) -> tuple[str, str, int, int]:
        """The GWAS it comes from."""
        return self.trait_name, self.discovery, self.size, self.cohort


def plan_scores(config: SynthConfig) -> list[Plan]:
    """The scores to make: traits in turn with nulls spread evenly among them, the rest drawn.

    The first score of every trait is the best one, of :data:`BEST` and the largest discovery size; discovery,
    size and method of its later ones are drawn. A longer plan begins with the shorter one.

    >>> [plan.trait for plan in plan_scores(SynthConfig(scores=5, null_scores=0.2))]
    [0, 1, 2, 3, -1]
    """
    random = generator(config.seed, "synth", "plan")
    shares = np.array([kind.share for kind in DISCOVERIES.values()])
    used: Counter[tuple[int, str, int, str]] = Counter()
    plans: list[Plan] = []
    num_null = 0
    for index in range(config.scores):
        is_null = int((index + 1) * config.null_scores + 1e-9) > num_null
        num_null += is_null
        trait = -1 if is_null else (index - num_null) % len(TRAITS)
        discovery = str(random.choice(list(DISCOVERIES), p=shares / shares.sum()))
        size = max(2, round(DISCOVERIES[discovery].size * int(random.choice(config.discovery_sizes))))
        method = str(random.choice(METHODS))
        if not is_null and index - num_null < len(TRAITS):
            discovery, method = BEST
            size = max(2, round(DISCOVERIES[discovery].size * max(config.discovery_sizes)))
        key = (-num_null if is_null else trait, discovery, size, method)
        plans.append(
            Plan(f"SYN{index + 1:06d}", trait, num_null if is_null else 0, discovery, size, method, used[key])
        )
        used[key] += 1
    return plans


def score_table(config: SynthConfig) -> pl.DataFrame:
    """What every score is: pgs_id, trait, discovery, size, method, is_null."""
    plans = plan_scores(config)
    return pl.DataFrame(
        {
            "pgs_id": [plan.pgs_id for plan in plans],
            "trait": [plan.trait_name for plan in plans],
            "discovery": [plan.discovery for plan in plans],
            "size": [plan.size for plan in plans],
            "method": [plan.method for plan in plans],
            "is_null": [plan.is_null for plan in plans],
        }
    )
