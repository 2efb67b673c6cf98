"""Cell Ontology: the ancestors that calls fall back to."""

from itertools import combinations

import pytest

pytest.importorskip("cellxgene_ontology_guide")

from converters.celltype.pbmc.choices import LABEL_IDS, LABELS
from converters.ontology import depth, groups_above, is_a, labels_table, name
from zoo.labels import LabelTable


@pytest.fixture(scope="module")
def table() -> LabelTable:
    return LabelTable.parse(labels_table(LABELS, LABEL_IDS), model="pbmc-celltype")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("CD4 T cells", "CD8 T cells"), "T cell"),
        (("CD8 T cells", "NK cells"), "lymphocyte"),
        (("B cells", "CD4 T cells", "CD8 T cells"), "lymphocyte"),
        (("CD14+ Monocytes", "FCGR3A+ Monocytes"), "monocyte"),
        (("CD14+ Monocytes", "Dendritic cells"), "mononuclear phagocyte"),
        (("CD14+ Monocytes", "Megakaryocytes"), "myeloid cell"),
        (("B cells", "Dendritic cells"), "leukocyte"),
        (LABELS, "hematopoietic cell"),
    ],
)
def test_the_call_of_a_set_is_its_lowest_common_ancestor(table, labels, expected):
    classes = [LABELS.index(label) for label in labels]
    assert table.common_ancestor(classes).name == expected
    assert table.common_ancestor(classes[::-1]).name == expected


def test_no_class_lies_under_another():
    for one, other in combinations(LABEL_IDS, 2):
        assert not is_a(one, other)
        assert not is_a(other, one)


def test_ancestors_are_ordered_from_the_most_specific():
    for label_id in LABEL_IDS:
        groups = groups_above(label_id)
        assert groups[0] == label_id
        assert [depth(group) for group in groups] == sorted(map(depth, groups), reverse=True)
        assert all(is_a(label_id, group) for group in groups)


def test_depth_is_the_longest_path_from_the_root():
    assert depth("CL:0000000") == 0
    assert depth("CL:0000084") < depth("CL:0000624")
    assert name("CL:0000084") == "T cell"
