"""The sample of a model folder: held-out cells, or simulated ones where these may not be shared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from converters.building.order import Order
from converters.sample_file import write_sample_file
from converters.training_cells import Float32, Int64, TrainingCells
from zoo.evaluation.cells import Placed
from zoo.slides import COORDINATES, Slides

_ARCSINH = 5.0  # the customary cofactor of mass cytometry


@dataclass(frozen=True)
class Sample:
    """Cells for `zoo test` and `zoo example`.

    Attributes
    ----------
    counts
        float32 CSR [cells, genes of `cells`].
    columns
        int64 [genes of the model]: their columns in `counts`.
    told
        What it is, for the card and the file.

    """

    counts: sparse.csr_matrix
    genes: TrainingCells
    names: list[str]
    labels: list[str] | None
    coordinates: npt.NDArray[np.float64] | None
    columns: Int64
    told: str


def draw_sample(cells: TrainingCells, columns: Int64, order: Order) -> Sample:
    """Real held-out cells with the genes that they show, or simulated ones of the vocabulary."""
    rng = np.random.default_rng(0)
    if order.plan.sample == "simulated":
        return _simulated(cells.with_genes(columns), order.plan.sample_cells, order, rng)
    held_out = cells.of("test") if (cells.part == "test").any() else cells.of("train")
    if order.recipe.graph_recipe is not None:
        return _slide(cells, columns)
    chosen = np.zeros(len(held_out), dtype=bool)
    size = min(order.plan.sample_cells, len(held_out))
    chosen[rng.choice(len(held_out), size=size, replace=False)] = True
    sample = held_out.where(chosen)
    kept = _shown(sample, columns)
    sample = sample.with_genes(kept)
    told = "cells of the training file" + (
        " held out from training" if held_out is not cells else ""
    )
    names, own = sample.names.tolist(), np.searchsorted(kept, columns)
    return Sample(sample.counts, sample, names, _labels(sample), None, own, told)


def _shown(cells: TrainingCells, columns: Int64) -> Int64:
    """Genes that the model reads or a cell shows; without the others answers are the same."""
    counted = np.asarray(cells.counts.sum(axis=0)).ravel() > 0
    counted[columns] = True
    return np.flatnonzero(counted)


def _slide(cells: TrainingCells, columns: Int64) -> Sample:
    """One whole slide, since a spot is read among its neighbours."""
    assert cells.slides is not None, "spatial recipes have slides"
    first = cells.slides.codes == cells.slides.codes[0]
    slide = cells.where(first)
    assert slide.slides is not None
    places = slide.slides.coordinates.astype(np.float64)
    told = "one slide of the training file"
    names = slide.names.tolist()
    return Sample(slide.counts, slide, names, _labels(slide), places, columns, told)


def _labels(cells: TrainingCells) -> list[str] | None:
    if cells.label is None:
        return None
    return [cells.labels[code] if code >= 0 else "" for code in cells.label.tolist()]


def _simulated(cells: TrainingCells, size: int, order: Order, rng: np.random.Generator) -> Sample:
    """Cells drawn from the means and spreads of each label: no real cell is among them."""
    training = cells.of("train")
    if training.stimulated is not None:  # a model of responses is asked about control cells
        training = training.where(training.stimulated == 0)
    label = np.zeros(len(training), np.int64) if training.label is None else training.label
    kinds = np.unique(label[label >= 0])
    drawn = np.sort(rng.choice(kinds, size=size))
    intensity = "intensity" in order.recipe.value_kinds
    draw = _intensities if intensity else _counts
    values = np.zeros((size, cells.counts.shape[1]), dtype=np.float32)
    for kind in kinds:
        rows = drawn == kind
        values[rows] = draw(training.where(label == kind).dense(), int(rows.sum()), rng)
    labels = None if training.label is None else [training.labels[k] for k in drawn.tolist()]
    places = _stripes(size) if order.recipe.graph_recipe is not None else None
    names = [f"simulated-{i + 1}" for i in range(size)]
    told = "simulated from the mean and spread of each label: the training data may not be shared"
    own = np.arange(values.shape[1])
    return Sample(sparse.csr_matrix(values), cells, names, labels, places, own, told)


def _counts(cells: Float32, size: int, rng: np.random.Generator) -> Float32:
    """Negative binomial counts with the mean of each gene and one dispersion for all."""
    mean = cells.mean(axis=0)
    excess = (cells.var(axis=0) - mean) / np.maximum(mean, 1e-6) ** 2
    expressed = mean > 0.1
    dispersion = float(np.clip(np.median(excess[expressed]), 0.05, 5)) if expressed.any() else 1.0
    rate = rng.gamma(1 / dispersion, dispersion, size=(size, len(mean))) * mean
    return rng.poisson(rate).astype(np.float32)


def _intensities(cells: Float32, size: int, rng: np.random.Generator) -> Float32:
    """Normal on the arcsinh scale, marker by marker."""
    logs = np.arcsinh(cells / _ARCSINH)
    drawn = rng.normal(logs.mean(axis=0), logs.std(axis=0), size=(size, cells.shape[1]))
    values: Float32 = np.maximum(np.sinh(drawn) * _ARCSINH, 0).astype(np.float32)
    return values


def _stripes(size: int) -> npt.NDArray[np.float64]:
    """float64 [size, 2]: a square grid, filled row by row."""
    side = int(np.ceil(np.sqrt(size)))
    return np.stack([np.arange(size) % side, np.arange(size) // side], axis=1).astype(np.float64)


def placed(sample: Sample) -> Placed:
    """The sample as the graph takes it."""
    counts = sample.counts[:, sample.columns]
    slides = None
    if sample.coordinates is not None:
        slides = Slides.of("sample", sample.coordinates)
    total = np.asarray(sample.counts.sum(axis=1), dtype=np.float32).reshape(-1, 1)
    dense = np.asarray(counts.toarray(), dtype=np.float32)
    return Placed(dense, np.ones(dense.shape[1], dtype=np.float32), 1.0, total, slides)


def write_sample(path: Path, sample: Sample, order: Order) -> None:
    """Write the sample as `.h5ad` with the terms of its source."""
    import anndata
    import pandas as pd

    plan, facts = order.plan, sample.genes.facts
    obs = pd.DataFrame(index=sample.names)
    if sample.labels is not None:
        obs[plan.data.label or "label"] = pd.Categorical(sample.labels)
    var = pd.DataFrame(index=sample.genes.symbols.tolist())
    if sample.genes.gene_ids is not None:
        var["gene_ids"] = sample.genes.gene_ids.tolist()
    real = not sample.told.startswith("simulated")
    uns: dict[str, Any] = {
        "organism": plan.inputs.organism,
        "sample": sample.told,
        "source": plan.data.source if plan.data.source != "not stated" else facts.get("source", ""),
        "license": plan.data.license if real else "CC0-1.0",
        "attribution": plan.data.attribution,
        "accession": plan.data.accession,
    }
    if plan.inputs.assays:
        uns["assay"] = plan.inputs.assays[0]
    if plan.inputs.organism == "not stated":
        del uns["organism"]
    obsm = {} if sample.coordinates is None else {COORDINATES: sample.coordinates}
    table = anndata.AnnData(
        X=sparse.csr_matrix(sample.counts, dtype=np.float32), obs=obs, var=var, uns=uns, obsm=obsm
    )
    write_sample_file(path, table)
