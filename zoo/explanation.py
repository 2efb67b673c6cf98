"""An explanation at work: attributions of genes for a portion of cells, by `explain.onnx`.

The graph explains the class that it is told, so what is explained is what `model.onnx` said of a
cell, or one class for all cells. It was made beforehand (`zoo.explaining`); here it is only run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.categories import Categories
from zoo.errors import UnknownClass
from zoo.parts import ModelParts
from zoo.reading import Dataset
from zoo.run_options import ExplanationOptions
from zoo.session import Arrays, Device, Session
from zoo.top_genes import GroupGene, GroupTotals

LABEL = "label"


@dataclass(frozen=True)
class Explanation:
    """A loaded `explain.onnx`.

    Attributes
    ----------
    explained
        The class that is explained for every cell; None for each cell's own label.
    top
        Genes to list for each cell and state.

    """

    session: Session
    explained: int | None
    top: int

    @classmethod
    def open(
        cls,
        parts: ModelParts,
        options: ExplanationOptions,
        *,
        device: Device,
        on_notice: Callable[[str], None],
    ) -> Explanation:
        """Load the explanation of a model.

        Raises
        ------
        InvalidGraph
            If it was made for another graph, or breaks the contract.
        UnknownClass, DeviceUnavailable

        """
        assert parts.explain is not None, "the parts were loaded for an explanation"
        explained = None if options.label is None else class_of(parts, options.label)
        session = Session.open_explanation(
            parts.explain,
            card=parts.card,
            genes=parts.genes,
            graph=parts.graph,
            device=device,
            on_notice=on_notice,
        )
        return cls(session, explained, options.top)

    def attribution(self, inputs: Arrays, label: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """float32 [cells, genes]: what each gene brings to the log-odds of a class.

        Parameters
        ----------
        inputs
            Those of the model's graph.
        label
            int64 [cells]: the class of each cell, where not one is explained for all.

        """
        if self.explained is not None:
            label = np.full_like(label, self.explained)
        found = self.session.run({**inputs, "label": label}, ("attribution",))
        return np.asarray(found["attribution"])


def class_of(parts: ModelParts, label: str) -> int:
    """The position of a label.

    Raises
    ------
    UnknownClass

    """
    names = parts.labels.names if parts.labels else ()
    if label not in names:
        raise UnknownClass(parts.card.name, label, names)
    return names.index(label)


@dataclass
class GroupExplanation:
    """What the labels of groups rest on: by label, or by a column of obs."""

    names: list[str]
    codes: npt.NDArray[np.int64] | None
    totals: GroupTotals

    @classmethod
    def of(
        cls, parts: ModelParts, dataset: Dataset, options: ExplanationOptions
    ) -> GroupExplanation:
        """Begin for the groups that were asked for."""
        genes = len(parts.vocabulary)
        if options.groups == LABEL:
            names = list(parts.labels.names) if parts.labels else []
            return cls(names, None, GroupTotals(len(names), genes))
        column = options.groups
        groups = Categories.of(dataset.obs(column), path=dataset.path, column=column)
        return cls(list(groups.names), groups.codes, GroupTotals(len(groups.names), genes))

    def add(self, rows: npt.NDArray[np.int64], outputs: Arrays) -> None:
        """Add the cells at `rows` [cells] of the file."""
        group = outputs["label"] if self.codes is None else self.codes[rows]
        self.totals.add(group, outputs["attribution"], outputs["expressed"])

    def table(self, vocabulary: npt.NDArray[np.str_], top: int) -> dict[str, npt.NDArray[Any]]:
        """The columns of `uns['explanation']`, one line for each group, state and gene."""
        lines = self.totals.top(self.names, vocabulary, top)
        columns = list(GroupGene.__annotations__)
        rows = [asdict(line) for line in lines]
        return {
            name: np.array([row[name] for row in rows], dtype=_TYPES.get(name, object))
            for name in columns
        }


_TYPES: dict[str, Any] = {"rank": np.int32, "attribution": np.float32, "share": np.float32}
