"""The recipes `scgnn-reference` and `scgnn`: hyper-parameters, genes, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters.recipe import Fitted, Recipe, Settings
from converters.training_cells import TrainingCells
from zoo.card import Output, Paper, Thresholds

if TYPE_CHECKING:
    from converters.fit_run import FitRun

PAPER = Paper(
    title="scGNN is a novel graph neural network framework for single-cell RNA-Seq analyses",
    doi="10.1038/s41467-021-22197-x",
    url="https://www.nature.com/articles/s41467-021-22197-x",
)

GENE_COVERAGE = 0.2
"""Smallest accepted coverage: below it neighbours in the embedding share their labels much more
rarely (rows `pbmc3k-test-removed-…` of scgnn-pbmc's card)."""
MIN_COUNTS = 50
"""Panel counts below which a cell is `out`; with so few, nearly every cell is unusual anyway."""


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings(Settings):
    """Of the pretrained form."""

    epochs: int = 60
    """Most passes over the training cells, in each of the two stages."""
    genes: int = 2000
    """Most variable genes that are read, as published."""
    hidden: int = 128
    """Width of the feature autoencoder's outer layers; 512 as published."""
    embedding: int = 32
    """Width of its embedding; 128 as published."""
    graph: bool = True
    """Whether cells have neighbours; without, the same network answers from the cell alone."""
    graph_hidden: int = 32
    """Width of the graph's hidden layer, as published."""
    graph_embedding: int = 16
    """Width of the graph embedding, as published."""
    neighbours: int = 10
    """Nearest reference cells that a cell is linked to, before pruning; as published."""
    reference_cells: int = 1500
    """Most training cells in the frozen graph."""
    masked_share: float = 0.1
    """Share of a training cell's nonzero counts that is hidden and asked back."""
    masked_weight: float = 10.0
    """Weight of a hidden entry in the loss, where every other entry has 1."""
    thinned_share: float = 0.8
    """Share of the training cells of which fewer molecules are shown than were counted."""
    thinned_to: float = 0.1
    """Smallest share of a thinned cell's molecules that is shown."""
    link_weight: float = 0.1
    """Weight of the graph autoencoder's own loss."""
    learning_rate: float = 1e-3
    """Of Adam, as published."""
    batch: int = 64
    """Cells in a step."""
    patience: int = 8
    """Epochs without a smaller loss on validation cells after which a stage ends."""


@dataclass(frozen=True, kw_only=True)
class PublishedSettings(Settings):
    """Of the published form: the defaults of its code, except where a docstring says otherwise."""

    epochs: int = 500
    """Steps of the first feature autoencoder, each on all cells."""
    rounds: int = 10
    """Most rounds."""
    round_epochs: int = 200
    """Steps of the feature autoencoder in each round, and of the imputation."""
    cluster_epochs: int = 200
    """Steps of each cluster autoencoder in each round."""
    graph_epochs: int = 200
    """Steps of the graph autoencoder in each round."""
    genes: int = 2000
    """Most variable genes that are read."""
    hidden: int = 512
    """Width of the feature autoencoder's outer layers."""
    embedding: int = 128
    """Width of its embedding."""
    graph_hidden: int = 32
    """Width of the graph autoencoder's hidden layer."""
    graph_embedding: int = 16
    """Width of the graph embedding."""
    graph_embedding_used: bool = True
    """Whether cell types are sought in the graph embedding; the code's default is not to, the
    commands that reproduce the paper switch it on."""
    neighbours: int = 10
    """Nearest cells that a cell is linked to, before pruning."""
    reconstruction: float = 0.1
    """Weight of the squared error (`gammaPara`)."""
    l1: float = 1.0
    """Weight of the sum of the absolute parameters."""
    imputation_reconstruction: float = 0.0
    """Weight of the squared error itself when imputing (`gammaImputePara`)."""
    graph_weight: float = 0.3
    """Weight of the graph regulariser."""
    type_weight: float = 0.1
    """Weight of the cell-type regulariser."""
    converged: float = 0.99
    """Adjusted Rand index of two rounds' cell types above which the rounds end."""
    learning_rate: float = 1e-3
    """Of Adam, for every feature autoencoder."""


_EMBEDDING = Output(
    name="embedding",
    description="Graph embedding: two graph convolutions over the frozen reference graph",
    unit="arbitrary",
)
_IMPUTED = Output(
    name="imputed",
    description="Expected count of each gene at the cell's own depth, zeros included",
    unit="counts",
)
_REF_DISTANCE = Output(
    name="ref_distance",
    description="Mean distance to the nearest reference cells in the feature embedding",
    unit="arbitrary",
)
_OOD = (
    Output(
        name="ood_z",
        description="Log of ref_distance against held-out cells of the training data",
        unit="standard deviations",
    ),
    Output(
        name="ood_p",
        description="Share of held-out cells that lie at least as far from the reference",
        unit="probability",
    ),
)
_TOLERANCES = {
    "embedding": (1e-4, 1e-4),
    "imputed": (1e-3, 1e-3),  # exp() of a network's answer
    "ref_distance": (1e-4, 1e-4),
    "ood_z": (1e-3, 1e-3),
    "ood_p": (2e-2, 0.0),  # one held-out cell more or less at the same distance
    "cluster": (0.0, 0.0),
    "cluster_distance": (1e-4, 1e-4),
}


class _Scgnn(Recipe):
    """What both forms share."""

    modality = "rna"
    value_kinds = ("counts",)
    paper = PAPER
    intended = (
        "Imputing the expression that a cell of this kind would show, from its own counts and its "
        "place among the reference cells.",
        "Embedding cells, and telling which of them are unlike the reference.",
    )
    out_of_scope = (
        "Testing genes between groups on imputed values: they are smoothed, so every test is too "
        "sure.",
        "Other tissues and organisms than the training data's; ood_p tells many of their cells.",
        "Giving the folder to anyone who may not have the training cells: it holds no counts, but "
        "of each reference cell an embedding, of which the decoder makes a rough profile.",
    )

    def genes(
        self, cells: TrainingCells, settings: ReferenceSettings | PublishedSettings
    ) -> npt.NDArray[np.int64]:
        """The most variable genes, as published, among those seen in 1% of the cells."""
        from converters.vocabulary import detected_genes, variable_genes

        seen = detected_genes(cells.counts, max(2, round(0.01 * len(cells))))
        return np.sort(variable_genes(cells.counts, genes=settings.genes, candidates=seen))


class ScgnnReference(_Scgnn):
    """The pretrained form: works for a single cell, which joins a frozen reference graph."""

    name = "scgnn-reference"
    summary = "scGNN-style imputation through a frozen reference graph, for single new cells"
    architecture = "scgnn-reference"
    task = "imputation"
    settings = ReferenceSettings

    def fit(self, cells: TrainingCells, settings: ReferenceSettings, run: FitRun) -> Fitted:
        """Feature autoencoder, then graph layers; calibrated on the validation cells."""
        import torch

        from converters.scgnn.pretraining import pretrain

        training, held_out = (
            torch.from_numpy(cells.of(part).dense()) for part in ("train", "validation")
        )
        model = pretrain(training, held_out, settings, run)
        outputs = (_EMBEDDING, _IMPUTED, _REF_DISTANCE, *_OOD)
        return Fitted(
            module=model,
            inputs=("counts", "gene_present"),
            outputs=outputs,
            tolerances={o.name: _TOLERANCES[o.name] for o in outputs},
            gene_weight=_gene_weight(model.network.autoencoder, model.normalization, training),
            gene_coverage=GENE_COVERAGE,
            thresholds=Thresholds(min_counts=MIN_COUNTS),
            facts={"reference_cells": len(model.reference.z), "pruned_degree": _degree(model)},
        )

    def neighbours(self, settings: ReferenceSettings) -> Mapping[str, Settings]:
        """Without the graph, and one step beside each hyper-parameter that matters."""
        return {
            "graph=false": settings.changed(graph=False),
            "neighbours=30": settings.changed(neighbours=30),
            "embedding=16": settings.changed(embedding=16),
            "hidden=64": settings.changed(hidden=64),
            "masked_share=0.3": settings.changed(masked_share=0.3),
            "masked_weight=1": settings.changed(masked_weight=1.0),
            "thinned_share=0": settings.changed(thinned_share=0.0),
            "link_weight=0": settings.changed(link_weight=0.0),
        }


class Scgnn(_Scgnn):
    """The published form: rounds of graph, cell types and autoencoders on the file itself."""

    name = "scgnn"
    summary = "scGNN as published: imputation and cell types by rounds over the file's own graph"
    architecture = "scgnn"
    task = "imputation"
    settings = PublishedSettings

    def fit(self, cells: TrainingCells, settings: PublishedSettings, run: FitRun) -> Fitted:
        """All rounds, then the freezing into a graph for new cells."""
        import torch

        from converters.scgnn.published import fit_published

        training, held_out = (
            torch.from_numpy(cells.of(part).dense()) for part in ("train", "validation")
        )
        model, facts = fit_published(training, held_out, settings, run)
        cluster = Output(
            name="cluster", description="Nearest cell type of the training cells", unit="index"
        )
        distance = Output(
            name="cluster_distance",
            description="Distance from its centre in the graph embedding",
            unit="arbitrary",
        )
        outputs = (_EMBEDDING, _IMPUTED, cluster, distance, _REF_DISTANCE, *_OOD)
        return Fitted(
            module=model,
            inputs=("counts", "gene_present"),
            outputs=outputs,
            tolerances={o.name: _TOLERANCES[o.name] for o in outputs},
            gene_weight=_gene_weight(model.imputer, model.normalization, training),
            gene_coverage=GENE_COVERAGE,
            thresholds=Thresholds(min_counts=MIN_COUNTS),
            facts=facts,
        )

    def neighbours(self, settings: PublishedSettings) -> Mapping[str, Settings]:
        """One step beside each hyper-parameter that matters."""
        return {
            "graph_embedding_used=false": settings.changed(graph_embedding_used=False),
            "neighbours=20": settings.changed(neighbours=20),
            "l1=0.1": settings.changed(l1=0.1),
            "rounds=1": settings.changed(rounds=1),
        }


def _gene_weight(autoencoder: Any, normalization: Any, counts: Any) -> npt.NDArray[np.float32]:
    """Squared norm of a gene's first weights times its variance over the training cells; sum 1."""
    import torch

    x = normalization(counts, torch.ones(counts.shape[1]))
    energy = (autoencoder.w1.weight.detach() ** 2).sum(dim=0) * x.var(dim=0)
    weight: npt.NDArray[np.float32] = (energy / energy.sum()).numpy().astype(np.float32)
    return weight


def _degree(model: Any) -> float:
    """Mean number of neighbours in the frozen graph."""
    return round(float(model.reference.degree.mean()) - 1, 2)
