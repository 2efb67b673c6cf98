"""`zoo convert scvi FOLDER -o DIR`: SCVI and SCANVI of scvi-tools, encoder and classifier.

Lopez et al. 2018, doi:10.1038/s41592-018-0229-2; Xu et al. 2021, doi:10.15252/msb.20209620.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from converters.importing.importer import CLASSIFIER, ImportedModel, Importer, Provenance, Source
from converters.importing.layers import declare_classes, new_graph, softmax
from converters.importing.names import GeneTable, checked_labels
from converters.scvi.saved.architecture import Architecture
from converters.scvi.saved.folder import SavedFolder
from zoo.card import Output, Paper
from zoo.evaluation.cells import Placed
from zoo.onnx_graph import OnnxGraph, Tensor

EMBEDDING = Output(
    name="embedding",
    description="mean of scVI's latent z, without noise",
    unit="standard deviations of the prior",
)
_TOLERANCE = (1e-4, 1e-4)


class ScviFolder(Importer):
    """A folder that scvi-tools saved."""

    name: ClassVar[str] = "scvi"
    summary: ClassVar[str] = "SCVI or SCANVI, as scvi-tools 0.15 and later save it: a folder"
    settings: ClassVar[Mapping[str, str]] = {
        "batch": "Batch of the training that the encoder is told for every cell, where it was "
        "trained with encode_covariates=True."
    }
    paper: ClassVar[Paper | None] = Paper(
        title="A Python library for probabilistic analysis of single-cell omics data",
        doi="10.1038/s41587-021-01206-w",
        url="https://github.com/scverse/scvi-tools",
    )

    def read(self, source: Source) -> ImportedModel:
        """Read a saved folder, and write its encoder and classifier as a graph.

        Raises
        ------
        FileMissing, UnreadableWeights, ForbiddenGlobal, MissingWeights, UnsupportedWeights
        UnequalLengths, WeightsNotFinite, RepeatedNames

        """
        saved = SavedFolder.read(source.path)
        batch = source.settings.get("batch")
        architecture = Architecture.of(saved, None if batch is None else str(batch))
        own = GeneTable.of(saved.genes, str(saved.path))
        genes = source.genes_for(len(saved.genes), "inputs of the encoder", own)
        kind, version = saved.registry["model_name"], saved.registry.get("scvi_version", "unknown")
        labels = _labels(source, saved, architecture)
        graph, z = write_graph(architecture, len(genes))

        def answers(placed: Placed) -> dict[str, npt.NDArray[np.float32 | np.int64]]:
            found = architecture.embedding(placed.counts)
            told = {"embedding": found.astype(np.float32)}
            if not labels:
                return told
            prob = softmax(architecture.logits(found))
            return {"label": prob.argmax(axis=1), "prob": prob.astype(np.float32), **told}

        return ImportedModel(
            graph=graph,
            genes=genes,
            architecture="scANVI" if labels else "scVI",
            outputs=(*CLASSIFIER, EMBEDDING) if labels else (EMBEDDING,),
            gene_weight=first_weights(architecture),
            labels=labels,
            prob_kind="softmax" if labels else None,
            task="cell_type_annotation" if labels else "embedding",
            value_kinds=("counts",),
            features=z,
            answers=answers,
            tolerances={"embedding": _TOLERANCE},
            hyper_parameters={**architecture.choices, **({"batch": batch} if batch else {})},
            provenance=Provenance(source=f"{kind} saved by scvi-tools {version}"),
            weights=saved.path,
        )


def write_graph(architecture: Architecture, genes: int) -> tuple[OnnxGraph, Tensor]:
    """Counts to embedding and, with a classifier, label and probabilities.

    Genes that a file lacks are counts of 0, as `SCVI.prepare_query_anndata` fills them in.
    """
    graph = new_graph(genes, total_counts=False, gene_present=False)
    x: Tensor = "counts"
    if architecture.log_variational:
        one = graph.constant(np.float32(1))
        x = graph.node("Log", graph.node("Add", x, one))
    for layer in architecture.encoder:
        x = layer.write(graph, x)
    z = graph.node("Identity", x, name="embedding")
    latent = architecture.encoder[-1].weight.shape[1]
    graph.declare("embedding", graph.onnx.TensorProto.FLOAT, ["cells", latent])
    if architecture.classifier:
        logits = z
        for layer in architecture.classifier:
            logits = layer.write(graph, logits)
        prob = graph.node("Softmax", logits, axis=1)
        classes = architecture.classifier[-1].weight.shape[1]
        declare_classes(graph, prob, classes, scores=logits)
    return graph, z


def first_weights(architecture: Architecture) -> npt.NDArray[np.float32]:
    """float32 [genes]: each gene's share of the squared weights of the first layer."""
    energy = (architecture.encoder[0].weight ** 2).sum(axis=1)
    return (energy / max(float(energy.sum()), 1e-12)).astype(np.float32)


def _labels(source: Source, saved: SavedFolder, architecture: Architecture) -> tuple[str, ...]:
    """Names of the classes: those of the training without the one for unlabelled cells."""
    if not architecture.classifier:
        return ()
    classes = architecture.classifier[-1].weight.shape[1]
    unlabelled = str(saved.attributes.get("unlabeled_category_"))
    known = tuple(name for name in saved.categories("labels") if name != unlabelled)
    own = checked_labels(known, str(saved.path))
    return source.labels_for(classes, "outputs of the classifier", own)
