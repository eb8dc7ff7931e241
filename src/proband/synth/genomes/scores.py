"""Polygenic scores as the field makes them: from an imperfect virtual GWAS in another sample.

No individuals are simulated for the GWAS; its summary statistics are drawn from their law. For standardised
genotypes X of a discovery panel of n0 samples, with LD R = X'X/n0 within a piece and joint effects b:

    marginal estimates = R b + noise,   noise ~ Normal(0, R / n),   n the discovery size

The noise is drawn as X'z / sqrt(n0 n) with z standard normal, which has exactly this covariance. Null scores
have b = 0 and weigh only the chromosomes without causal variants, so no LD ties them to any trait by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.core.progress import track
from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.genotypes import Genome
from proband.synth.genomes.liability import NULL_CHROMOSOMES
from proband.synth.traits import TRAITS

METHODS = ("ridge", "threshold_1e-4", "threshold_1e-2", "ridge", "threshold_5e-8")
"""Cycle of methods: ridge by block (weights of every variant), or clumping and a p-value threshold."""
CLUMP_R2 = 0.1
LEAST_VARIANTS = 10
"""A thresholded score takes at least this many variants, the best ones."""
_EAST_ASIAN_EVERY = 4
"""Every fourth pass over the traits is discovered in East Asians, the others in Europeans."""
_NULL_HERITABILITY = 0.25
"""Heritability that the ridge assumes for a control trait, which has none."""
_FLIPPED, _FAILED, _HIDDEN = 0.01, 0.003, 0.2
"""Shares of rows on the other strand, without harmonised position, and of untyped variants listed."""
_COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


@dataclass(frozen=True)
class Score:
    """One polygenic score.

    Attributes:
        pgs_id: SYN000001 and on.
        trait: Trait's name, or ``control_k`` for a null score.
        label: Trait for people.
        discovery: Population of its GWAS.
        size: Size of its GWAS.
        method: Of :data:`METHODS`.
        rows: Its scoring file's columns.
    """

    pgs_id: str
    trait: str
    label: str
    discovery: str
    size: int
    method: str
    rows: pl.DataFrame

    @property
    def name(self) -> str:
        """Its pgs_name: what it is of, and how it was made."""
        return f"{self.trait}_{self.discovery}_n{self.size}_{self.method}"

    @property
    def is_null(self) -> bool:
        """Whether it is a control that nothing causes."""
        return self.trait.startswith("control_")


@dataclass(frozen=True)
class Plan:
    """What the k-th score is of and how it is made; ``trait`` is -1 for a null score."""

    pgs_id: str
    trait: int
    discovery: str
    size: int
    method: str
    stream: int


def plan_scores(config: SynthConfig) -> list[Plan]:
    """The scores to make: nulls spread evenly among passes over traits, sizes and methods.

    >>> [plan.trait for plan in plan_scores(SynthConfig(scores=5, null_scores=0.2))]
    [0, 1, 2, 3, -1]
    """
    plans: list[Plan] = []
    num_null = num_real = 0
    for index in range(config.scores):
        is_null = int((index + 1) * config.null_scores + 1e-9) > num_null
        position = num_null if is_null else num_real
        cycle = position if is_null else position // len(TRAITS)
        sizes = config.discovery_sizes
        plans.append(
            Plan(
                pgs_id=f"SYN{index + 1:06d}",
                trait=-1 if is_null else position % len(TRAITS),
                discovery="EAS" if cycle % _EAST_ASIAN_EVERY == _EAST_ASIAN_EVERY - 1 else "EUR",
                size=sizes[-1 - cycle % len(sizes)],
                method=METHODS[cycle % len(METHODS)],
                stream=position,
            )
        )
        num_null, num_real = num_null + is_null, num_real + (not is_null)
    return plans


def make_scores(
    genome: Genome, effects: Float[np.ndarray, "variants traits"], config: SynthConfig
) -> list[Score]:
    """Run every score's virtual GWAS, weigh the variants and lay out its rows."""
    panels = {name: _Panel.of(panel) for name, panel in genome.panels.items()}
    chrom = genome.variants["chrom"].to_numpy()
    plans = plan_scores(config)
    weights = np.zeros((len(chrom), len(plans)))
    for number in track(np.unique(chrom), "Virtual GWAS", 22):
        block = np.flatnonzero(chrom == number)
        linkage = {name: panel.linkage(block) for name, panel in panels.items()}
        for column, plan in enumerate(plans):
            if plan.trait >= 0 or number in NULL_CHROMOSOMES:
                panel, ld = panels[plan.discovery], linkage[plan.discovery]
                estimates = _estimates(panel, ld, block, effects, plan, config)
                weights[block, column] = _weigh(ld, estimates, plan, len(chrom))
    return [
        _score(genome, _selected(weights[:, column], plan) / panels[plan.discovery].sd, plan, config)
        for column, plan in enumerate(plans)
    ]


@dataclass(frozen=True)
class _Panel:
    standardised: np.ndarray
    sd: np.ndarray

    @classmethod
    def of(cls, panel: np.ndarray) -> _Panel:
        values = panel.astype(np.float32)
        centred = values - values.mean(axis=1, keepdims=True)
        sd = np.asarray(centred.std(axis=1), dtype=np.float64)
        # A variant that the panel lacks has no estimate and no weight: its standardised genotype is 0.
        return cls(
            np.where(sd[:, None] > 0, centred / np.maximum(sd, 1e-12)[:, None], 0), np.where(sd > 0, sd, 1.0)
        )

    def linkage(self, block: np.ndarray) -> np.ndarray:
        genotypes = self.standardised[block].astype(np.float64)
        return genotypes @ genotypes.T / genotypes.shape[1]


def _estimates(
    panel: _Panel,
    linkage: np.ndarray,
    block: np.ndarray,
    effects: np.ndarray,
    plan: Plan,
    config: SynthConfig,
) -> np.ndarray:
    """Marginal estimates of one block, per standard deviation of genotype and of liability."""
    label = ("null",) if plan.trait < 0 else ("trait", plan.trait)
    random = generator(config.seed, "synth", "gwas", *label, plan.stream, int(block[0]))
    num_samples = panel.standardised.shape[1]
    draws = np.asarray(random.standard_normal(num_samples), dtype=np.float32)
    noise = np.asarray(panel.standardised[block] @ draws, dtype=np.float64) / np.sqrt(num_samples * plan.size)
    if plan.trait < 0:
        return noise
    joint = effects[block, plan.trait] * panel.sd[block] * np.sqrt(TRAITS[plan.trait].heritability)
    return linkage @ joint + noise


def _weigh(linkage: np.ndarray, estimates: np.ndarray, plan: Plan, num_variants: int) -> np.ndarray:
    if plan.method == "ridge":
        heritability = TRAITS[plan.trait].heritability if plan.trait >= 0 else _NULL_HERITABILITY
        # The posterior mean under equal normal effects; Vilhjalmsson 2015, doi:10.1016/j.ajhg.2015.09.001.
        penalty = num_variants / (plan.size * heritability)
        return np.linalg.solve(linkage + penalty * np.eye(len(linkage)), estimates)
    return clump(linkage, estimates)


def clump(
    linkage: Float[np.ndarray, "variants variants"], estimates: Float[np.ndarray, " variants"]
) -> Float[np.ndarray, " variants"]:
    """Keep estimates from the strongest down, none in LD with a stronger one that is kept.

    >>> clump(np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1.0]]), np.array([0.5, 0.6, 0.1]))
    array([0. , 0.6, 0.1])
    """
    kept = np.zeros_like(estimates)
    free = np.ones(len(estimates), dtype=bool)
    for index in np.argsort(-np.abs(estimates), kind="stable"):
        if free[index]:
            kept[index] = estimates[index]
            free &= linkage[index] ** 2 < CLUMP_R2
    return kept


def _selected(weights: np.ndarray, plan: Plan) -> np.ndarray:
    """The weights that pass the score's p-value threshold, at least the strongest few."""
    if plan.method == "ridge":
        return weights
    threshold = -NormalDist().inv_cdf(float(plan.method.removeprefix("threshold_")) / 2) / np.sqrt(plan.size)
    least = np.sort(np.abs(weights))[-LEAST_VARIANTS:].min()
    return np.where(np.abs(weights) >= min(threshold, least), weights, 0)


def _score(genome: Genome, per_allele: np.ndarray, plan: Plan, config: SynthConfig) -> Score:
    random = generator(config.seed, "synth", "score", plan.pgs_id)
    typed = genome.variants["genotyped"].to_numpy()
    listed = np.flatnonzero((per_allele != 0) & (typed | (random.random(len(typed)) < _HIDDEN)))
    variants = genome.variants[listed]
    weight = per_allele[listed]
    # Files name either allele as the effect allele; the sign of the weight follows.
    swapped = random.random(len(listed)) < 0.5
    alleles = [
        pl.Series(np.where(swapped, variants[first].to_numpy(), variants[second].to_numpy()), dtype=pl.String)
        for first, second in (("ref", "alt"), ("alt", "ref"))
    ]
    flipped = pl.Series(random.random(len(listed)) < _FLIPPED)
    failed = pl.Series(random.random(len(listed)) < _FAILED)
    effect, other = (
        pl.select(pl.when(flipped).then(allele.replace_strict(_COMPLEMENT)).otherwise(allele)).to_series()
        for allele in alleles
    )
    rows = pl.DataFrame(
        {
            "rsID": variants["rsid"],
            "chr_name": variants["chrom"],
            "chr_position": variants["pos"],
            "effect_allele": effect,
            "other_allele": other,
            "effect_weight": np.where(swapped, -weight, weight).round(8),
            "hm_source": "SYNTH",
            "hm_rsID": variants["rsid"],
            "hm_chr": pl.select(pl.when(~failed).then(variants["chrom"])).to_series(),
            "hm_pos": pl.select(pl.when(~failed).then(variants["pos"])).to_series(),
            "hm_inferOtherAllele": pl.Series([None] * len(listed), dtype=pl.String),
        }
    )
    is_null = plan.trait < 0
    trait = f"control_{plan.stream + 1}" if is_null else TRAITS[plan.trait].name
    label = f"Synthetic control {plan.stream + 1}" if is_null else TRAITS[plan.trait].label
    return Score(plan.pgs_id, trait, label, plan.discovery, plan.size, plan.method, rows)
