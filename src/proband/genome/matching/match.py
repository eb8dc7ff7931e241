"""Match scoring-file rows to genotyped variants by chromosome, position and alleles.

A row takes the first rule that fits: effect/other = REF/ALT, ALT/REF, either of them on the other strand;
where no other allele is given, effect = REF, ALT, or either on the other strand. Last come sites where nobody
varies (ALT ``.``), whose one allele is to be either of the row's, a base for a base: the row's other one is
then the allele that nobody has. Of several equal matches the first in the file is kept. Then excluded, in
this order: strand-ambiguous variants, variants with several ALT alleles, and all rows of a score that hit
one variant together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Int8, Int64

from proband.core.schema import MATCH
from proband.genome.genotypes.alleles import NO_ALLELE, NO_SITE, complement_codes, is_nucleotides, num_letters
from proband.genome.genotypes.sites import Sites
from proband.genome.scorefiles.rows import Rows

REASONS = {
    "matched": "matched",
    "not_scorable": "haplotype, interaction or no nucleotide allele",
    "no_position": "no position",
    "no_variant": "no variant at the position",
    "allele_mismatch": "other alleles at the position",
    "ambiguous": "strand-ambiguous",
    "multiallelic": "multiallelic",
    "duplicated": "several rows on one variant",
}
"""What became of a row, in words; ``num_<reason>`` are the columns of the match report."""

MATCHED, NOT_SCORABLE, NO_POSITION, NO_VARIANT, ALLELE_MISMATCH, AMBIGUOUS, MULTIALLELIC, DUPLICATED = range(
    8
)
"""Numbers of the reasons."""

_REF_ALT, _ALT_REF, _REF_ALT_FLIP, _ALT_REF_FLIP, _REF, _ALT, _REF_FLIP, _ALT_FLIP = range(8)
# Sites where nobody varies: the effect allele is the one that all have, or the one that nobody has.
_ALL, _NONE, _ALL_FLIP, _NONE_FLIP, _NO_RULE = range(8, 13)
_RULES = np.arange(_NO_RULE + 1)
_FLIPS = np.isin(_RULES, [_REF_ALT_FLIP, _ALT_REF_FLIP, _REF_FLIP, _ALT_FLIP, _ALL_FLIP, _NONE_FLIP])
_REVERSED = np.isin(_RULES, [_REF_ALT, _REF_ALT_FLIP, _REF, _REF_FLIP, _ALL, _ALL_FLIP])


@dataclass(frozen=True)
class Matched:
    """What became of the rows of a score.

    Attributes:
        variants: Place in :class:`Sites` of the variant whose alleles fit, -1 where none does.
        reasons: Number of the key of :data:`REASONS`.
        is_reversed: The effect allele is REF.
        is_flipped: Matched on the other strand.
        is_constant: Matched to a site where nobody varies.
        is_ambiguous: The alleles, of the row or of the variant that fits, are each other's other strand.
    """

    variants: Int64[np.ndarray, " rows"]
    reasons: Int8[np.ndarray, " rows"]
    is_reversed: Bool[np.ndarray, " rows"]
    is_flipped: Bool[np.ndarray, " rows"]
    is_constant: Bool[np.ndarray, " rows"]
    is_ambiguous: Bool[np.ndarray, " rows"]


def match_rows(rows: Rows, sites: Sites, *, keep_ambiguous: bool = False) -> Matched:
    """Decide for every row of one score what becomes of it.

    Args:
        rows: The score's rows.
        sites: The genotyped variants.
        keep_ambiguous: Trust the strand of A/T and C/G variants instead of excluding them.
    """
    first = sites.find(rows.sites)
    if not rows.is_scorable.all():
        first[~rows.is_scorable] = -1
    variants, rules = _best(rows, sites, first)
    fits = rules < _NO_RULE
    reasons = np.full(len(rows), MATCHED, np.int8)
    reasons[fits & _duplicated(np.where(fits, variants, -1))] = DUPLICATED
    reasons[fits & sites.is_multiallelic[variants]] = MULTIALLELIC
    is_constant = (rules >= _ALL) & fits
    is_ambiguous = fits & sites.is_ambiguous[variants]
    is_ambiguous |= is_constant & _fits_both_strands(rows, sites, variants)
    if not keep_ambiguous:
        reasons[is_ambiguous] = AMBIGUOUS
    reasons[~fits] = ALLELE_MISMATCH
    reasons[first < 0] = NO_VARIANT
    reasons[rows.sites == NO_SITE] = NO_POSITION
    reasons[~rows.is_scorable] = NOT_SCORABLE
    return Matched(
        np.where(fits, variants, -1), reasons, _REVERSED[rules], _FLIPS[rules], is_constant, is_ambiguous
    )


def _fits_both_strands(
    rows: Rows, sites: Sites, variants: Int64[np.ndarray, " rows"]
) -> Bool[np.ndarray, " rows"]:
    """Rows of A/T or C/G; without other allele, those whose effect allele is REF on the other strand."""
    turned = complement_codes(rows.effect)
    return (rows.other == turned) | ((rows.other == NO_ALLELE) & (turned == sites.ref[variants]))


def _best(
    rows: Rows, sites: Sites, first: Int64[np.ndarray, " rows"]
) -> tuple[Int64[np.ndarray, " rows"], Int8[np.ndarray, " rows"]]:
    """The variant and rule of each row that is at any variant's position."""
    variants, rules = first.copy(), np.full(len(first), _NO_RULE, np.int8)
    chosen, nth = np.flatnonzero(first >= 0), 0
    while len(chosen):
        candidate = first[chosen] + nth
        effect, other = rows.effect[chosen], rows.other[chosen]
        rule = _rule(effect, other, sites.ref[candidate], sites.alt[candidate])
        alone = np.flatnonzero(sites.is_constant[candidate])
        if len(alone):
            rule[alone] = _rule_of_constant(effect[alone], other[alone], sites.ref[candidate[alone]])
        if nth:
            better = rule < rules[chosen]
            rules[chosen[better]], variants[chosen[better]] = rule[better], candidate[better]
        else:
            rules[chosen] = rule
        nth += 1
        chosen = chosen[candidate + 1 < sites.ends[candidate]]
    return variants, rules


def _rule(
    effect: Int64[np.ndarray, " rows"],
    other: Int64[np.ndarray, " rows"],
    ref: Int64[np.ndarray, " rows"],
    alt: Int64[np.ndarray, " rows"],
) -> Int8[np.ndarray, " rows"]:
    """Number of the first rule that fits."""
    is_ref, is_alt = effect == ref, effect == alt
    rules = np.full(len(effect), _NO_RULE, np.int8)
    rules[is_alt & (other == ref)] = _ALT_REF
    rules[is_ref & (other == alt)] = _REF_ALT
    left = np.flatnonzero(rules == _NO_RULE)
    if not len(left):
        return rules
    # Few rows need more than this, so only theirs is worked out.
    ref, alt, effect, other = ref[left], alt[left], complement_codes(effect[left]), other[left]
    flipped, unnamed = complement_codes(other), other == NO_ALLELE
    more = np.full(len(left), _NO_RULE, np.int8)
    more[unnamed & (effect == alt)] = _ALT_FLIP
    more[unnamed & (effect == ref)] = _REF_FLIP
    more[unnamed & is_alt[left]] = _ALT
    more[unnamed & is_ref[left]] = _REF
    named = ~unnamed & (flipped != NO_ALLELE) & (effect != NO_ALLELE)
    more[named & (effect == alt) & (flipped == ref)] = _ALT_REF_FLIP
    more[named & (effect == ref) & (flipped == alt)] = _REF_ALT_FLIP
    rules[left] = more
    return rules


def _rule_of_constant(
    effect: Int64[np.ndarray, " rows"], other: Int64[np.ndarray, " rows"], ref: Int64[np.ndarray, " rows"]
) -> Int8[np.ndarray, " rows"]:
    """Number of the first rule that fits at a site where nobody varies.

    Alleles of other lengths than the site's do not fit: which bases an indel changes is not told there.
    """
    length, unnamed = num_letters(ref), other == NO_ALLELE
    can = is_nucleotides(effect) & (num_letters(effect) == length) & (length > 0)
    can &= unnamed | (is_nucleotides(other) & (num_letters(other) == length) & (other != effect))
    rules = np.full(len(effect), _NO_RULE, np.int8)
    turned_effect, turned_other = complement_codes(effect), complement_codes(other)
    rules[can & (turned_other == ref)] = _NONE_FLIP
    rules[can & (turned_effect == ref)] = _ALL_FLIP
    rules[can & (unnamed | (other == ref))] = _NONE
    rules[can & (effect == ref)] = _ALL
    return rules


def _duplicated(variants: Int64[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Rows whose variant (-1: none) another row has too."""
    used = variants[variants >= 0]
    if (np.diff(used) > 0).all():  # the usual, sorted file
        return np.zeros(len(variants), bool)
    values, counts = np.unique(used, return_counts=True)
    return np.isin(variants, values[counts > 1])


def tally(matched: Matched) -> Int64[np.ndarray, " counts"]:
    """Rows by reason, and after these the matched ones that are flipped and those where nobody varies."""
    used = matched.reasons == MATCHED
    parts = [(matched.is_flipped & used).sum(), (matched.is_constant & used).sum()]
    return np.append(np.bincount(matched.reasons, minlength=len(REASONS)), parts).astype(np.int64)


def is_kept(counts: Int64[np.ndarray, " counts"], min_match_rate: float) -> bool:
    """Whether a score has any matched row, and at least this share of them."""
    return bool(counts[MATCHED] > 0 and counts[MATCHED] / counts[: len(REASONS)].sum() >= min_match_rate)


def report(
    pgs_ids: Sequence[str], tallies: Sequence[Int64[np.ndarray, " counts"]], min_match_rate: float
) -> pl.DataFrame:
    """The match report.

    Args:
        pgs_ids: Names of the scores.
        tallies: What became of their rows, of :func:`tally`.
        min_match_rate: A score is kept at or above this share of matched rows, if it has any.

    Returns:
        One row per score, of :data:`proband.core.schema.MATCH`, ``remedy`` empty.
    """
    counts = np.array(tallies)
    num_rows = counts[:, : len(REASONS)].sum(axis=1)
    table = {
        "pgs_id": pl.Series(pgs_ids, dtype=pl.String),
        "num_rows": num_rows,
        **{f"num_{name}": counts[:, number] for number, name in enumerate(REASONS)},
        "num_flipped": counts[:, -2],
        "num_homozygous_reference": counts[:, -1],
        "match_rate": counts[:, MATCHED] / num_rows,
        "kept": [is_kept(row, min_match_rate) for row in counts],
        "remedy": pl.repeat("", len(pgs_ids), dtype=pl.String, eager=True),
    }
    return pl.DataFrame(table).select(*MATCH.columns)
