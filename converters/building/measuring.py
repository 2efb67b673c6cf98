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
from converters.building.subject import FoldedBaselines, TorchSubject
from converters.recipe import Settings
from converters.training_cells import Int64, TrainingCells
from zoo.evaluation.asked import Measurer
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

    def held_out(self, fits: Sequence[Fit], division: Division, into: Measurements) -> Outputs:
        """Measure fits, one for each fold, on the cells that they have not seen, beside baselines.

        Returns
        -------
        The answers.

        """
        setting = self._setting(division)
        learned = [
            self._baselines(fit, fold.cells) for fit, fold in zip(fits, division.folds, strict=True)
        ]
        shown = learned[0]
        if len(division.folds) > 1:
            # Responses are measured by label and group anyway, and a fold holds one label alone.
            if self.order.plan.data.perturbation is None:
                self._fold_by_fold(fits, division, learned, setting, into)
            columns = np.unique(np.concatenate([fit.columns for fit in fits]))
            own = [np.searchsorted(columns, fit.columns) for fit in fits]
            shown = FoldedBaselines.joined(learned, own)
        subject, cells = self._asked(fits, division)
        further = self._further(subject, fits[0], division, self.order.settings)
        answers = measure(subject, cells, setting, into, shown, further=further)
        if into.seed == self.order.seeds[0]:
            measure_conditions(
                subject, cells, setting, self.order.plan.data.conditions, into, shown
            )
            graphs = self.order.recipe.other_graphs
            measure_other_graphs(subject, cells, answers, setting, graphs, into)
        return answers

    def neighbour(
        self, fits: Sequence[Fit], division: Division, into: Measurements, name: str
    ) -> None:
        """Measure fits with a neighbouring setting; its baselines are those of the shipped one."""
        subject, cells = self._asked(fits, division)
        further = self._further(subject, fits[0], division, self.order.neighbours[name])
        measure(subject, cells, self._setting(division, name), into, further=further)

    def elsewhere(
        self, shipped: Fit, division: Division, into: Measurements, inside: Outputs
    ) -> None:
        """Measure the shipped fit on the plan's other data sets, beside baselines of its genes."""
        if not self.order.plan.evaluation:
            return
        subject = self.fitting.subject(shipped)
        # Not a fold's: each fold chose genes of its own.
        baselines = self._baselines(shipped, division.shipped)
        sets = [self._with_orthologs(data) for data in self.order.plan.evaluation]
        if into.seed != self.order.seeds[0]:
            sets = [data.model_copy(update={"conditions": []}) for data in sets]
        kinds = self.order.recipe.value_kinds
        further = self._further(subject, shipped, division, self.order.settings)
        evaluate(
            subject, sets, self.folder, into, baselines, inside, value_kinds=kinds, further=further
        )

    def _further(
        self, subject: Subject, fit: Fit, division: Division, settings: Settings
    ) -> Measurer | None:
        """What takes the recipe's own rows, for one model that is no pool of several."""
        if not isinstance(subject, TorchSubject):
            return None
        training = self._known(fit, division.shipped)
        return self.order.recipe.measurer(subject, training, settings)

    def _with_orthologs(self, data: EvaluationData) -> EvaluationData:
        """The data set with its table of orthologs beside the plan, where one lies there."""
        if data.orthologs is None or not (self.order.folder / data.orthologs).is_file():
            return data
        path = (self.order.folder / data.orthologs).resolve()
        return data.model_copy(update={"orthologs": str(path)})

    def _fold_by_fold(
        self,
        fits: Sequence[Fit],
        division: Division,
        learned: Sequence[TrainedBaselines],
        setting: Setting,
        into: Measurements,
    ) -> None:
        """Each group by the model, and the baselines, that have not seen it."""
        for fit, fold, shown in zip(fits, division.folds, learned, strict=True):
            own = replace(
                setting,
                key=row_key(f"{setting.key}-{fold.name}"),
                condition=f"{fold.name}, left out of training",
            )
            cells = labelled(fold.cells.of("test"), fit.columns, fit.fitted.labels)
            measure(self.fitting.subject(fit), cells, own, into, shown)

    def _asked(self, fits: Sequence[Fit], division: Division) -> tuple[Subject, LabelledCells]:
        """Who is asked about which cells: one fit, or each fold's about the group left out."""
        if len(division.folds) > 1:
            folded = self.fitting.folded(list(fits), division.shipped)
            return folded, self._all_folds(fits, division)
        fit, cells = fits[0], division.folds[0].cells
        test = cells.of("test") if self.order.recipe.holds_out else cells
        return self.fitting.subject(fit), labelled(test, fit.columns, fit.fitted.labels)

    def _all_folds(self, fits: Sequence[Fit], division: Division) -> LabelledCells:
        """All cells over the union of the folds' genes, each with the fold that left it out."""
        columns = np.unique(np.concatenate([fit.columns for fit in fits]))
        cells = division.shipped
        fold = np.full(len(cells), -1, dtype=np.int64)
        for number, one in enumerate(division.folds):
            fold[one.cells.part == "test"] = number
        found = labelled(cells, columns, fits[0].fitted.labels)
        found = replace(found, placed=replace(found.placed, fold=fold))
        if self.order.plan.data.perturbation is None:
            found = replace(found, groups=tuple(f.name for f in division.folds), group=fold)
        return found.where(fold >= 0)

    def _baselines(self, fit: Fit, cells: TrainingCells) -> TrainedBaselines:
        return TrainedBaselines.of(self._known(fit, cells), self.order.recipe.value_kinds)

    def _known(self, fit: Fit, cells: TrainingCells) -> LabelledCells:
        """All cells that are not held out."""
        return labelled(cells.seen(), fit.columns, fit.fitted.labels)

    def _setting(self, division: Division, condition: str = "") -> Setting:
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
    return LabelledCells(
        placed, names, label, cells.batches, cells.batch, stimulated=cells.stimulated
    )
