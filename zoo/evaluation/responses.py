"""Responses: how the mean expression of a cell type changes once its cells are stimulated.

A response is the mean of stimulated cells minus the mean of control cells of the same label and
the same group (donor), gene by gene, on the scale of the comparison: log(1 + counts per 10,000).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zoo.block import Float32
from zoo.evaluation.cells import Flags, LabelledCells

FEWEST_CELLS = 5
"""Of each condition, for a mean that says anything."""


@dataclass(frozen=True)
class Response:
    """What happened to the cells of one label in one group.

    Attributes
    ----------
    label, group
        Their names; empty where there is one only.
    rows
        bool [cells]: the control cells.
    control, change
        float32 [genes]: mean of the control cells, and mean of the stimulated cells minus it.

    """

    label: str
    group: str
    rows: Flags
    control: Float32
    change: Float32


def responses(cells: LabelledCells, values: Float32) -> Iterator[Response]:
    """The response of each label in each group that has enough cells of both conditions.

    Parameters
    ----------
    values
        float32 [cells, genes] on the scale of the comparison.

    """
    if cells.stimulated is None:
        return
    for label, of_label in _parts(cells, cells.labels, cells.label):
        for group, of_group in _parts(cells, cells.groups, cells.group):
            here = of_label & of_group
            control, stimulated = (here & (cells.stimulated == code) for code in (0, 1))
            if min(control.sum(), stimulated.sum()) < FEWEST_CELLS:
                continue
            mean = values[control].mean(axis=0)
            yield Response(label, group, control, mean, values[stimulated].mean(axis=0) - mean)


def _parts(
    cells: LabelledCells, names: tuple[str, ...], codes: object
) -> Iterator[tuple[str, Flags]]:
    """Each name that occurs with its cells; one part without a name where there are none."""
    if codes is None:
        yield "", np.ones(len(cells), dtype=bool)
        return
    for code, name in enumerate(names):
        keep: Flags = np.asarray(codes == code)
        if keep.any():
            yield name, keep


def mean_change(found: list[Response]) -> Float32 | None:
    """float32 [genes]: the mean change, each label in each group weighing the same."""
    if not found:
        return None
    return np.asarray(np.mean([one.change for one in found], axis=0), dtype=np.float32)
