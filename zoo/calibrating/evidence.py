"""Evidence: what a classifier said of labelled cells, as calibration takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import ProbKind
from zoo.labels import LabelTable

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FLOOR = 1e-30
"""Probabilities below this count as this: float32 keeps its precision down to 1e-38."""


@dataclass(frozen=True)
class Evidence:
    """Labelled cells as the model sees them.

    Attributes
    ----------
    labels
        The classes of the model, with their ancestors in Cell Ontology.
    outputs
        The outputs of the graph as it was, each [cells, …].
    logits
        float64 [cells, classes].
    truth
        int64 [cells]: class of each cell.
    group
        int64 [cells]: donor, sample or slide of each cell; None where nobody said.

    """

    labels: LabelTable
    outputs: dict[str, npt.NDArray[Any]]
    logits: Float64
    truth: Int64
    group: Int64 | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def where(self, keep: Flags) -> Evidence:
        """The cells for which `keep` [cells] is true."""
        return replace(
            self,
            outputs={name: values[keep] for name, values in self.outputs.items()},
            logits=self.logits[keep],
            truth=self.truth[keep],
            group=None if self.group is None else self.group[keep],
        )

    @property
    def unlikeness(self) -> Float64 | None:
        """float64 [cells]: how unlike its training cells the model finds each."""
        return unlikeness_of(self.outputs)


def unlikeness_of(outputs: Mapping[str, npt.NDArray[Any]]) -> Float64 | None:
    """`ood_z` [cells], or `-ood_p` of a model without; None of a model that has neither."""
    for name, sign in (("ood_z", 1.0), ("ood_p", -1.0)):
        if name in outputs:
            return np.asarray(sign * outputs[name], dtype=np.float64)
    return None


def logits_of(prob: npt.NDArray[np.floating], prob_kind: ProbKind) -> Float64:
    """Logits [cells, classes] behind probabilities, up to a constant of each cell.

    Of independent probabilities the log odds: classes then compete, as labels of one column do.
    """
    p = np.maximum(prob.astype(np.float64), FLOOR)
    log_prob: Float64 = np.log(p)
    if prob_kind == "independent":
        log_prob -= np.log(np.maximum(1 - p, FLOOR))
    return log_prob


def log_softmax(logits: Float64) -> Float64:
    """Log-probabilities [cells, classes]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    normalized: Float64 = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalized
