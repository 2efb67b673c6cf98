"""Admission: what a model from elsewhere must pass before its name is known here.

Every file is data of its role, card and manifest say the same, each graph is harmless and passes
its trial, and what the graph gives is what card and tables announce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from zoo.card import CellZooBlock
from zoo.card_file import parse_card
from zoo.digest import sha256_of
from zoo.errors import InvalidCard, InvalidGraph, InvalidManifest, InvalidModelFile, MissingExtra
from zoo.gate.files import ensure_data, ensure_text
from zoo.gate.graph import GRAPH_SHA256, ensure_harmless
from zoo.labels import LabelTable
from zoo.manifest import FILE_NAME, FileRole, Manifest, ModelFile
from zoo.pathways import PathwayTable
from zoo.registry import Entry
from zoo.trial import CELLS, Shapes, try_graph
from zoo.vocabulary import GeneVocabulary

Contents = Mapping[FileRole, bytes]

_BY_CLASS = frozenset({"prob", "conformal_p", "in_set"})
_BY_PATHWAY = frozenset({"mask", "pathway_attention"})
_BY_GENE = frozenset({"imputed", "predicted", "mean", "dispersion", "dropout_prob", "attribution"})

_COPIED = (
    "task", "architecture", "organism", "tissues", "modality", "value_kinds", "summary", "outputs",
    "license", "parameters", "size",
)  # fmt: skip
"""Fields of an entry of the registry that are the card's own, so that no version of CellZoo can
derive them otherwise."""


def admit(manifest: Manifest, load: Callable[[ModelFile], bytes], origin: str) -> None:
    """Let a model in, or say why not.

    Parameters
    ----------
    load
        Gives the verified bytes of a file.
    origin
        Where it comes from, for messages.

    Raises
    ------
    InvalidModelFile, InvalidManifest, InvalidCard, InvalidGraph, TrialFailed

    """
    contents: dict[FileRole, bytes] = {}
    for file in manifest.files:
        content = load(file)
        ensure_data(file, content, manifest.reference)
        contents[file.role] = content
    ensure_spoken_for(manifest, contents["card"], origin)
    ensure_graphs(manifest.card, contents)


def ensure_announced(entry: Entry, manifest: Manifest, origin: str) -> None:
    """Refuse a model of which the registry says other things than its manifest.

    Raises
    ------
    InvalidManifest

    """
    own = Entry.of(manifest, entry.locations)
    for name in _COPIED:
        if (told := getattr(entry, name)) != (true := getattr(own, name)):
            detail = f"the registry says {name} = {told!r}, the manifest {true!r}"
            raise InvalidManifest(f"{origin}/{FILE_NAME}", detail[:300])


def ensure_spoken_for(manifest: Manifest, card: bytes, origin: str) -> None:
    """Refuse a manifest with texts that no page may show, or with another card than the file's.

    The file is read where PyYAML is installed; all that runs or is listed is the manifest's.

    Raises
    ------
    InvalidModelFile, InvalidManifest, InvalidCard

    """
    for text in _texts(manifest.card.model_dump(mode="json")):
        ensure_text(text, FILE_NAME, manifest.reference)
    try:
        told = parse_card(card.decode("utf-8"), f"{origin}/README.md").block
    except MissingExtra:
        return
    except UnicodeDecodeError as error:
        raise InvalidCard(f"{origin}/README.md", "not UTF-8 text") from error
    if told != manifest.card:
        ours, theirs = told.model_dump(), manifest.card.model_dump()
        other = next(name for name in ours if ours[name] != theirs[name])
        detail = f"its {other!r} is not the one of the card in README.md"
        raise InvalidManifest(f"{origin}/{FILE_NAME}", detail)


def ensure_graphs(card: CellZooBlock, contents: Contents) -> None:
    """Refuse graphs that are not harmless, fail their trial or disagree with card and tables.

    Raises
    ------
    InvalidGraph, InvalidModelFile, TrialFailed

    """
    genes, graph = contents["genes"], contents["graph"]
    vocabulary = GeneVocabulary.parse(genes, model=card.reference)
    if len(vocabulary) != card.inputs.genes:
        detail = f"{len(vocabulary):,} genes where the card says {card.inputs.genes:,}"
        raise InvalidModelFile(card.reference, "genes.tsv", detail)
    ensure_harmless(graph, card, genes)
    found = try_graph(graph, card)
    if set(found) != set(card.output_names):
        told = f"its outputs are {sorted(found)}, the card says {sorted(card.output_names)}"
        raise InvalidGraph(card.reference, told)
    _ensure_shapes(found, card, contents)
    if "explain" not in contents:
        return
    facts = ensure_harmless(contents["explain"], card, genes)
    if (made_for := facts.metadata.get(GRAPH_SHA256)) != sha256_of(graph):
        told = f"explain.onnx was made for another model.onnx ({GRAPH_SHA256} = {made_for!r})"
        raise InvalidGraph(card.reference, told)
    explained = try_graph(contents["explain"], card)
    if explained != {"attribution": (CELLS, card.inputs.genes)}:
        raise InvalidGraph(card.reference, f"the outputs of explain.onnx are {explained}")


# -- pieces --------------------------------------------------------------------------------------


def _ensure_shapes(found: Shapes, card: CellZooBlock, contents: Contents) -> None:
    def ensure(names: frozenset[str], columns: int, what: str, file: str) -> None:
        for name in sorted(names & found.keys()):
            if found[name][1:] != (columns,):
                detail = f"{columns:,} {what}, and {name!r} of the graph has the shape"
                told = f"{detail} {list(found[name])} for {CELLS} cells"
                raise InvalidModelFile(card.reference, file, told)

    ensure(_BY_GENE, card.inputs.genes, "genes", "genes.tsv")
    if "label" in found:
        if "labels" not in contents:
            raise InvalidModelFile(card.reference, "labels.tsv", "a classifier needs one")
        labels = LabelTable.parse(contents["labels"], model=card.reference)
        ensure(_BY_CLASS, len(labels), "labels", "labels.tsv")
    if "pathways" in contents:
        pathways = PathwayTable.parse(contents["pathways"], model=card.reference)
        ensure(_BY_PATHWAY, len(pathways.names), "pathways", "pathways.tsv")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
