"""Evaluation of one seed's model: held-out pbmc3k, other chemistries, a stimulus, disturbances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.celltype.confidence import CellTypeModel
from converters.celltype.limits import Limits
from converters.celltype.pbmc.answers import (
    Answers,
    ask,
    measure_answers,
    measure_baselines,
    measure_baselines_on_shared_genes,
    measure_labels,
    measure_sets,
    measure_verdicts,
    measured,
)
from converters.celltype.pbmc.choices import LABELS
from converters.celltype.pbmc.pbmc_cells import PbmcCells
from converters.datasets import BARON_HUMAN, KANG, NO_COUNTERPART, SYMPHONY, Cells, Study, read
from converters.vocabulary import Float32, Int64, genes_table, place
from zoo.card import Thresholds
from zoo.evaluation import metrics
from zoo.evaluation.baselines import METHODS, Baseline, make
from zoo.evaluation.cells import Placed
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.robustness import Disturbed, grid
from zoo.vocabulary import GeneVocabulary

EXTERNAL = (SYMPHONY, KANG)
TEST = Setting(
    key="pbmc3k-test",
    dataset="pbmc3k",
    role="test",
    condition="held-out cells, split by cell; labels corrected as in training",
    donor_independent=False,
    study_independent=False,
    gene_coverage=1.0,
)


@dataclass(frozen=True)
class Evaluation:
    """One seed's model with what it is measured against."""

    model: CellTypeModel
    cells: PbmcCells
    thresholds: Thresholds
    vocabulary: GeneVocabulary
    baselines: dict[str, Baseline]
    into: Measurements

    @classmethod
    def of(
        cls, model: CellTypeModel, cells: PbmcCells, thresholds: Thresholds, seed: int
    ) -> Evaluation:
        """Prepare: parse the vocabulary and train the baselines."""
        table = genes_table(cells.symbols, cells.gene_ids, model.confidence.gene_weight.numpy())
        vocabulary = GeneVocabulary.parse(table, model="recipe")
        training = cells.counts("train"), cells.labels("train")
        baselines = {method: make(method).fit(*training) for method in METHODS}
        return cls(model, cells, thresholds, vocabulary, baselines, Measurements(seed))

    def ask(self, placed: Placed) -> Answers:
        """The model's answers."""
        return ask(self.model, placed, self.thresholds)

    def training(self) -> tuple[Float32, Int64]:
        """Counts and labels that the baselines learn from."""
        return self.cells.counts("train"), self.cells.labels("train")


def evaluate(evaluation: Evaluation, folder: Path) -> Measurements:
    """Measure everything that needs one trained model."""
    inside = held_out(evaluation)
    for study in EXTERNAL:
        for setting, cells in by_group(study, folder):
            external(evaluation, setting, cells)
    wrong_tissue(evaluation, read(BARON_HUMAN, folder), inside)
    disturbances(evaluation)
    return evaluation.into


def held_out(evaluation: Evaluation) -> Answers:
    """pbmc3k cells that neither training nor calibration saw, by corrected and published labels."""
    cells, into = evaluation.cells, evaluation.into
    counts, truth = cells.counts("test"), cells.labels("test")
    placed = Placed(counts, np.ones(counts.shape[1], dtype=np.float32), 1.0)
    answers = evaluation.ask(placed)
    measure_answers(into, TEST, truth, answers)
    everyone = np.ones(len(truth), dtype=bool)
    measure_baselines(into, TEST, truth, everyone, placed, evaluation.baselines)
    published = Setting(
        key="pbmc3k-test-published",
        dataset="pbmc3k",
        role="test",
        condition="held-out cells, split by cell; labels as published",
        donor_independent=False,
        study_independent=False,
        gene_coverage=1.0,
    )
    as_published = cells.published[cells.part == "test"]
    measure_labels(into, published, as_published, answers.outputs["label"])
    recall_by_type(into, TEST, truth, answers)
    return answers


def by_group(study: Study, folder: Path) -> Iterator[tuple[Setting, Cells]]:
    """Each chemistry or condition of a study with its setting, still without gene coverage."""
    cells = read(study, folder)
    for group, shown in study.group_names.items():
        same_donor = group in study.groups_of_same_donor
        setting = Setting(
            key=f"{study.name}-{group}",
            dataset=study.name,
            role="external",
            condition=shown,
            donor_independent=False if same_donor else study.donor_independent,
            study_independent=study.study_independent,
            gene_coverage=None,
        )
        yield setting, cells.where(cells.group == group)


def external(evaluation: Evaluation, setting: Setting, cells: Cells) -> None:
    """Another data set at its own gene coverage; types without a counterpart apart."""
    placed = place(cells, evaluation.vocabulary)
    setting = with_coverage(setting, placed.coverage)
    known = cells.labels != NO_COUNTERPART
    truth = np.array([LABELS.index(name) for name in cells.labels[known].tolist()])
    into = evaluation.into
    answers = evaluation.ask(Placed(placed.counts[known], placed.present, placed.coverage))
    measure_answers(into, setting, truth, answers)
    recall_by_type(into, setting, truth, answers)
    measure_baselines(into, setting, truth, known, placed, evaluation.baselines)
    shared = with_coverage(setting, placed.coverage, "shared-genes", "trained on the shared genes")
    measure_baselines_on_shared_genes(into, shared, truth, known, placed, evaluation.training())
    if not known.all():
        unseen = with_coverage(setting, placed.coverage, "no-counterpart", "types without a class")
        strangers = Placed(placed.counts[~known], placed.present, placed.coverage)
        measure_verdicts(into, unseen, evaluation.ask(strangers))


def with_coverage(setting: Setting, coverage: float, key: str = "", condition: str = "") -> Setting:
    """The setting with its gene coverage, and a narrower condition where one is given."""
    return Setting(
        key=f"{setting.key}-{key}" if key else setting.key,
        dataset=setting.dataset,
        role=setting.role,
        condition=f"{setting.condition}; {condition}" if condition else setting.condition,
        donor_independent=setting.donor_independent,
        study_independent=setting.study_independent,
        gene_coverage=coverage,
    )


def recall_by_type(into: Measurements, setting: Setting, truth: Int64, answers: Answers) -> None:
    """Share of each type's cells that are found."""
    for label in np.unique(truth):
        found = metrics.share(answers.outputs["label"][truth == label] == label)
        into.add(setting, f"recall:{LABELS[label]}", found)


def wrong_tissue(evaluation: Evaluation, cells: Cells, inside: Answers) -> None:
    """Cells of another tissue: how many get an `out` verdict, against held-out pbmc3k cells."""
    placed = place(cells, evaluation.vocabulary)
    setting = Setting(
        key="pancreas",
        dataset=BARON_HUMAN.name,
        role="shift",
        condition="wrong tissue: pancreatic islets",
        donor_independent=True,
        study_independent=True,
        gene_coverage=placed.coverage,
    )
    answers = evaluation.ask(placed)
    measure_verdicts(evaluation.into, setting, answers)
    auroc = metrics.detection_auroc(inside.outputs["ood_z"], answers.outputs["ood_z"])
    evaluation.into.add(setting, "ood_auroc", measured(auroc, len(cells)))


def disturbances(evaluation: Evaluation) -> None:
    """The robustness grid on held-out pbmc3k cells, beside the baselines."""
    cells, into = evaluation.cells, evaluation.into
    truth = cells.labels("test")
    everyone = np.ones(len(truth), dtype=bool)
    weight = evaluation.vocabulary.weight
    for disturbed in grid(cells.counts("test"), weight, seed=into.seed):
        setting = disturbed_setting(disturbed)
        answers = evaluation.ask(disturbed.placed)
        measure_labels(into, setting, truth, answers.outputs["label"])
        measure_sets(into, setting, truth, answers.outputs["in_set"])
        measure_verdicts(into, setting, answers)
        measure_baselines(into, setting, truth, everyone, disturbed.placed, evaluation.baselines)


def disturbed_setting(disturbed: Disturbed) -> Setting:
    """The setting of held-out pbmc3k cells after something was taken from them."""
    return Setting(
        key=f"pbmc3k-{disturbed.key}",
        dataset="pbmc3k",
        role="robustness",
        condition=disturbed.condition,
        donor_independent=False,
        study_independent=False,
        gene_coverage=disturbed.placed.coverage,
    )


def keep_limits(limits: Limits, cells: int, into: Measurements) -> None:
    """Keep the accuracies on so many calibration cells from which the limits were found."""
    keep_grid(into, "counts", "counts a cell in the model's genes", limits.by_counts, cells)
    keep_grid(
        into, "coverage", "weighted gene coverage, mean of 5 lists", limits.by_coverage, cells
    )


def keep_grid(
    into: Measurements, key: str, what: str, accuracy: Mapping[float, float], cells: int
) -> None:
    """Keep the accuracies of one grid."""
    for step, value in accuracy.items():
        setting = Setting(
            key=f"pbmc3k-calibration-{key}-{step:g}",
            dataset="pbmc3k",
            role="validation",
            condition=f"calibration cells with {step:g} {what}",
            donor_independent=False,
            study_independent=False,
            gene_coverage=step if key == "coverage" else 1.0,
        )
        into.add(setting, "accuracy", measured(value, cells))
