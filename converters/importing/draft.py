"""A model between its weights and its folder: files in memory, and a card that is still open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.importing.importer import ImportedModel
from converters.importing.order import ImportOrder
from converters.ontology import labels_table
from zoo.card import CellZooBlock, Output
from zoo.digest import sha256_of
from zoo.labels import LabelTable
from zoo.onnx_graph import ensure_plain
from zoo.parts import ModelParts
from zoo.vocabulary import GeneVocabulary


@dataclass(frozen=True)
class Draft:
    """The tables and the graph of a model.

    Attributes
    ----------
    genes, labels
        Content of `genes.tsv` and `labels.tsv`; None for a model without classes.

    """

    order: ImportOrder
    model: ImportedModel
    genes: bytes
    labels: bytes | None

    @classmethod
    def of(cls, order: ImportOrder, model: ImportedModel) -> Draft:
        """The tables of a model."""
        weight = model.gene_weight
        if weight is None:
            weight = np.ones(len(model.genes), dtype=np.float32)
        labels = None
        if model.labels:
            ids = {**model.label_ids, **order.plan.labels}
            labels = labels_table(model.labels, [ids.get(label, "") for label in model.labels])
        return cls(order, model, model.genes.render(weight), labels)

    def graph(self, outputs: Sequence[str]) -> bytes:
        """The bytes of `model.onnx` with these outputs; more may be appended afterwards.

        Raises
        ------
        InvalidGraph

        """
        ensure_plain(self.model.graph.model, self.order.name)
        self.model.graph.keep_only(outputs)
        return self.model.graph.finish(
            {
                "cellzoo_contract": "1",
                "cellzoo_name": self.order.name,
                "cellzoo_version": self.order.plan.version,
                "cellzoo_genes_sha256": sha256_of(self.genes),
            }
        )

    def parts(self, block: CellZooBlock, graph: bytes) -> ModelParts:
        """What a run needs, with a card that is still open."""
        table = (
            None if self.labels is None else LabelTable.parse(self.labels, model=block.reference)
        )
        return ModelParts(
            card=block,
            digest="",
            origin="",
            vocabulary=GeneVocabulary.parse(self.genes, model=block.reference),
            labels=table,
            genes=self.genes,
            graph=graph,
        )


def names_of(outputs: Sequence[Output]) -> list[str]:
    """Names of outputs, in order."""
    return [output.name for output in outputs]
