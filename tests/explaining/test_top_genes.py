"""Top genes: present and absent apart, of a cell and of a group."""

import numpy as np
import pytest

from zoo.top_genes import GroupTotals, TopGenes

NAMES = np.array(["a", "b", "c", "d"])
ATTRIBUTION = np.array([[3, -1, 2, 1], [0, 5, 4, 0]], dtype=np.float32)
EXPRESSED = np.array([[True, True, False, False], [True, False, True, True]])


def test_present_and_absent_genes_of_a_cell():
    found = TopGenes.of(ATTRIBUTION, EXPRESSED, 2)
    assert found.genes.tolist() == [[[0, -1], [2, 3]], [[2, -1], [1, -1]]]
    assert found.attribution.tolist() == [[[3, 0], [2, 1]], [[4, 0], [5, 0]]]
    names = found.names(NAMES)
    assert names["present"].tolist() == ["a", "c"]
    assert names["absent"].tolist() == ["c d", "b"]


def test_more_genes_than_there_are():
    assert TopGenes.of(ATTRIBUTION, EXPRESSED, 9).genes.shape == (2, 2, 4)


@pytest.mark.parametrize("blocks", [[2], [1, 1]])
def test_groups_are_added_up_in_any_division(blocks):
    totals, start = GroupTotals(2, 4), 0
    for size in blocks:
        rows = slice(start, start + size)
        totals.add(np.zeros(size, np.int64), ATTRIBUTION[rows], EXPRESSED[rows])
        start += size
    lines = totals.top(["g", "empty"], NAMES, 2)
    found = [(line.state, line.rank, line.gene, line.attribution, line.share) for line in lines]
    assert found == [
        ("present", 1, "c", 2.0, 0.5),
        ("present", 2, "a", 1.5, 1.0),
        ("absent", 1, "b", 2.5, 0.5),
        ("absent", 2, "c", 1.0, 0.5),
    ]
    assert totals.absent_share == pytest.approx(8 / 15)


def test_cells_without_a_group_are_left_out():
    totals = GroupTotals(1, 4)
    totals.add(np.array([-1, 0]), ATTRIBUTION, EXPRESSED)
    assert totals.top(["g"], NAMES, 1)[0].gene == "c"


def test_nothing_speaks_for_nothing():
    totals = GroupTotals(1, 4)
    assert totals.absent_share == 0
    assert totals.top(["g"], NAMES, 3) == []
