"""From a virtual GWAS to weights.

No individuals are simulated for the GWAS; its summary statistics are drawn from their law. For standardised
genotypes X of a discovery panel of n0 people, with LD R = X'X/n0 within a block and joint effects b:

    marginal estimates = R b + noise,   noise ~ Normal(0, R / n),   n the discovery size

Scores of one study share its noise. Hidden variants act through their LD with the listed ones. Null scores
have b = 0 and weigh only the chromosomes without causal variants, so no LD ties them to any trait by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.plink import read_calls
from proband.synth.genomes.polygenic.liability import NULL_CHROMOSOMES, Genetics, chromosome_folder
from proband.synth.genomes.polygenic.linkage import Linkage, Panel, blocks, read_panel
from proband.synth.genomes.polygenic.methods import WIDEST_P, clump, penalty, ridge, z_bound
from proband.synth.genomes.polygenic.plans import DISCOVERIES, Plan, plan_scores
from proband.synth.traits import TRAITS

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
                penalties = np.array([penalty(plans[score], share * config.variants) for score in scores])
                chosen = np.array(scores)[:, None], rows[None, :]
                found[chosen] = ridge(linkage or self._hapmap_linkage(), estimates[chosen], penalties)
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
