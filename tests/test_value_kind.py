"""Value kinds by evidence: what is found, what is refused, and counts recovered exactly."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.block import Block
from zoo.errors import NegativeValues, NotFinite, UnrecognizedValues
from zoo.reading import open_dataset
from zoo.value_kind import (
    Evidence,
    ValueKindDetector,
    detect,
    ensure,
    ensure_finite,
    is_consistent,
    to_counts,
)

INVERSES = {"e": np.log1p, "2": lambda x: np.log2(1 + x), "10": lambda x: np.log10(1 + x)}


def block_of(values: np.ndarray, start: int = 0) -> Block:
    values = np.asarray(values)
    rows, columns = np.nonzero(values)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    return Block(start, indptr.astype(np.int64), columns, values[rows, columns], values.shape[1])


def dense_of(block: Block) -> np.ndarray:
    values = np.zeros((block.cells, block.genes))
    values[block.rows, block.indices] = block.data
    return values


@pytest.fixture
def counts() -> np.ndarray:
    """int64 [200, 300]: every cell has a gene of count 1, as shallow data has."""
    rng = np.random.default_rng(5)
    values = rng.poisson(rng.gamma(0.3, 6.0, 300), (200, 300))
    values[:, 0] = 1
    return values


def log_normalized(counts, base="e", target=1e4, dtype=np.float32):
    scaled = counts / counts.sum(axis=1, keepdims=True) * target
    return INVERSES[base](scaled).astype(dtype)


# -- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i4", "u2", "i8", "?"])
def test_integers_of_any_type_are_counts(counts, dtype):
    evidence = detect(block_of(counts.astype(dtype)))
    assert evidence.value_kind == "counts"
    assert evidence.base is None
    assert evidence.integers == 1
    assert is_consistent(block_of(counts.astype(dtype)), evidence)
    assert to_counts(block_of(counts), evidence).data.sum() == counts.sum()


def test_counts_in_words(counts):
    entries = np.count_nonzero(counts)
    assert detect(block_of(counts)).sentence() == (
        f"all of {entries:,} nonzero values of 200 cells are integers (1 to {counts.max()})"
    )


def test_binarized_counts_are_told(counts):
    evidence = detect(block_of((counts > 0).astype(np.float32)))
    assert evidence.value_kind == "counts"
    assert evidence.sentence().endswith("are 1, as if the counts had been binarized")


def test_integers_that_sum_to_a_million_are_told():
    rng = np.random.default_rng(1)
    tpm = np.round(rng.dirichlet(np.ones(500), 20) * 1e6)
    evidence = detect(block_of(tpm))
    assert evidence.value_kind == "counts"
    assert "cells sum to a million, like rounded TPM or CPM" in evidence.sentence()


def test_integers_only_by_their_size_are_no_evidence():
    values = (np.random.default_rng(0).random((20, 50)) * 1e9 + 2**25).astype(np.float32)
    evidence = detect(block_of(values))
    assert evidence.value_kind is None
    assert "so large" in evidence.sentence()


def test_empty_cells_are_no_evidence_and_no_fault(counts):
    empty = detect(block_of(np.zeros((5, 300), np.float32)))
    assert empty.value_kind == "counts"
    assert empty.sentence() == "all 5 cells looked at are empty, which is no evidence"
    ensure(empty, "my.h5ad", "X")
    detector = ValueKindDetector()
    for values in (np.zeros((5, 300)), log_normalized(counts), np.zeros((5, 300))):
        detector.update(block_of(values))
    assert detector.evidence().value_kind == "log_normalized"
    assert detector.evidence().cells == 210
    assert is_consistent(block_of(np.zeros((5, 300))), detector.evidence())


def test_cells_with_one_gene():
    assert detect(block_of(np.eye(30) * 3)).value_kind == "counts"
    logged = detect(block_of(np.log1p(np.eye(30) * 2.5)))
    assert logged.value_kind is None
    assert "too few different values to tell" in logged.sentence()


def test_explicit_zeros_are_left_out(counts):
    block = block_of(counts.astype(np.float32))
    padded = Block(0, block.indptr, block.indices, np.where(block.data == 2, 0, block.data), 300)
    assert detect(padded).value_kind == "counts"
    logged = Block(0, block.indptr, block.indices, np.log1p(padded.data * np.float32(0.3)), 300)
    evidence = detect(logged)
    assert evidence.base == "e"
    np.testing.assert_array_equal(to_counts(logged, evidence).data, padded.data)


# -- log-normalized ------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["e", "2", "10"])
@pytest.mark.parametrize("target", [1e3, 1e4, 1e6, None])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_base_is_found_and_counts_come_back(counts, base, target, dtype):
    if target is None:  # the median, as scanpy does by default
        target = float(np.median(counts.sum(axis=1)))
    block = block_of(log_normalized(counts, base, target, dtype))
    evidence = detect(block)
    assert (evidence.value_kind, evidence.base) == ("log_normalized", base)
    assert evidence.constant_sum
    assert evidence.target_sum == pytest.approx(target, rel=1e-3)
    assert evidence.shares[base] > 0.99
    assert max(share for name, share in evidence.shares.items() if name != base) < 0.7
    np.testing.assert_array_equal(dense_of(to_counts(block, evidence)), counts)
    assert is_consistent(block, evidence)


def test_log_normalized_in_words(counts):
    sentence = detect(block_of(log_normalized(counts))).sentence()
    assert sentence.startswith("100.0% near-integers after undoing log(1 + x) to base e and")
    assert "(base 2 " in sentence
    assert "cells sum to 10,000; looked at" in sentence


def test_half_precision(counts):
    block = block_of(log_normalized(counts, dtype=np.float16))
    assert detect(block).base == "e"


def test_three_decimals(counts):
    assert detect(block_of(np.round(log_normalized(counts), 3))).base == "e"


def test_log_without_normalization(counts):
    block = block_of(np.log1p(counts.astype(np.float32)))
    evidence = detect(block)
    assert (evidence.value_kind, evidence.base) == ("log_normalized", "e")
    assert not evidence.constant_sum
    assert evidence.target_sum is None
    assert "cell sums vary" in evidence.sentence()
    np.testing.assert_array_equal(dense_of(to_counts(block, evidence)), counts)


def test_gene_filtered_log_data_has_no_target_sum(counts):
    evidence = detect(block_of(log_normalized(counts)[:, :50]))
    assert evidence.base == "e"
    assert evidence.target_sum is None


@pytest.mark.parametrize("smallest", [2, 3, 5])
def test_smallest_count_above_one(counts, smallest):
    deep = np.where(counts > 0, counts + smallest - 1, 0)
    block = block_of(log_normalized(deep))
    evidence = detect(block)
    assert evidence.base == "e"
    np.testing.assert_array_equal(dense_of(to_counts(block, evidence)), deep)


def test_counts_without_a_common_unit_keep_their_ratios():
    deep = np.array([[17, 23, 40, 88, 91, 61, 77]])
    block = block_of(log_normalized(deep))
    recovered = to_counts(block, Evidence("log_normalized", "e"))
    np.testing.assert_allclose(recovered.data, deep[0] / 17, rtol=1e-5)


def test_scale_of_a_cell_does_not_matter(counts):
    block = block_of(np.log1p(counts * np.random.default_rng(0).gamma(2, 1, (200, 1))))
    evidence = detect(block)
    assert evidence.base == "e"
    np.testing.assert_array_equal(dense_of(to_counts(block, evidence)), counts)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    base=st.sampled_from(["e", "2", "10"]),
    target=st.floats(100, 1e6),
    cut=st.integers(1, 199),
)
def test_any_counts_any_split(seed, base, target, cut):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.5, 3.0, 100), (200, 100))
    counts[:, 0] = 1
    values = log_normalized(counts, base, target)
    detector = ValueKindDetector()
    detector.update(block_of(values[:cut]))
    detector.update(block_of(values[cut:], start=cut))
    evidence = detector.evidence()
    assert evidence.base == base
    block = block_of(values[cut:], start=cut)
    np.testing.assert_array_equal(dense_of(to_counts(block, evidence)), counts[cut:])


# -- refused -------------------------------------------------------------------------------------


def unrecognized(name: str, counts: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(11)
    cpm = counts / counts.sum(axis=1, keepdims=True) * 1e6
    lengths = rng.lognormal(8, 1, counts.shape[1])
    tpm = counts / lengths
    tpm = tpm / tpm.sum(axis=1, keepdims=True) * 1e6
    return {
        "cpm": cpm,
        "tpm": tpm,
        "log tpm": np.log1p(tpm),
        "log2 tpm": np.log2(1 + tpm),
        "square root": np.sqrt(counts),
        "smoothed": counts @ rng.dirichlet(np.ones(300) / 50, 300),
        "expected counts": np.where(
            counts > 0, counts + (rng.random(counts.shape) < 0.2) * 0.37, 0
        ),
        "uniform": rng.random(counts.shape),
        "lognormal": rng.lognormal(0, 1, counts.shape),
        "arcsinh": np.arcsinh(rng.lognormal(3, 2, counts.shape) / 5),
        "log of quotients": np.log1p(rng.gamma(2, 1, counts.shape)),
    }[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "cpm",
            "counts scaled within each cell, without a logarithm (like CPM, each cell sums to 1,",
        ),
        ("tpm", "every cell sums to 1,000,000 and no value is logged (like TPM)"),
        ("log tpm", "near-integers after undoing a logarithm"),
        ("log2 tpm", "near-integers after undoing a logarithm"),
        ("square root", "near-integers after undoing a logarithm"),
        ("smoothed", "near-integers after undoing a logarithm"),
        ("expected counts", "of the values are integers and the others are not"),
        ("uniform", "0% integers, and at best"),
        ("lognormal", "0% integers, and at best"),
        ("arcsinh", "0% integers, and at best"),
        ("log of quotients", "0% integers, and at best"),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_refuses_what_is_neither(counts, name, words, dtype):
    evidence = detect(block_of(unrecognized(name, counts).astype(dtype)))
    assert evidence.value_kind is None
    assert words in evidence.sentence()
    with pytest.raises(UnrecognizedValues) as caught:
        ensure(evidence, "my.h5ad", "X")
    assert "X of 'my.h5ad' holds neither counts nor log-normalized counts: " in str(caught.value)
    assert words in str(caught.value)


def test_negative_values(counts):
    values = log_normalized(counts)
    scaled = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9)
    evidence = detect(block_of(scaled, start=40))
    assert evidence.value_kind is None
    assert evidence.negative_cell == 40
    assert "scaled or corrected data" in evidence.sentence()
    with pytest.raises(NegativeValues, match=r"X of 'my\.h5ad' holds negative values .*row 40"):
        ensure(evidence, "my.h5ad", "X")
    ensure(evidence, "my.h5ad", "X", declared="intensity")
    with pytest.raises(NegativeValues):
        ensure(evidence, "my.h5ad", "X", declared="counts")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(counts, bad):
    values = counts.astype(np.float32)
    values[17, 4] = bad
    block = block_of(values, start=100)
    evidence = detect(block)
    assert evidence.value_kind is None
    assert evidence.not_finite_cell == 117
    assert "first in row 117" in evidence.sentence()
    for check in (
        lambda: ensure(evidence, "my.h5ad", "X", declared="counts"),
        lambda: ensure_finite(block, "my.h5ad", "X"),
    ):
        with pytest.raises(NotFinite, match=r"holds NaN or infinity \(first in row 117\)"):
            check()
    assert not is_consistent(block, Evidence("counts"))
    ensure_finite(block_of(counts), "my.h5ad", "X")


# -- what the user says --------------------------------------------------------------------------


def test_declared_kind_overrules(counts):
    values = block_of(np.random.default_rng(0).random((20, 30)))
    evidence = detect(values)
    ensure(evidence, "my.h5ad", "X", declared="counts")
    declared = evidence.declared_as("counts")
    assert (declared.value_kind, declared.is_declared) == ("counts", True)
    assert declared.sentence().startswith("counts as declared by the user, where 0% integers")
    assert is_consistent(values, declared)
    assert to_counts(values, declared) is values
    assert evidence.declared_as("log_normalized").base == "e"
    intensity = evidence.declared_as("intensity")
    assert intensity.base is None
    assert is_consistent(block_of(np.full((2, 3), -1.5)), intensity)


# -- later blocks --------------------------------------------------------------------------------


def test_later_blocks_of_another_kind(counts):
    head = detect(block_of(counts.astype(np.float32)))
    assert not is_consistent(block_of(log_normalized(counts)), head)
    assert not is_consistent(block_of(-counts), head)
    head = detect(block_of(log_normalized(counts)))
    assert not is_consistent(block_of(counts.astype(np.float32)), head)
    assert not is_consistent(block_of(log_normalized(counts, "2")), head)
    assert not is_consistent(block_of(-log_normalized(counts)), head)


# -- real data -----------------------------------------------------------------------------------


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the checkout, or where ZOO_DATA says."""
    folder = Path(os.environ.get("ZOO_DATA", Path(__file__).parents[1] / "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder} (set ZOO_DATA)")
    return folder


@pytest.mark.parametrize(
    ("name", "kind", "base"),
    [
        ("pbmc3k_10x", "counts", None),
        ("kang18_ifnb_muscat", "counts", None),
        ("pancreas_baron_human_3donors", "counts", None),
        ("pancreas_baron_mouse", "counts", None),
        ("her2st_6slides", "counts", None),
        ("starmap_mpfc_2slides", "counts", None),
        ("osmfish_mouse_cortex", "counts", None),
        ("pbmc_symphony_2tech_lognorm", "log_normalized", "e"),
        ("pbmc68k_reduced_zheng", "log_normalized", "e"),
        ("pancreas_xin_lognorm_980g", "log_normalized", "2"),
        ("cytof_deepcytof_12samples", None, None),
    ],
)
def test_real_data(shared_data, name, kind, base):
    path = shared_data / f"{name}.h5ad"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in {shared_data}")
    with open_dataset(path) as dataset:
        evidence = detect(next(dataset.blocks("X")))
        assert (evidence.value_kind, evidence.base) == (kind, base)
        if kind:
            assert all(is_consistent(block, evidence) for block in dataset.blocks("X"))
        if base:
            assert evidence.shares[base] > 0.99
            assert max(share for name, share in evidence.shares.items() if name != base) < 0.2
