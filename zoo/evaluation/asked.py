"""Cells that a model was asked about, with all that is needed to measure its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from zoo.evaluation.cells import Flags, LabelledCells
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.metrics import Measure
from zoo.evaluation.sampling import Sampling
from zoo.evaluation.scale import Scale
from zoo.evaluation.subject import Outputs, Subject
from zoo.evaluation.trained_baselines import TrainedBaselines

MOST_GROUPS = 30
"""Groups are measured one by one as long as there are no more than this."""


@dataclass(frozen=True)
class Asked:
    """Answers and the truth.

    Attributes
    ----------
    outputs
        By name, each [cells, ...]; per-gene ones are not among them.
    setting
        Where rows belong; conditions of rows say also over what intervals were drawn.
    baselines
        Those that learned from the training cells; None where these are not at hand.
    inside
        Outputs on held-out cells like the training cells, to tell other cells from.
    brief
        Only the main number of each kind, for one step of a disturbance.

    """

    subject: Subject
    cells: LabelledCells
    outputs: Outputs
    setting: Setting
    into: Measurements
    baselines: TrainedBaselines | None = None
    inside: Outputs | None = None
    brief: bool = False

    def add(self, metric: str, measure: Measure, method: str = "model") -> None:
        """Keep one number, if there is one."""
        setting = self.setting.by(method)
        if groups := len(self.sampling.groups):
            setting = setting.part("", f"intervals over {groups} groups")
        if np.isfinite(measure.value):
            self.into.add(setting, metric, measure)

    @property
    def seed(self) -> int:
        """Seed of everything that is drawn."""
        return self.into.seed

    @property
    def scale(self) -> Scale:
        """The scale of baselines and of imputed values."""
        if self.baselines is not None:
            return self.baselines.scale
        return Scale.of_values(self.cells.placed.counts)

    @cached_property
    def sampling(self) -> Sampling:
        """What intervals are drawn over."""
        return Sampling.of(len(self.cells), self.cells.group)

    @property
    def known(self) -> Flags:
        """bool [cells]: cells with a label that counts."""
        if self.cells.label is None:
            return np.zeros(len(self.cells), dtype=bool)
        known: Flags = self.cells.label >= 0
        return known

    def where(self, keep: Flags, key: str = "", condition: str = "") -> Asked:
        """Some of the cells, as a setting of their own where a key is given."""
        setting = self.setting
        if key or condition:
            setting = setting.part(key, condition)
        return replace(
            self,
            cells=self.cells.where(keep),
            outputs={name: array[keep] for name, array in self.outputs.items()},
            setting=setting,
        )

    def sample(self, most: int) -> Asked:
        """At most so many random cells; the condition then says so."""
        if len(self.cells) <= most:
            return self
        keep = np.zeros(len(self.cells), dtype=bool)
        keep[np.random.default_rng(self.seed).choice(len(self.cells), most, replace=False)] = True
        return self.where(keep, condition=f"{most:,} cells drawn at random")

    def by_group(self) -> Iterator[Asked]:
        """Each group alone, as `key:group`."""
        group = self.cells.group
        codes = np.unique(group[group >= 0]).tolist() if group is not None else []
        if 1 < len(codes) <= MOST_GROUPS:
            for code in codes:
                name = self.cells.groups[code]
                yield self.where(np.asarray(group == code), f":{name}", name)

    def by_slide(self) -> Iterator[Asked]:
        """Each slide alone, as `key:slide`; nothing where there is one."""
        slides = self.cells.placed.slides
        codes = np.unique(slides.codes).tolist() if slides is not None and slides.names else []
        if slides is not None and 1 < len(codes) <= MOST_GROUPS:
            for code in codes:
                name = slides.names[code]
                yield self.where(slides.codes == code, f":{name}", f"slide {name}")


Measurer = Callable[[Asked], None]
"""Takes rows of its own from the answers about one data set, into `Asked.into`."""
