"""Genes of a file against a vocabulary: matching, coverage, order, sums and tables."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from zoo.alignment import align
from zoo.block import Block
from zoo.errors import InvalidModelFile
from zoo.organism import infer_organism
from zoo.vocabulary import GeneVocabulary

TABLE = b"symbol\tensembl_id\tweight\nA\tENSG01\t3\nB\tENSG02\t1\nC\t\t0\nD\tENSG04\t1\n"


@pytest.fixture
def vocabulary():
    return GeneVocabulary.parse(TABLE, model="m")


def names(*values):
    return np.array(values, dtype=np.str_)


def block_of(matrix):
    csr = sp.csr_matrix(matrix)
    return Block(0, csr.indptr.astype(np.int64), csr.indices, csr.data, csr.shape[1])


def test_symbols_are_matched_and_coverage_is_weighted(vocabulary):
    found = align({"index": names("X", "B", "A")}, vocabulary)
    assert (found.column, found.gene_id_kind, found.shared) == ("index", "symbol", 2)
    assert found.gene_present.tolist() == [1, 1, 0, 0]
    assert found.gene_coverage == pytest.approx(0.8)


def test_a_column_with_ids_is_found(vocabulary):
    columns = {"index": names("x", "y", "z"), "gene_ids": names("ENSG04", "ENSG01", "no")}
    found = align(columns, vocabulary)
    assert (found.column, found.gene_id_kind) == ("gene_ids", "ensembl_id")


def test_unique_ids_are_preferred_to_repeated_symbols(vocabulary):
    columns = {"index": names("A", "A", "B"), "gene_ids": names("ENSG01", "ENSG09", "ENSG02")}
    assert align(columns, vocabulary).column == "gene_ids"


def test_counts_come_in_the_order_of_the_vocabulary(vocabulary):
    found = align({"index": names("D", "x", "A")}, vocabulary)
    counts = found.counts(block_of([[1, 9, 2], [0, 9, 0], [3, 0, 0]]))
    assert counts.tolist() == [[2, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 3]]
    assert counts.dtype == np.float32


def test_entries_that_occur_twice_in_a_row_are_summed(vocabulary):
    found = align({"index": names("A", "B")}, vocabulary)
    twice = Block(0, np.array([0, 3]), np.array([0, 1, 0]), np.array([1.0, 5.0, 2.0]), 2)
    assert found.counts(twice).tolist() == [[3, 5, 0, 0]]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 12))
def test_alignment_equals_a_column_lookup(seed, cells, genes):
    rng = np.random.default_rng(seed)
    vocabulary = GeneVocabulary.parse(TABLE, model="m")
    index = names(*rng.permutation([*"ABCD", *(f"x{i}" for i in range(12))])[:genes])
    matrix = rng.poisson(1, (cells, genes)).astype(np.float32)
    counts = align({"index": index}, vocabulary).counts(block_of(matrix))
    for column, gene in enumerate("ABCD"):
        expected = matrix[:, index == gene].sum(axis=1)
        assert (counts[:, column] == expected).all()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"gene\tweight\nA\t1\n", "no column ensembl_id or symbol or marker"),
        (b"symbol\nA\n", "no column 'weight'"),
        (b"symbol\tweight\nA\tmuch\n", "a weight is no number"),
        (b"symbol\tweight\nA\t1\nA\t1\n", "names a gene twice"),
        (b"symbol\tweight\nA\n", "1 fields where the header has 2"),
        (b"symbol\tweight\nA\t-1\n", "not negative"),
        (b"symbol\tweight\n\xff\t1\n", "not UTF-8"),
    ],
)
def test_a_damaged_vocabulary_is_refused(table, said):
    with pytest.raises(InvalidModelFile, match=said):
        GeneVocabulary.parse(table, model="m")


@pytest.mark.parametrize(
    ("gene_names", "declared", "organism"),
    [
        (("LYZ", "CD3D", "HLA-DRA", "C1orf112"), None, "Homo sapiens"),
        (("Lyz2", "Cd3d", "H2-Aa", "Gapdh"), None, "Mus musculus"),
        (tuple(f"ENSMUSG{i:011d}" for i in range(5)), "human", "Mus musculus"),
        (("LYZ", "CD3D"), "mouse", "Mus musculus"),
        (("Lyz2", "Cd3d", "Gapdh"), "human", "Mus musculus"),
        (("Lyz2", "Cd3d", "Gapdh"), "rat", "Rattus norvegicus"),
        (("marker_1", "marker_2"), None, None),
        (("marker_1",), "NCBITaxon:9606", "Homo sapiens"),
    ],
)
def test_organism(gene_names, declared, organism):
    assert infer_organism({"index": names(*gene_names)}, declared).organism == organism
