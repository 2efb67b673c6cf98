"""The same fits asked with another spatial graph: how far do answers hang on its recipe?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from converters.building.subject import FoldedSubject, TorchSubject
from zoo.card import GraphRecipe
from zoo.evaluation.cells import LabelledCells
from zoo.evaluation.measure import measure
from zoo.evaluation.measurements import Measurements, Setting, row_key
from zoo.evaluation.metrics import Measure
from zoo.evaluation.subject import Outputs

COMPARED = ("prob", "embedding", "cluster_distance")


def measure_other_graphs(
    subject: TorchSubject | FoldedSubject,
    cells: LabelledCells,
    answers: Outputs,
    setting: Setting,
    graphs: Mapping[str, GraphRecipe],
    into: Measurements,
) -> None:
    """Rows of the role `ablation` for each graph, as `key+name`.

    Besides what is measured of the model: `<output>_shift` and `<output>_shift_mean`, the largest
    and the mean absolute difference of an output from the answers with the model's own graph.
    """
    for name, recipe in graphs.items():
        told = replace(
            setting,
            key=f"{setting.key}+{row_key(name)}",
            role="ablation",
            condition=f"{setting.condition}; {name}",
        )
        found = measure(with_graph(subject, recipe), cells, told, into)
        for output in COMPARED:
            if output in found and output in answers:
                gap = np.abs(found[output].astype(np.float64) - answers[output])
                into.add(told, f"{output}_shift", _plain(float(gap.max()), len(gap)))
                into.add(told, f"{output}_shift_mean", _plain(float(gap.mean()), len(gap)))


def with_graph(
    subject: TorchSubject | FoldedSubject, recipe: GraphRecipe
) -> TorchSubject | FoldedSubject:
    """The same model, whose slides become other graphs."""
    if isinstance(subject, FoldedSubject):
        parts = tuple(replace(part, graph_recipe=recipe) for part in subject.subjects)
        return replace(subject, subjects=parts)
    return replace(subject, graph_recipe=recipe)


def _plain(value: float, n: int) -> Measure:
    return Measure(value, n, None, None)
