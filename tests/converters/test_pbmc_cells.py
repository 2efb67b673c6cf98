"""The cells that pbmc-celltype is trained on, where the data set is at hand."""

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("anndata")

from converters.celltype.gene_choice import state_genes
from converters.celltype.pbmc import pbmc_cells
from converters.celltype.pbmc.choices import LABELS, Choices
from converters.datasets import PBMC3K, data_folder

FOLDER = data_folder()


@pytest.fixture(scope="module")
def cells() -> pbmc_cells.PbmcCells:
    if not (FOLDER / PBMC3K.file).exists():
        pytest.skip(f"{PBMC3K.file} is not in {FOLDER}: set ZOO_DATA to the folder of the data")
    return pbmc_cells.load(FOLDER, Choices(), seed=0)


def test_unassigned_cells_are_left_out(cells):
    assert len(cells.cells) == 2700 - 62
    assert set(cells.cells.published.tolist()) == set(LABELS)


def test_only_cd4_cells_with_cd8_rna_and_no_cd4_rna_are_corrected(cells):
    changed = cells.label != cells.published
    assert changed.sum() == 211
    assert {LABELS[k] for k in cells.published[changed]} == {"CD4 T cells"}
    assert {LABELS[k] for k in cells.label[changed]} == {"CD8 T cells"}
    assert cells.cells.gene("CD4")[changed].sum() == 0


def test_every_class_is_in_every_part(cells):
    for part in ("train", "calibration", "test"):
        assert set(np.unique(cells.published[cells.part == part])) == set(range(len(LABELS)))
    assert not (cells.part == "unseen").any()


def test_genes_of_state_handling_and_donor_are_left_out(cells):
    symbols = set(cells.symbols.tolist())
    assert len(symbols) == Choices().settings.genes
    assert not symbols & set(state_genes().tolist())
    assert not any(symbol.startswith("MT-") for symbol in symbols)
    assert {"CD8B", "MS4A1", "LYZ", "NKG7", "FCGR3A", "FCER1A", "PPBP"} <= symbols
