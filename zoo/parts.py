"""The parts of a model that a run needs, verified and parsed: card, vocabulary, labels, graph."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.card import CellZooBlock
from zoo.errors import InvalidModelFile
from zoo.labels import LabelTable
from zoo.pull import PulledModel
from zoo.vocabulary import GeneVocabulary


@dataclass(frozen=True)
class ModelParts:
    """A pulled model, loaded.

    Attributes
    ----------
    digest
        Sha256 of the manifest; it pins every byte of the model.
    origin
        Where the model was pulled from.
    genes
        Bytes of `genes.tsv`; the graph's metadata carry their sha256.
    graph
        Bytes of `model.onnx`.
    labels
        None for a model without classes.
    is_by_path
        Whether it was asked for by the path of its folder, not by name.

    """

    card: CellZooBlock
    digest: str
    origin: str
    vocabulary: GeneVocabulary
    labels: LabelTable | None
    genes: bytes
    graph: bytes
    is_by_path: bool = False

    @classmethod
    def of(cls, pulled: PulledModel) -> ModelParts:
        """Load the parts of a pulled model.

        Raises
        ------
        InvalidModelFile
            If a table is damaged or disagrees with the card.

        """
        card = pulled.manifest.card
        genes = pulled.read("genes")
        vocabulary = GeneVocabulary.parse(genes, model=card.reference)
        if len(vocabulary) != card.inputs.genes:
            raise InvalidModelFile(
                card.reference,
                "genes.tsv",
                f"{len(vocabulary):,} genes where the card says {card.inputs.genes:,}",
            )
        labels = None
        if "label" in card.output_names:
            labels = LabelTable.parse(pulled.read("labels"), model=card.reference)
        return cls(
            card=card,
            digest=pulled.digest,
            origin=pulled.origin,
            vocabulary=vocabulary,
            labels=labels,
            genes=genes,
            graph=pulled.read("graph"),
            is_by_path=pulled.is_by_path,
        )
