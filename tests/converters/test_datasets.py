"""Data sets, gene tables and the placing of counts."""

import numpy as np
import pytest

sparse = pytest.importorskip("scipy.sparse")

from converters.datasets import PBMC3K, Cells, counts_from_log, read  # noqa: E402
from converters.vocabulary import (  # noqa: E402
    detected_genes,
    genes_table,
    marker_genes,
    place,
    variable_genes,
)
from zoo.evaluation.robustness import gene_list, thinned, thinned_to  # noqa: E402
from zoo.vocabulary import GeneVocabulary  # noqa: E402


def some_cells(counts, symbols, gene_ids=None) -> Cells:
    n = len(counts)
    return Cells(
        counts=sparse.csr_matrix(np.asarray(counts, dtype=np.float32)),
        symbols=np.array(symbols),
        gene_ids=None if gene_ids is None else np.array(gene_ids),
        names=np.array([f"cell{i}" for i in range(n)]),
        labels=np.array([""] * n),
        published=np.array([""] * n),
        group=np.array(["all"] * n),
    )


def test_counts_come_back_from_log_values():
    counts = np.array([[1, 0, 5, 3], [0, 0, 0, 0], [2, 1, 0, 7]], dtype=np.float64)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logs = sparse.csr_matrix(np.log1p(counts / total * 1e4))
    assert np.array_equal(counts_from_log(logs).toarray(), counts)


def test_counts_are_placed_in_the_order_of_the_vocabulary():
    table = genes_table(
        np.array(["A", "B", "C"]),
        np.array(["ENSG1.4", "ENSG2", "ENSG3"]),
        np.array([0.5, 0.3, 0.2]),
    )
    assert table.splitlines()[1] == b"A\tENSG1\t0.5"
    vocabulary = GeneVocabulary.parse(table, model="test")
    placed = place(some_cells([[7, 9, 4]], ["C", "X", "A"]), vocabulary)
    assert placed.counts.tolist() == [[4, 0, 7]]
    assert placed.present.tolist() == [1, 0, 1]
    assert placed.coverage == pytest.approx(0.7)
    by_id = place(some_cells([[7, 9]], ["x", "y"], ["ENSG2", "ENSG1"]), vocabulary)
    assert by_id.counts.tolist() == [[9, 7, 0]]


def test_variable_and_marker_genes_among_the_candidates():
    rng = np.random.default_rng(0)
    counts = rng.poisson(5, (200, 60)).astype(np.float32)
    counts[:100, 2] *= 6
    counts[:100, 3] *= 6
    counts[:8, 5] += 4
    matrix = sparse.csr_matrix(counts)
    candidates = np.arange(60) != 3
    assert variable_genes(matrix, genes=1, candidates=candidates).tolist() == [2]
    labels = (np.arange(200) < 8).astype(np.int64)
    markers = marker_genes(matrix, labels, per_class=1, candidates=candidates)
    assert 5 in markers
    assert 3 not in markers


def test_rarely_seen_genes_are_no_candidates():
    counts = np.zeros((10, 2), dtype=np.float32)
    counts[0, 0], counts[:5, 1] = 900, 1
    assert detected_genes(sparse.csr_matrix(counts), 5).tolist() == [False, True]


def test_disturbances_take_what_they_say():
    rng = np.random.default_rng(0)
    counts = np.full((100, 40), 30, dtype=np.float32)
    assert thinned(counts, 0.1, rng).mean() == pytest.approx(3, rel=0.05)
    assert thinned_to(counts, 60, rng).sum(axis=1).mean() == pytest.approx(60, rel=0.05)
    weight = np.full(40, 1 / 40, dtype=np.float32)
    assert gene_list(weight, 0.25, rng).sum() in (10, 11)


def test_another_file_under_the_same_name_is_refused(tmp_path):
    (tmp_path / PBMC3K.file).write_bytes(b"another file")
    with pytest.raises(ValueError, match="the recipe was made for"):
        read(PBMC3K, tmp_path)
    with pytest.raises(FileNotFoundError, match="--data"):
        read(PBMC3K, tmp_path / "nowhere")
