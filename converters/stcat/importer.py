"""`zoo convert stcat`: the T-cell states of the package STCAT."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from converters.importing.importer import ImportedModel, Importer, Provenance, Source
from converters.importing.layers import new_graph
from converters.importing.names import GeneTable
from converters.stcat import graph as writing
from converters.stcat.linear_models import FILES, NAME, StateModels
from zoo.card import Output, Paper
from zoo.errors import UnsupportedWeights

_LABEL = Output(
    name="label",
    description="state named by the model that decides for this cell, without the votes of "
    "clusters that the package adds",
    unit="class index",
)
_PROB = Output(
    name="prob",
    description="sigmoid of each class of the model that decides for this cell, 0 for the classes "
    "that it was not asked about; of 'None T' 1 or 0, by rule",
    unit="probability",
)


class Stcat(Importer):
    """Three linear models and the rules between them."""

    name: ClassVar[str] = NAME
    summary: ClassVar[str] = f"the package's folder data/ ({', '.join(FILES.values())})"
    settings: ClassVar = {}
    paper: ClassVar[Paper | None] = Paper(
        title="An automatic annotation tool and reference database for T cell subtypes and states "
        "at single-cell resolution",
        doi="10.1016/j.scib.2025.02.043",
    )

    def read(self, source: Source) -> ImportedModel:
        """Read the three models and write them as one graph.

        Raises
        ------
        FileMissing, UnreadableWeights, ForbiddenGlobal, MissingWeights, UnequalLengths
        WeightsNotFinite, RepeatedNames, UnsupportedWeights

        """
        if source.genes is not None:
            part = "genes that are named from outside"
            raise UnsupportedWeights(str(source.path), NAME, part, ["the genes of the pickles"])
        states = StateModels.read(source)
        graph = new_graph(len(states.genes), total_counts=True, gene_present=True)
        values = writing.write(graph, states)
        return ImportedModel(
            graph=graph,
            genes=GeneTable.of(states.genes, str(source.path)),
            gene_weight=_weight(states),
            architecture="Logistic regressions on scaled log values in a cascade: "
            + ", ".join(
                f"{FILES[key]} {len(model.columns)}-{len(model.classes)}"
                for key, model in states.models.items()
            )
            + "; rules by counts of CD3, CD4 and CD8",
            outputs=(_LABEL, _PROB),
            labels=source.labels_for(len(states.labels), "classes", states.labels),
            prob_kind="independent",
            value_kinds=("counts", "log_normalized"),
            features=values,
            answers=lambda placed: writing.answers(states, placed),
            hyper_parameters=_settings(states),
            provenance=Provenance(),
            weights=source.path / FILES["all"],
        )


def _weight(states: StateModels) -> Any:
    """float32 [genes]: mean share of the models' squared coefficients; rules count as one more."""
    weight = np.zeros(len(states.genes))
    for model in states.models.values():
        squares = (model.weight**2).sum(axis=1)
        weight[model.columns] += squares / squares.sum()
    rules = states.places((*writing.T_CELL_GENES, *writing.CD4_GENES, *writing.CD8_GENES))
    weight[rules] += 1 / len(rules)
    return (weight / weight.sum()).astype(np.float32)


def _settings(states: StateModels) -> dict[str, Any]:
    return {
        "genes_and_classes": {
            FILES[key]: [len(model.columns), len(model.classes)]
            for key, model in states.models.items()
        }
    }
