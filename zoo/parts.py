"""The parts of a model that a run needs, verified and parsed: card, vocabulary, labels, graph."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.card import CellZooBlock
from zoo.errors import InvalidModelFile, NoExplanation
from zoo.labels import LabelTable
from zoo.pathways import PathwayTable
from zoo.pull import PulledModel
from zoo.vocabulary import GeneVocabulary

BY_PATHWAY = frozenset({"mask", "pathway_attention"})
"""Outputs with a column for each pathway."""


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
    pathways
        None for a model without outputs by pathway.
    explain
        Bytes of `explain.onnx`, where they were asked for.
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
    pathways: PathwayTable | None = None
    explain: bytes | None = None
    is_by_path: bool = False

    @classmethod
    def of(cls, pulled: PulledModel, *, explain: bool = False) -> ModelParts:
        """Load the parts of a pulled model, with its explanation if it is asked for.

        Raises
        ------
        NoExplanation
            If an explanation is asked for and the model has none.
        InvalidModelFile
            If a table is damaged or disagrees with the card.

        """
        card = pulled.manifest.card
        if explain and pulled.manifest.file("explain") is None:
            raise NoExplanation(
                card.reference, [n for n in sorted(BY_PATHWAY) if n in card.output_names]
            )
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
        pathways = None
        if BY_PATHWAY & set(card.output_names) and pulled.manifest.file("pathways") is not None:
            pathways = PathwayTable.parse(pulled.read("pathways"), model=card.reference)
        return cls(
            card=card,
            digest=pulled.digest,
            origin=pulled.origin,
            vocabulary=vocabulary,
            labels=labels,
            genes=genes,
            graph=pulled.read("graph"),
            pathways=pathways,
            explain=pulled.read("explain") if explain else None,
            is_by_path=pulled.is_by_path,
        )
