"""The two recipes of SpaGCN: a supervised head on its graph layer, and its own self-training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters.recipe import Fitted, Recipe, Settings
from converters.training_cells import TrainingCells
from zoo.card import GraphRecipe, Output, Paper

if TYPE_CHECKING:
    from converters.fit_run import FitRun

PAPER = Paper(
    title="SpaGCN: Integrating gene expression, spatial location and histology to identify spatial "
    "domains and spatially variable genes by graph convolutional network (Hu et al. 2021)",
    doi="10.1038/s41592-021-01255-8",
    url="https://github.com/jianhuupenn/SpaGCN",
)

GRAPH = GraphRecipe(kernel="gaussian", neighbourhood_share=0.5, minimum_weight=0.01)
"""The published kernel at the published p; edges below 0.01 are cut."""

DENSE = {"dense-kernel": GRAPH.model_copy(update={"minimum_weight": 1e-6})}
"""As published: nothing is cut that could be told from 0."""

HEAD_OUTPUTS = (
    Output(name="label", description="most probable label", unit="class index"),
    Output(
        name="prob",
        description="probability of each label, as if all labels were equally common on the slide",
        unit="probability",
    ),
    Output(
        name="conformal_p",
        description="how typical the spot is of each label; small: the label is rejected",
        unit="p-value",
    ),
    Output(name="in_set", description="labels that are not rejected", unit="flag"),
    Output(
        name="ood_z",
        description="log distance from the nearest label's centre, against held-out spots",
        unit="standard deviations",
    ),
    Output(
        name="ood_p",
        description="share of held-out training spots that are as far off",
        unit="p-value",
    ),
    Output(name="embedding", description="output of the graph layer", unit="arbitrary"),
)

CLUSTER_OUTPUTS = (
    Output(name="cluster", description="spatial domain of the slide", unit="cluster index"),
    Output(
        name="cluster_distance",
        description="distance from the domain's centre in the embedding",
        unit="arbitrary",
    ),
    Output(name="embedding", description="output of the graph layer", unit="arbitrary"),
)

_SPECIAL = ("ERCC", "MT-", "mt-")
"""Spike-ins and mitochondrial genes, which the published code leaves out of clustering."""


@dataclass(frozen=True, kw_only=True)
class HeadSettings(Settings):
    """Hyper-parameters of the supervised head."""

    epochs: int = 100
    """Steps with all spots at once."""
    genes: int = 2000
    """Most variable genes of the training spots."""
    min_spots: int = 10
    """A gene is seen in at least so many training spots."""
    components: int = 50
    """Principal components that the graph layer reads."""
    hidden: int = 32
    """Width of the graph layer, and of the embedding."""
    dropout: float = 0.5
    """Share of units left out in training."""
    noise: float = 0.3
    """Standard deviation of what is added to each component in each step; the first component's
    own is 1."""
    learning_rate: float = 0.005
    """Learning rate."""
    weight_decay: float = 0.01
    """Weight decay."""
    label_smoothing: float = 0.05
    """Share of the target that is spread over all labels."""
    graph: bool = True
    """False: every spot hears itself alone."""
    centre: bool = True
    """Components less their mean over the slide, as the published components of one slide are."""
    alpha: float = 0.1
    """Error level of the conformal sets."""
    gene_coverage: float = 0.5
    """Smallest accepted gene coverage."""


@dataclass(frozen=True, kw_only=True)
class SelfTrainingSettings(Settings):
    """Hyper-parameters of the published method, with its defaults."""

    epochs: int = 2000
    """Most steps."""
    clusters: int = 7
    """Domains to begin with; a domain may lose all its spots."""
    min_spots: int = 3
    """A gene is seen in at least so many spots."""
    components: int = 50
    """Principal components that the graph layer reads."""
    learning_rate: float = 0.005
    """Learning rate."""
    weight_decay: float = 0.0
    """Weight decay."""
    tolerance: float = 0.001
    """It is over once fewer spots than this share change their domain."""
    update_interval: int = 3
    """Steps between two targets."""
    spatial_start: bool = True
    """Begin with k-means on the graph layer's output; false: on the components alone."""


class SpagcnHead(Recipe):
    """SpaGCN's graph layer with a supervised head."""

    name = "spagcn-head"
    summary = "SpaGCN-style graph layer with a supervised head, for labelled slides."
    architecture = (
        "50 components → one SpaGCN graph convolution → linear head; calibrated across groups"
    )
    task = "spatial_domains"
    modality = "spatial"
    paper = PAPER
    settings = HeadSettings
    needs = frozenset({"label", "coordinates"})
    graph_recipe = GRAPH
    other_graphs = DENSE
    intended = (
        "Labelling the spots of whole slides of the same tissue and technique as the training "
        "slides, and ranking spots within a slide.",
    )
    out_of_scope = (
        "Single spots or parts of a slide: a spot is read among its neighbours and against the "
        "mean of its slide.",
        "Other organisms, tissues and techniques.",
    )

    def genes(self, cells: TrainingCells, settings: HeadSettings) -> npt.NDArray[np.int64]:
        """The most variable genes that enough spots have."""
        from converters.vocabulary import detected_genes, variable_genes

        candidates = detected_genes(cells.counts, settings.min_spots)
        chosen = variable_genes(cells.counts, genes=settings.genes, candidates=candidates)
        return np.sort(chosen).astype(np.int64)

    def fit(self, cells: TrainingCells, settings: HeadSettings, run: FitRun) -> Fitted:
        """Fit to all cells given, whatever their part; see `converters.spagcn.head`."""
        from converters.spagcn.head import fit_head

        return fit_head(cells, settings, GRAPH, run)

    def neighbours(self, settings: HeadSettings) -> Mapping[str, HeadSettings]:
        """Without graph, without centring, and half or twice of the sizes."""
        s = settings
        near: dict[str, Mapping[str, Any]] = {
            "without-graph": {"graph": not s.graph},
            "not-centred": {"centre": not s.centre},
            f"hidden={2 * s.hidden}": {"hidden": 2 * s.hidden},
            f"components={s.components // 2}": {"components": s.components // 2},
            f"genes={s.genes // 2}": {"genes": s.genes // 2},
            f"epochs={2 * s.epochs}": {"epochs": 2 * s.epochs},
            "noise=0": {"noise": 0.0},
        }
        return {name: settings.changed(**changes) for name, changes in near.items()}


class Spagcn(Recipe):
    """The published method: self-training on one slide."""

    name = "spagcn"
    summary = "Spatial domains of one slide by self-training, as SpaGCN was published."
    architecture = "50 components → one graph convolution → Student-t assignment, self-trained"
    task = "spatial_domains"
    modality = "spatial"
    paper = PAPER
    settings = SelfTrainingSettings
    needs = frozenset({"coordinates"})
    graph_recipe = GRAPH
    other_graphs = DENSE
    minimum_cells = 20
    holds_out = False
    intended = ("The domains of the very slide that it was trained on.",)
    out_of_scope = (
        "Any other slide: the domains, the components and the graph layer are of one slide.",
    )

    def genes(self, cells: TrainingCells, settings: SelfTrainingSettings) -> npt.NDArray[np.int64]:
        """All genes that enough spots have, but spike-ins and mitochondrial ones."""
        from converters.vocabulary import detected_genes, excluded_genes

        kept = detected_genes(cells.counts, min(settings.min_spots, len(cells)))
        kept &= ~excluded_genes(cells.symbols, (), _SPECIAL)
        return np.flatnonzero(kept).astype(np.int64)

    def fit(self, cells: TrainingCells, settings: SelfTrainingSettings, run: FitRun) -> Fitted:
        """Fit to the slide; see `converters.spagcn.self_training`."""
        from converters.spagcn.self_training import fit_slide

        return fit_slide(cells, settings, GRAPH, run)

    def neighbours(self, settings: SelfTrainingSettings) -> Mapping[str, SelfTrainingSettings]:
        """One domain more, and half the components."""
        return {
            f"clusters={settings.clusters + 1}": settings.changed(clusters=settings.clusters + 1),
            f"components={settings.components // 2}": settings.changed(
                components=settings.components // 2
            ),
        }
