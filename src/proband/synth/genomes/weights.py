"""From a virtual GWAS to weights.

No individuals are simulated for the GWAS; its summary statistics are drawn from their law. For standardised
genotypes X of a discovery panel of n0 people, with LD R = X'X/n0 within a block and joint effects b:

    marginal estimates = R b + noise,   noise ~ Normal(0, R / n),   n the discovery size

Scores of one study share its noise. Hidden variants act through their LD with the listed ones. Null scores
have b = 0 and weigh only the chromosomes without causal variants, so no LD ties them to any trait by chance.

Methods: ``ridge`` is the posterior mean under equal normal effects (LDpred-inf; Vilhjalmsson 2015,
doi:10.1016/j.ajhg.2015.09.001), ``ridge_hapmap3`` the same on a subset of variants, ``threshold_p`` keeps
the strongest of each clump below a p-value, ``spike_and_slab`` shrinks those of the widest threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from threadpoolctl import threadpool_limits

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.liability import NULL_CHROMOSOMES, Genetics, chromosome_folder
from proband.synth.genomes.linkage import Linkage, Panel, blocks, read_panel
from proband.synth.genomes.plans import DISCOVERIES, Plan, plan_scores
from proband.synth.genomes.plink import read_calls
from proband.synth.traits import TRAITS

CLUMP_R2 = 0.1
LEAST_VARIANTS = 10
"""A score of clumps takes at least this many variants, the best ones."""
WIDEST_P = 0.01
"""Only variants below this p-value, and the strongest of each block, are clumped."""
CAUSAL_SHARE = 0.01
"""Share of variants with an effect that spike-and-slab assumes; rounded choice of ours, as is the next."""
LEAST_INCLUSION = 0.1
"""Spike-and-slab lists variants with at least this posterior probability of an effect."""
_NULL_HERITABILITY = 0.25
"""Heritability that the methods assume for a control trait, which has none."""
_SCORES_AT_ONCE = 256


def weigh_chromosome(config: SynthConfig, work: Path, genetics: Genetics, chrom: int) -> None:
    """Run every study on one chromosome and weigh its variants.

    Writes into the chromosome's work folder weights.npy, float32 (scores, listed variants): the weights of
    ridge scores and the estimates at the clumped variants of the others, both per standard deviation of the
    genotype; and sd.npy (discoveries, listed variants), those standard deviations.
    """
    folder = chromosome_folder(work, chrom)
    calls = read_calls(folder / "discovery.pgen")
    listed = pl.read_parquet(folder / "variants.parquet")["in_discovery"].to_numpy()
    plans = plan_scores(config)
    weights = np.lib.format.open_memmap(
        folder / "weights.npy", mode="w+", dtype=np.float32, shape=(len(plans), int(listed.sum()))
    )
    sd = np.ones((len(DISCOVERIES), int(listed.sum())))
    with threadpool_limits(1):
        for place, discovery in enumerate(DISCOVERIES):
            numbers = [
                number
                for number, plan in enumerate(plans)
                if plan.discovery == discovery and (not plan.is_null or chrom in NULL_CHROMOSOMES)
            ]
            if numbers:
                panel = read_panel(config, work, calls, discovery)
                sd[place] = panel.sd[listed]
                _weigh_panel(config, folder, panel, genetics.effects[chrom], plans, numbers, weights)
    weights.flush()
    np.save(folder / "sd.npy", sd)


def _weigh_panel(
    config: SynthConfig,
    folder: Path,
    panel: Panel,
    effects: Float[np.ndarray, "variants traits"],
    plans: Sequence[Plan],
    numbers: Sequence[int],
    weights: np.ndarray,
) -> None:
    """Fill the rows of ``weights`` of all scores of one discovery sample, block by block."""
    variants = pl.read_parquet(folder / "variants.parquet")
    listed, hapmap = (variants[name].to_numpy() for name in ("in_discovery", "in_hapmap"))
    column = np.cumsum(listed) - 1
    for number, rows in enumerate(blocks(variants)):
        seen = rows[listed[rows]]
        if not len(seen):
            continue
        means = _expected(panel, rows, seen, effects)
        block = _Block(
            panel.block(seen), np.flatnonzero(hapmap[seen]), means, (int(variants["chrom"][0]), number)
        )
        for first in range(0, len(numbers), _SCORES_AT_ONCE):
            part = np.array(numbers[first : first + _SCORES_AT_ONCE])
            found = block.weigh(config, [plans[score] for score in part])
            weights[part[:, None], column[seen]] = found


def _expected(
    panel: Panel,
    rows: Int[np.ndarray, " block"],
    seen: Int[np.ndarray, " seen"],
    effects: Float[np.ndarray, "variants traits"],
) -> Float[np.ndarray, "seen traits"]:
    """Marginal effects on the genetic values, of the listed variants, through LD with every causal one."""
    causal = rows[np.any(effects[rows] != 0, axis=1)]
    joint = (effects[causal] * panel.sd[causal, None]).astype(np.float32)
    values = panel.genotypes[causal].T @ joint
    return panel.genotypes[seen] @ values / np.float32(values.shape[0])


@dataclass
class _Block:
    """One LD block of one discovery sample.

    Attributes:
        linkage: LD of its listed variants.
        hapmap: Those of them in the HapMap subset.
        means: Expected estimates, for a genetic value of variance 1.
        name: Chromosome and number, for the random streams.
    """

    linkage: Linkage
    hapmap: Int[np.ndarray, " hapmap"]
    means: Float[np.ndarray, "listed traits"]
    name: tuple[int, int]
    _subset: Linkage | None = None

    def weigh(self, config: SynthConfig, plans: Sequence[Plan]) -> Float[np.ndarray, "scores listed"]:
        """Weights of ridge scores, estimates at clumped variants of the others; 0 elsewhere."""
        estimates = self._estimates(config, plans)
        found = np.zeros_like(estimates)
        every = np.arange(estimates.shape[1])
        for method, rows, linkage in (("ridge", every, self.linkage), ("ridge_hapmap3", self.hapmap, None)):
            scores = [score for score, plan in enumerate(plans) if plan.method == method]
            if scores and len(rows):
                share = len(rows) / len(every)
                penalties = np.array([_penalty(plans[score], share * config.variants) for score in scores])
                chosen = np.array(scores)[:, None], rows[None, :]
                found[chosen] = _ridge(linkage or self._hapmap_linkage(), estimates[chosen], penalties)
        for score, plan in enumerate(plans):
            if not plan.method.startswith("ridge"):
                # The strongest of a block always stays, so that no score is ever empty.
                bound = min(z_bound(WIDEST_P) / plan.size**0.5, float(np.abs(estimates[score]).max()))
                found[score] = clump(self.linkage.correlation, estimates[score], bound)
        return found

    def _hapmap_linkage(self) -> Linkage:
        if self._subset is None:
            self._subset = Linkage.of(self.linkage.correlation[np.ix_(self.hapmap, self.hapmap)])
        return self._subset

    def _estimates(self, config: SynthConfig, plans: Sequence[Plan]) -> Float[np.ndarray, "scores listed"]:
        """Marginal estimates of each score's study, per standard deviation of genotype and of liability."""
        count = len(self.linkage.values)
        draws, means = (np.zeros((len(plans), count), dtype=np.float32) for _ in range(2))
        for row, plan in enumerate(plans):
            random = generator(config.seed, "synth", "gwas", *plan.study, *self.name)
            draws[row] = random.standard_normal(count, dtype=np.float32) / np.sqrt(plan.size)
            if not plan.is_null:
                means[row] = self.means[:, plan.trait] * np.sqrt(TRAITS[plan.trait].heritability)
        return means + (draws * np.sqrt(self.linkage.values)) @ self.linkage.vectors.T


def _penalty(plan: Plan, num_variants: float) -> float:
    return num_variants / (plan.size * _heritability(plan))


def _heritability(plan: Plan) -> float:
    return _NULL_HERITABILITY if plan.is_null else float(TRAITS[plan.trait].heritability)


def _ridge(
    linkage: Linkage,
    estimates: Float[np.ndarray, "scores block"],
    penalties: Float[np.ndarray, " scores"],
) -> Float[np.ndarray, "scores block"]:
    """(R + penalty I)^-1 estimates for every score, by one decomposition of R."""
    shrunk = (estimates @ linkage.vectors) / (linkage.values + penalties[:, None].astype(np.float32))
    return shrunk @ linkage.vectors.T


def z_bound(p: float) -> float:
    """Two-sided z-value of a p-value.

    >>> round(z_bound(5e-8), 2)
    5.45
    """
    return -NormalDist().inv_cdf(p / 2)


def clump(
    correlation: Float[np.ndarray, "variants variants"],
    estimates: Float[np.ndarray, " variants"],
    bound: float,
) -> Float[np.ndarray, " variants"]:
    """Keep estimates of at least ``bound`` from the strongest down, none in LD with a stronger one kept.

    >>> clump(np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1.0]]), np.array([0.5, 0.6, 0.1]), 0.05)
    array([0. , 0.6, 0.1])
    """
    kept = np.zeros_like(estimates)
    left = np.flatnonzero(np.abs(estimates) >= bound)
    left = left[np.argsort(-np.abs(estimates[left]), kind="stable")]
    while len(left):
        kept[left[0]] = estimates[left[0]]
        left = left[1:][correlation[left[0], left[1:]] ** 2 < CLUMP_R2]
    return kept


def finish(
    stored: Float[np.ndarray, " variants"], plan: Plan, num_variants: int
) -> Float[np.ndarray, " variants"]:
    """The weights of a whole score, of what :func:`weigh_chromosome` stored of it on all chromosomes.

    Args:
        stored: Per standard deviation of the genotype.
        plan: The score.
        num_variants: Typed variants, which spike-and-slab shares the heritability among.
    """
    if plan.method.startswith("ridge"):
        return stored
    if plan.method == "spike_and_slab":
        weights, inclusion = spike_and_slab(stored, plan.size, _heritability(plan), num_variants)
        kept = inclusion >= LEAST_INCLUSION
    else:
        weights = stored
        bound = z_bound(float(plan.method.removeprefix("threshold_"))) / np.sqrt(plan.size)
        kept = np.abs(stored) >= bound
    if kept.sum() < LEAST_VARIANTS:
        kept[np.argsort(-np.abs(stored), kind="stable")[:LEAST_VARIANTS]] = True
    return np.where(kept, weights, 0)


def spike_and_slab(
    estimates: Float[np.ndarray, " variants"], size: int, heritability: float, num_variants: int
) -> tuple[Float[np.ndarray, " variants"], Bool[np.ndarray, " variants"] | Float[np.ndarray, " variants"]]:
    """Posterior means and inclusion probabilities of independent variants.

    With probability :data:`CAUSAL_SHARE` an effect is normal with the variance that shares ``heritability``
    among the causal ones, else 0; an estimate adds noise of variance 1 / ``size``.
    """
    slab, noise = heritability / (CAUSAL_SHARE * num_variants), 1 / size
    value = estimates.astype(np.float64)
    log_odds = (
        np.log(CAUSAL_SHARE / (1 - CAUSAL_SHARE))
        - 0.5 * np.log((slab + noise) / noise)
        + 0.5 * value**2 * (1 / noise - 1 / (slab + noise))
    )
    inclusion = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
    return inclusion * value * slab / (slab + noise), inclusion
