"""Writing the model's files: graph, genes, labels, sample and expected output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from converters.celltype.confidence import OUTPUTS, CellTypeModel
from converters.celltype.pbmc.choices import LABEL_IDS, LABELS, Choices
from converters.celltype.pbmc.pbmc_cells import PbmcCells
from converters.datasets import PBMC3K, Cells
from converters.onnx_export import to_onnx
from converters.ontology import labels_table
from converters.parity import write_expected
from converters.sample_file import write_sample_file
from converters.vocabulary import genes_table, place
from zoo.vocabulary import GeneVocabulary

SAMPLE_CELLS = 250


def write_model(folder: Path, model: CellTypeModel, cells: PbmcCells, choices: Choices) -> None:
    """Write `model.onnx`, `genes.tsv`, `labels.tsv`, `sample.h5ad` and `expected.h5`."""
    folder.mkdir(parents=True, exist_ok=True)
    genes = genes_table(cells.symbols, cells.gene_ids, model.confidence.gene_weight.numpy())
    (folder / "genes.tsv").write_bytes(genes)
    (folder / "labels.tsv").write_bytes(labels_table(LABELS, LABEL_IDS))
    sample = sample_cells(cells)
    counts = place(sample, GeneVocabulary.parse(genes, model=choices.name)).counts
    graph = to_onnx(
        model,
        {"counts": torch.from_numpy(counts[:8]), "gene_present": torch.ones(counts.shape[1])},
        [output.name for output in OUTPUTS],
        name=choices.name,
        version=choices.version,
        genes_table=genes,
    )
    (folder / "model.onnx").write_bytes(graph)
    write_sample(folder / "sample.h5ad", sample)
    expected = model.answers(counts, np.ones(counts.shape[1], dtype=np.float32))
    write_expected(folder / "expected.h5", expected, made_with=f"torch {torch.__version__}")


def sample_cells(cells: PbmcCells) -> Cells:
    """The first test cells, with all genes of the file; labels as published."""
    chosen = np.flatnonzero(cells.part == "test")
    rng = np.random.default_rng(0)
    keep = np.zeros(len(cells.part), dtype=bool)
    keep[rng.choice(chosen, size=min(SAMPLE_CELLS, len(chosen)), replace=False)] = True
    return cells.cells.where(keep)


def write_sample(path: Path, sample: Cells) -> None:
    """Write cells as `.h5ad` with the terms of their source."""
    import anndata
    import pandas as pd

    assert sample.gene_ids is not None
    table = anndata.AnnData(
        X=sample.counts.astype(np.float32),
        obs=pd.DataFrame(
            {"cell_type": pd.Categorical(sample.published.tolist())}, index=sample.names.tolist()
        ),
        var=pd.DataFrame({"gene_ids": sample.gene_ids.tolist()}, index=sample.symbols.tolist()),
        uns={
            "source": PBMC3K.source,
            "license": PBMC3K.license,
            "attribution": PBMC3K.attribution,
            "accession": PBMC3K.accession,
            "organism": "Homo sapiens",
            "assay": "10x 3' v1",
        },
    )
    write_sample_file(path, table)
