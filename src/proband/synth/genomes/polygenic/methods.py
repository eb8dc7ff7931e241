"""What makes a score of its study's estimates.

``ridge`` is the posterior mean under equal normal effects (LDpred-inf; Vilhjalmsson 2015,
doi:10.1016/j.ajhg.2015.09.001), ``ridge_hapmap3`` the same on a subset of variants, ``threshold_p`` keeps
the strongest of each clump below a p-value, ``spike_and_slab`` shrinks those of the widest threshold.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from proband.synth.genomes.polygenic.linkage import Linkage
from proband.synth.genomes.polygenic.plans import Plan
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


def penalty(plan: Plan, num_variants: float) -> float:
    """Ridge penalty of a score: variance of the noise over that of one variant's effect."""
    return num_variants / (plan.size * assumed_heritability(plan))


def assumed_heritability(plan: Plan) -> float:
    """Heritability that a method assumes of the score's trait."""
    return _NULL_HERITABILITY if plan.is_null else float(TRAITS[plan.trait].heritability)


def ridge(
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
    """A score's weights, of what :mod:`~proband.synth.genomes.polygenic.weights` stored on all chromosomes.

    Args:
        stored: Per standard deviation of the genotype.
        plan: The score.
        num_variants: Typed variants, which spike-and-slab shares the heritability among.
    """
    if plan.method.startswith("ridge"):
        return stored
    if plan.method == "spike_and_slab":
        weights, inclusion = spike_and_slab(stored, plan.size, assumed_heritability(plan), num_variants)
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
) -> tuple[Float[np.ndarray, " variants"], Float[np.ndarray, " variants"]]:
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
