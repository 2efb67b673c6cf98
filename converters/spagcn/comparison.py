"""Per-slide self-training beside k-means without and with space, on slides with known regions.

    python -m converters.spagcn.comparison --data FOLDER

writes `comparison.md` beside this module. Each slide is divided into as many domains as it has
annotated regions; adjusted Rand index with the annotation, mean over three seeds and their range.
Spots without a region ("undetermined", "Excluded") are part of the slide and of no index; the cells
that osmFISH marks as not valid are left out wholly.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from converters.card import markdown_table
from converters.datasets import data_folder
from converters.fit_run import FitRun
from converters.spagcn.graph_layer import heard
from converters.spagcn.recipe import GRAPH, SelfTrainingSettings, Spagcn
from converters.training_cells import TrainingCells
from zoo.clustering import kmeans
from zoo.evaluation.metrics import adjusted_rand_index
from zoo.slides import Slides

SEEDS = (0, 1, 2)
METHODS = ("spagcn", "smoothing + k-means", "k-means without space")
TARGET = Path(__file__).with_name("comparison.md")


@dataclass(frozen=True)
class Source:
    """One file with annotated slides."""

    file: str
    slide: str
    unknown: tuple[str, ...]


SOURCES = (
    Source("starmap_mpfc_2slides.h5ad", "batch", ()),
    Source("her2st_6slides.h5ad", "donor", ("undetermined",)),
    Source("osmfish_mouse_cortex.h5ad", "batch", ("Excluded",)),
)


def slides_of(source: Source, folder: Path) -> Iterator[tuple[str, TrainingCells]]:
    """Each slide of a file by its name."""
    import anndata

    table = anndata.read_h5ad(folder / source.file)
    if "valid" in table.obs:
        table = table[table.obs["valid"] == 1].copy()
    names = table.obs[source.slide].astype(str).to_numpy()
    for name in np.unique(names).tolist():
        part = table[names == name]
        regions = part.obs["region"].astype(str).to_numpy()
        labels = tuple(np.setdiff1d(np.unique(regions), source.unknown).tolist())
        label = np.array([labels.index(r) if r in labels else -1 for r in regions])
        counts = sparse.csr_matrix(part.X, dtype=np.float32)
        yield (
            name,
            TrainingCells(
                path=source.file,
                counts=counts,
                symbols=part.var_names.to_numpy(dtype=np.str_),
                gene_ids=None,
                names=part.obs_names.to_numpy(dtype=np.str_),
                part=np.full(len(label), "train", dtype="<U10"),
                total_counts=np.asarray(counts.sum(axis=1), dtype=np.float32).ravel(),
                labels=labels,
                label=label.astype(np.int64),
                slides=Slides.of(source.file, np.asarray(part.obsm["spatial"], dtype=np.float64)),
            ),
        )


def indices(cells: TrainingCells, seed: int) -> list[float]:
    """Adjusted Rand index of each of `METHODS`."""
    assert cells.label is not None
    assert cells.slides is not None
    known = cells.label >= 0
    settings = SelfTrainingSettings(clusters=len(cells.labels))
    chosen = cells.with_genes(Spagcn().genes(cells, settings))
    module = Spagcn().fit(chosen, settings, FitRun(seed)).module
    graph = cells.slides.graph(0, GRAPH)
    edges = torch.from_numpy(graph.edge_index), torch.from_numpy(graph.edge_weight)
    counts = torch.from_numpy(chosen.dense())
    with torch.no_grad():
        cluster = module(counts, *edges)[0].numpy()
        y = module.components(counts, torch.ones(counts.shape[1]))  # type: ignore[operator]
        smooth = heard(y, *edges)

    def index(groups: npt.NDArray[np.integer]) -> float:
        return adjusted_rand_index(cells.label[known], groups[known].astype(np.int64))  # type: ignore[index]

    def by_kmeans(points: Tensor) -> float:
        return index(kmeans(points.numpy(), settings.clusters, seed=seed).labels)

    return [index(cluster), by_kmeans(smooth), by_kmeans(y)]


def compare(folder: Path) -> str:
    """The table as Markdown."""
    rows = []
    for source in SOURCES:
        for name, cells in slides_of(source, folder):
            found = np.array([indices(cells, seed) for seed in SEEDS])  # (seeds, methods)
            told = [
                f"{mean:.2f} ({low:.2f}–{high:.2f})"
                for mean, low, high in zip(
                    found.mean(axis=0), found.min(axis=0), found.max(axis=0), strict=True
                )
            ]
            rows.append([source.file, name, f"{len(cells):,}", str(len(cells.labels)), *told])
    return markdown_table(["file", "slide", "spots", "domains", *METHODS], rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=data_folder())
    table = compare(parser.parse_args().data)
    TARGET.write_text(
        "# Self-training beside k-means\n\nWritten by `python -m converters.spagcn.comparison`: "
        "adjusted Rand index with the annotated regions, mean over seeds 0 to 2 and their "
        "range.\n\n"
        f"{table}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
