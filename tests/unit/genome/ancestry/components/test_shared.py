import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from proband.genome.ancestry.components.shared import shared_variants
from proband.genome.genotypes.strands import per_allele

FLIP = {"A": "T", "C": "G", "G": "C", "T": "A"}


def variants(rows):
    return per_allele(pl.DataFrame(rows, schema=["chrom", "pos", "ref", "alt"], orient="row"))


def test_strands_and_orders():
    ours = variants(
        [("1", pos, "A", "G") for pos in (1, 2, 3, 4, 5, 6)] + [("1", 7, "A", "T"), ("2", 1, "A", "G")]
    )
    theirs = variants([
        ("1", 1, "A", "G"), ("1", 2, "G", "A"), ("1", 3, "T", "C"), ("1", 4, "C", "T"), ("1", 5, "A", "C"),
        ("1", 6, "A", "G,C"), ("1", 7, "A", "T"), ("3", 1, "A", "G"),
    ])  # fmt: skip
    found = shared_variants(ours, theirs)
    assert found.select("pos", "their_index", "is_swapped").rows() == [
        (1, 0, False), (2, 1, True), (3, 2, False), (4, 3, True),
    ]  # fmt: skip


def test_what_fits_twice_is_left_out():
    ours = variants([("1", 1, "A", "G"), ("1", 2, "A", "G"), ("1", 2, "C", "T"), ("1", 3, "A", "C")])
    theirs = variants([("1", 1, "A", "G"), ("1", 1, "G", "A"), ("1", 2, "T", "C"), ("1", 3, "A", "C")])
    # At 1 ours fits two of theirs; at 2 theirs fits A/G by strand and C/T by order.
    assert shared_variants(ours, theirs)["pos"].to_list() == [3]


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["AG", "CA", "TG", "GT", "CT"]), st.booleans(),
                          st.booleans()), min_size=1, max_size=30, unique_by=lambda row: row[0]))  # fmt: skip
def test_every_spelling_of_a_variant_is_found(rows):
    ours = variants([("4", pos, pair[0], pair[1]) for pos, pair, _, _ in rows])
    spelt = []
    for pos, pair, swap, flip in rows:
        ref, alt = reversed(pair) if swap else pair
        spelt.append(("4", pos, FLIP[ref] if flip else ref, FLIP[alt] if flip else alt))
    found = shared_variants(ours, variants(spelt))
    assert found["is_swapped"].to_list() == [swap for _, _, swap, _ in rows]


def test_a_site_where_nobody_of_theirs_varies_is_shared_by_its_one_allele():
    """On either strand and as either allele; not of another base or another length, nor twice."""
    ours = variants([*(("1", pos, "A", "G") for pos in range(1, 7)), ("1", 7, "A", "AT"), ("1", 8, "A", "T")])
    theirs = variants([
        ("1", 1, "A", "."), ("1", 2, "G", "."), ("1", 3, "T", "."), ("1", 4, "C", "<*>"), ("1", 5, "AC", "."),
        ("1", 6, "A", "."), ("1", 6, "A", "G"), ("1", 7, "A", "."), ("1", 8, "A", "."),
    ])  # fmt: skip
    found = shared_variants(ours, theirs)
    assert found.select("pos", "their_index", "is_swapped").rows() == [
        (1, 0, False), (2, 1, True), (3, 2, False), (4, 3, True), (6, 6, False),
    ]  # fmt: skip
