"""`zoo convert aeacus`: the malignancy classifier that the package aeacus ships."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from converters.aeacus import graph as writing
from converters.aeacus.checkpoint import NAME, Checkpoint, ensure_there
from converters.importing.importer import ImportedModel, Importer, Provenance, Source
from converters.importing.layers import new_graph
from zoo.card import Output

LABELS = ("Normal", "Malignant")
_OUTPUTS = (
    Output(
        name="label",
        description="malignant from the checkpoint's threshold on, else normal",
        unit="class index",
    ),
    Output(name="prob", description="probability of each class", unit="probability"),
)


class Aeacus(Importer):
    """Two experts and a gate, over 3,778 genes: malignant or normal."""

    name: ClassVar[str] = NAME
    summary: ClassVar[str] = "the package's folder model/ (moe.pt, geneorder.tsv, config.json)"
    settings: ClassVar = {}

    def read(self, source: Source) -> ImportedModel:
        """Read the checkpoint and write its graph.

        Raises
        ------
        FileMissing, UnreadableWeights, ForbiddenGlobal, MissingWeights, UnequalLengths
        WeightsNotFinite, UnsupportedWeights, RepeatedNames

        """
        ensure_there(source.path)
        model = Checkpoint.read(source.path, source.genes)
        graph = new_graph(len(model.genes), total_counts=True, gene_present=False)
        hidden = writing.write(graph, model, half=True)
        reach = [np.abs(part.weight).mean(axis=1) for part in (*model.experts, model.gate)]
        weight = np.mean(reach, axis=0).astype(np.float32)
        return ImportedModel(
            graph=graph,
            genes=model.genes,
            gene_weight=weight,
            architecture=f"Mixture of {len(model.experts)} experts (dense {weight.size}-"
            f"{len(model.gate.bias)}-1 with LayerNorm and GELU) weighted by a gate of the same "
            "form, on standardized log(1 + counts per million)",
            outputs=_OUTPUTS,
            labels=source.labels_for(2, "classes", LABELS),
            prob_kind="softmax",
            task="tumor_detection",
            value_kinds=("counts", "log_normalized"),
            features=hidden,
            answers=lambda placed: writing.answers(model, placed.counts, placed.total_counts),
            tolerances={"label": (0.0, 0.0), "prob": (2e-3, 1e-3)},
            hyper_parameters={
                "temperature": model.temperature,
                "threshold": model.threshold,
                "first_layers": "float16",
            },
            provenance=Provenance(known_training=_told(model)),
            weights=model.weights,
        )


def _told(model: Checkpoint) -> str:
    """The makers' own metrics, as the checkpoint holds them."""
    test = model.facts.get("test_metrics")
    if not isinstance(test, dict):
        return "not stated"
    kept = ("auroc", "auprc", "sensitivity", "specificity", "balanced_accuracy")
    shown = ", ".join(f"{key} {float(test[key]):.3f}" for key in kept if key in test)
    return f"the checkpoint names neither cells nor donors; its makers' own test: {shown}"
