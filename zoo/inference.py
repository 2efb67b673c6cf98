"""Inference on one portion: values → vocabulary → graph → calls and verdicts, as columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo import confidence
from zoo.alignment import Alignment
from zoo.confidence import CallTable
from zoo.errors import InvalidModelFile
from zoo.explanation import Explanation
from zoo.labels import LabelTable
from zoo.parts import BY_PATHWAY, ModelParts
from zoo.portions import Portion
from zoo.session import Session
from zoo.top_genes import TopGenes

Arrays = dict[str, npt.NDArray[Any]]

PER_CELL = ("ood_z", "ood_p", "cluster", "cluster_distance", "recon_error", "ref_distance")
PER_GENE = frozenset({"imputed", "predicted", "mean", "dispersion", "dropout_prob", "attribution"})
CLASSIFIER = ("label", "prob", "conformal_p", "in_set")


@dataclass(frozen=True)
class PortionResult:
    """What was found for the cells of a portion.

    Attributes
    ----------
    columns
        Columns of obs, each [cells]; labels, calls and verdicts as int32 codes.
    obsm, layers
        Arrays [cells, dims] and [cells, genes of the vocabulary].
    outputs
        The graph's outputs as they came.
    top
        The top genes of each cell, if they are explained: `genes` and `attribution`, each
        [cells, 2 · top].

    """

    columns: Arrays
    obsm: Arrays
    layers: Arrays
    outputs: Arrays
    unusual_cells: int
    top: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Inference:
    """A loaded model with the alignment of one file.

    Attributes
    ----------
    extra
        Outputs beyond the usual ones that were asked for.
    forced
        Whether the data is outside the model's scope: every cell is marked in the column `forced`,
        and no verdict is better than `borderline`.

    """

    parts: ModelParts
    session: Session
    alignment: Alignment
    extra: frozenset[str]
    forced: bool = False
    explanation: Explanation | None = None
    calls: CallTable = field(init=False)

    def __post_init__(self) -> None:
        labels = self.parts.labels or LabelTable((), ())
        object.__setattr__(self, "calls", CallTable(labels))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The graph's outputs that are computed: all but per-gene ones nobody asked for."""
        names = self.parts.card.output_names
        return tuple(name for name in names if name not in PER_GENE or name in self.extra)

    def predict(self, portion: Portion) -> tuple[Arrays, npt.NDArray[np.float32]]:
        """The graph's outputs for a portion, and each cell's counts in the vocabulary.

        This part is free of shared state: portions may be predicted side by side.
        """
        counts = self.alignment.counts(portion.block)
        inputs = {
            "counts": counts,
            "gene_present": self.alignment.gene_present,
            **portion.inputs,
        }
        if "total_counts" in self.session.inputs:
            inputs["total_counts"] = portion.block.sums().astype(np.float32)[:, None]
        outputs = self.session.run(inputs, self.outputs)
        if self.explanation is not None:
            outputs["attribution"] = self.explanation.attribution(inputs, outputs["label"])
            outputs["expressed"] = counts > 0
        return outputs, counts.sum(axis=1)

    def judge(self, outputs: Arrays, vocabulary_counts: npt.NDArray[np.float32]) -> PortionResult:
        """Labels, calls and verdicts for predicted cells, in the names of the results."""
        card = self.parts.card
        verdict = confidence.verdicts(outputs, vocabulary_counts, card.thresholds)
        columns: Arrays = {}
        if self.forced:
            verdict = np.maximum(verdict, np.int8(confidence.BORDERLINE))
        if "label" in outputs:
            columns |= self._classifier_columns(outputs, verdict)
        columns |= {name: outputs[name] for name in PER_CELL if name in outputs}
        columns["verdict"] = verdict.astype(np.int32)
        top = {} if self.explanation is None else self._top_genes(outputs, columns)
        if self.forced:
            columns["forced"] = np.ones(len(verdict), dtype=bool)
        obsm = {name: outputs[name] for name in self.extra & {"prob", "conformal_p", "in_set"}}
        obsm |= self._by_pathway(outputs)
        if "embedding" in outputs:
            obsm = {"X_embedding": outputs["embedding"], **obsm}
        return PortionResult(
            columns=columns,
            obsm=obsm,
            layers={name: outputs[name] for name in PER_GENE & self.extra},
            outputs=outputs,
            unusual_cells=self._unusual(outputs),
            top=top,
        )

    def categories(self) -> dict[str, list[str]]:
        """Categories of the coded columns, after the last block."""
        categories = {"verdict": list(confidence.VERDICTS)}
        if self.parts.labels is not None:
            ids, _ = _unique_ids([term.id for term in self.parts.labels.labels])
            call_ids, _ = _unique_ids([term.id for term in self.calls.terms])
            categories |= {
                "label": list(self.parts.labels.names),
                "label_id": ids,
                "call": [term.name for term in self.calls.terms],
                "call_id": call_ids,
                "group_call": list(self.parts.labels.names),
            }
        return categories

    def _by_pathway(self, outputs: Arrays) -> Arrays:
        """Outputs with a column for each pathway; provenance names the columns."""
        found = {name: outputs[name] for name in sorted(BY_PATHWAY) if name in outputs}
        pathways, card = self.parts.pathways, self.parts.card
        for name, values in found.items():
            if pathways is not None and values.shape[1] != len(pathways):
                detail = (
                    f"{len(pathways):,} pathways where {name!r} has {values.shape[1]:,} columns"
                )
                raise InvalidModelFile(card.reference, "pathways.tsv", detail)
        return found

    def _classifier_columns(self, outputs: Arrays, verdict: npt.NDArray[np.int8]) -> Arrays:
        assert self.parts.labels is not None, "the parts of a classifier have labels"
        label = outputs["label"]
        rows = np.arange(len(label))
        _, id_of_label = _unique_ids([term.id for term in self.parts.labels.labels])
        columns: Arrays = {"label": label.astype(np.int32), "label_id": id_of_label[label]}
        if "in_set" in outputs:
            columns["call"] = self.calls.calls(outputs["in_set"], verdict)
            _, id_of_call = _unique_ids([term.id for term in self.calls.terms])
            columns["call_id"] = id_of_call[columns["call"]]
        for name in ("prob", "conformal_p"):
            if name in outputs:
                columns[name] = outputs[name][rows, label]
        if "in_set" in outputs:
            columns["set_size"] = outputs["in_set"].sum(axis=1).astype(np.int32)
        return columns

    def _top_genes(self, outputs: Arrays, columns: Arrays) -> Arrays:
        """The top genes of each cell, their names added to the columns."""
        assert self.explanation is not None, "cells are explained"
        there = outputs["expressed"]
        found = TopGenes.of(outputs["attribution"], there, self.explanation.top)
        for state, names in found.names(self.parts.vocabulary.names).items():
            columns[f"top_{state}"] = names
        flat = (len(there), -1)
        return {"genes": found.genes.reshape(flat), "attribution": found.attribution.reshape(flat)}

    def _unusual(self, outputs: Arrays) -> int:
        if "ood_p" not in outputs:
            return 0
        return int((outputs["ood_p"] < self.parts.card.thresholds.ood_borderline).sum())


def _unique_ids(ids: list[str]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Distinct ids in order of appearance, and for each given id its place among them."""
    distinct = list(dict.fromkeys(ids))
    return distinct, np.array([distinct.index(id_) for id_ in ids], dtype=np.int32)
