"""Having fits measured by `zoo.evaluation`: on held-out cells, and on a plan's other data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.building.fits import Fit, Fitting
from converters.building.order import Order
from converters.building.other_graphs import measure_other_graphs
from converters.building.parts import Division
from converters.building.subject import FoldedBaselines
from converters.training_cells import Int64, TrainingCells
from zoo.evaluation.cells import LabelledCells, Placed
from zoo.evaluation.conditions import measure_conditions
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.evaluating import evaluate
from zoo.evaluation.measure import measure
from zoo.evaluation.measurements import Measurements, Setting, row_key
from zoo.evaluation.subject import Outputs, Subject
from zoo.evaluation.trained_baselines import TrainedBaselines


@dataclass(frozen=True)
class Measuring:
    """What is measured for each fit.

    Attributes
    ----------
    data
        Name of the training data set, for people.
    folder
        Where the plan's other data sets lie.

    """

    order: Order
    fitting: Fitting
    data: str
    folder: Path

    def held_out(
        self, fits: Sequence[Fit], division: Division, into: Measurements, *, condition: str = ""
    ) -> tuple[Outputs, TrainedBaselines]:
        """Measure fits, one for each fold, on the cells that they have not seen.

        Parameters
        ----------
        condition
            What is different from the shipped model: names the rows of a neighbouring setting.

        Returns
        -------
        tuple
            The answers, and the baselines fitted to the first fold's training cells.

        """
        if len(division.folds) > 1:
            return self._in_turn(fits, division, into, condition)
        fit, cells = fits[0], division.folds[0].cells
        baselines = self._baselines(fit, cells)
        test = cells.of("test") if self.order.recipe.holds_out else cells
        subject, placed = self.fitting.subject(fit), labelled(test, fit.columns, fit.fitted.labels)
        setting = self._setting(division, condition)
        shown = None if condition else baselines
        answers = measure(subject, placed, setting, into, shown)
        if not condition and into.seed == self.order.seeds[0]:
            wanted = self.order.plan.data.conditions
            measure_conditions(subject, placed, setting, wanted, into, baselines)
            graphs = self.order.recipe.other_graphs
            measure_other_graphs(subject, placed, answers, setting, graphs, into)
        return answers, baselines

    def elsewhere(
        self, subject: Subject, into: Measurements, inside: Outputs, baselines: TrainedBaselines
    ) -> None:
        """Measure the shipped fit on the plan's other data sets."""
        sets = [self._with_orthologs(data) for data in self.order.plan.evaluation]
        if into.seed != self.order.seeds[0]:
            sets = [data.model_copy(update={"conditions": []}) for data in sets]
        kinds = self.order.recipe.value_kinds
        evaluate(subject, sets, self.folder, into, baselines, inside, value_kinds=kinds)

    def _with_orthologs(self, data: EvaluationData) -> EvaluationData:
        """The data set with its table of orthologs beside the plan, where one lies there."""
        if data.orthologs is None or not (self.order.folder / data.orthologs).is_file():
            return data
        path = (self.order.folder / data.orthologs).resolve()
        return data.model_copy(update={"orthologs": str(path)})

    def _in_turn(
        self, fits: Sequence[Fit], division: Division, into: Measurements, condition: str
    ) -> tuple[Outputs, TrainedBaselines]:
        """Each group by the model that has not seen it; then all of them together."""
        setting = self._setting(division, condition)
        learned = [
            self._baselines(fit, fold.cells) for fit, fold in zip(fits, division.folds, strict=True)
        ]
        if not condition:
            for fit, fold, shown in zip(fits, division.folds, learned, strict=True):
                own = replace(
                    setting,
                    key=row_key(f"{setting.key}-{fold.name}"),
                    condition=f"{fold.name}, left out of training",
                )
                cells = labelled(fold.cells.of("test"), fit.columns, fit.fitted.labels)
                measure(self.fitting.subject(fit), cells, own, into, shown)
        subject = self.fitting.folded(list(fits), division.shipped)
        columns = np.unique(np.concatenate([fit.columns for fit in fits]))
        own = [np.searchsorted(columns, fit.columns) for fit in fits]
        pooled = None if condition else FoldedBaselines.joined(learned, own)
        everyone = self._all_folds(fits, division)
        answers = measure(subject, everyone, setting, into, pooled)
        if not condition and into.seed == self.order.seeds[0]:
            wanted = self.order.plan.data.conditions
            measure_conditions(subject, everyone, setting, wanted, into, pooled)
            graphs = self.order.recipe.other_graphs
            measure_other_graphs(subject, everyone, answers, setting, graphs, into)
        return answers, learned[0]

    def _all_folds(self, fits: Sequence[Fit], division: Division) -> LabelledCells:
        """All cells over the union of the folds' genes, each with the fold that left it out."""
        columns = np.unique(np.concatenate([fit.columns for fit in fits]))
        cells = division.shipped
        fold = np.zeros(len(cells), dtype=np.int64)
        for number, one in enumerate(division.folds):
            fold[one.cells.part == "test"] = number
        found = labelled(cells, columns, fits[0].fitted.labels)
        found = replace(found, placed=replace(found.placed, fold=fold))
        return replace(found, groups=tuple(f.name for f in division.folds), group=fold)

    def _baselines(self, fit: Fit, cells: TrainingCells) -> TrainedBaselines:
        training = cells.where(cells.part != "test")
        known = labelled(training, fit.columns, fit.fitted.labels)
        return TrainedBaselines.of(known, self.order.recipe.value_kinds)

    def _setting(self, division: Division, condition: str) -> Setting:
        plan = self.order.plan.data
        if self.order.recipe.holds_out:
            key, role, told = f"{plan.key}-test", "test", f"held out: {division.sentence}"
        else:
            key, role, told = f"{plan.key}-fitted", "validation", "the cells that it was fitted to"
        if condition:
            key, role = f"{key}+{row_key(condition)}", "ablation"
            told = f"{told}; {condition}"
        return Setting(
            key=key,
            dataset=self.data,
            role=role,  # type: ignore[arg-type]
            condition=told,
            donor_independent=division.donor_independent,
            study_independent=False,
            gene_coverage=1.0,
        )


def labelled(cells: TrainingCells, columns: Int64, labels: tuple[str, ...]) -> LabelledCells:
    """Training cells as an evaluation takes them; labels in the order of a classifier's own."""
    chosen = cells.with_genes(columns)
    placed = Placed(
        chosen.dense(),
        np.ones(len(columns), dtype=np.float32),
        1.0,
        chosen.total_counts[:, None],
        chosen.slides,
    )
    names, label = cells.labels, cells.label
    if labels and label is not None:
        position = [labels.index(n) if n in labels else -1 for n in names] + [-1]
        names, label = labels, np.array(position, dtype=np.int64)[label]
    return LabelledCells(placed, names, label, cells.batches, cells.batch)
