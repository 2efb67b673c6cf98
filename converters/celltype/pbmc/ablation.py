"""What the recipe's choices bring: the same training with one of them undone, one seed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from converters.celltype.confidence import CellTypeModel
from converters.celltype.pbmc.answers import measure_labels, measure_sets
from converters.celltype.pbmc.choices import LABELS
from converters.celltype.pbmc.evaluate import (
    EXTERNAL,
    TEST,
    by_group,
    disturbed_setting,
    with_coverage,
)
from converters.celltype.pbmc.fitting import fit
from converters.celltype.pbmc.pbmc_cells import PbmcCells
from converters.celltype.recipe import CellTypeSettings
from converters.datasets import NO_COUNTERPART, Study, read
from converters.vocabulary import Int64, genes_table, place
from zoo.evaluation.cells import Placed
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.robustness import grid
from zoo.vocabulary import GeneVocabulary


@dataclass(frozen=True)
class Variant:
    """A training that differs in one thing.

    Attributes
    ----------
    studies
        The data sets that it is measured on.
    with_fewer_genes
        Whether held-out pbmc3k cells with genes removed are among them.

    """

    key: str
    condition: str
    cells: PbmcCells
    settings: CellTypeSettings
    studies: tuple[Study, ...] = EXTERNAL
    with_fewer_genes: bool = False


def variants(cells: PbmcCells, folder: Path, settings: CellTypeSettings) -> Iterator[Variant]:
    """Published labels; no gene lists in training; only the genes that a data set shares."""
    yield Variant(
        "published-labels",
        "trained on the labels as published",
        replace(cells, label=cells.published),
        settings,
    )
    yield Variant(
        "no-gene-lists",
        "trained without gene dropout",
        cells,
        settings.changed(full_panel_share=1.0),
        with_fewer_genes=True,
    )
    for study in EXTERNAL:
        present = np.isin(cells.symbols, read(study, folder).symbols)
        yield Variant(
            "on-shared-genes",
            "trained on the shared genes",
            replace(cells, genes=cells.genes[present]),
            settings,
            (study,),
        )


def measure_variant(variant: Variant, folder: Path, into: Measurements) -> None:
    """Train a variant and measure its labels on its data sets and on pbmc3k with fewer genes."""
    model = fit(variant.cells, variant.settings, into.seed)
    weight = model.confidence.gene_weight.numpy()
    table = genes_table(variant.cells.symbols, variant.cells.gene_ids, weight)
    vocabulary = GeneVocabulary.parse(table, model="ablation")
    for study in variant.studies:
        for setting, cells in by_group(study, folder):
            known = cells.where(cells.labels != NO_COUNTERPART)
            placed = place(known, vocabulary)
            truth = np.array([LABELS.index(name) for name in known.labels.tolist()])
            measure_placed(model, placed, truth, variant, setting, into)
    if variant.with_fewer_genes:
        truth = variant.cells.labels("test")
        for disturbed in grid(variant.cells.counts("test"), weight, seed=into.seed):
            if disturbed.key.startswith("removed"):
                setting = disturbed_setting(disturbed)
                measure_placed(model, disturbed.placed, truth, variant, setting, into)


def measure_sets_by_class_alone(
    model: CellTypeModel, cells: PbmcCells, folder: Path, into: Measurements
) -> None:
    """Conformal sets of the same model without the p-value over all classes."""
    alone = copy.deepcopy(model)
    alone.confidence.pooled_scores.fill_(-torch.inf)
    weight = model.confidence.gene_weight.numpy()
    table = genes_table(cells.symbols, cells.gene_ids, weight)
    vocabulary = GeneVocabulary.parse(table, model="ablation")
    counts, truth = cells.counts("test"), cells.labels("test")
    everything = Placed(counts, np.ones(counts.shape[1], dtype=np.float32), 1.0)
    settings = [(TEST, everything, truth)]
    for disturbed in grid(counts, weight, seed=into.seed):
        if disturbed.key.startswith("thinned"):
            settings.append((disturbed_setting(disturbed), disturbed.placed, truth))
    for study in EXTERNAL:
        for setting, group in by_group(study, folder):
            known = group.where(group.labels != NO_COUNTERPART)
            labels = np.array([LABELS.index(name) for name in known.labels.tolist()])
            settings.append((setting, place(known, vocabulary), labels))
    for setting, placed, labels in settings:
        in_set = alone.answers(placed.counts, placed.present)["in_set"]
        here = with_coverage(setting, placed.coverage, "by-class-alone", "p-values by class alone")
        measure_sets(into, replace(here, role="ablation"), labels, in_set)


def measure_placed(
    model: CellTypeModel,
    placed: Placed,
    truth: Int64,
    variant: Variant,
    setting: Setting,
    into: Measurements,
) -> None:
    """Measure a variant's labels in one setting."""
    predicted = model.answers(placed.counts, placed.present)["label"]
    here = with_coverage(setting, placed.coverage, variant.key, variant.condition)
    measure_labels(into, replace(here, role="ablation"), truth, predicted)
