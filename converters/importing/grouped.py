"""Evaluation of a model whose classes are finer, or others, than the labels at hand.

Classes are put into groups that both sides know (`[groups]` of a plan), the model's probabilities
are added up within them, and its label is the group of its label. Beside it stand the largest
group, constant answers, and classifiers that learned from labelled cells: of another file, of the
other donors, or of the other folds of the same file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import Line, Thresholds
from zoo.digest import sha256_of_file
from zoo.errors import UnfitReference
from zoo.evaluation import metrics
from zoo.evaluation.baselines import METHODS, Method, log_normalized, make
from zoo.evaluation.batches import batches
from zoo.evaluation.cells import Flags, LabelledCells, Placed
from zoo.evaluation.compute import BATCH
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.evaluating import EvaluatedData, setting_of
from zoo.evaluation.loading import read_cells
from zoo.evaluation.measure import measure
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.model_subject import ModelSubject
from zoo.evaluation.sampling import Sampling
from zoo.evaluation.subject import Outputs
from zoo.reading import confined
from zoo.vocabulary import GeneVocabulary

OTHER = "another type"
"""Group of the classes that no group names."""
_FOLDS = 5


class GroupedData(EvaluationData):
    """A data set whose labels are groups of the model's classes."""

    learn_from: str | None = None
    """File from which the baselines learn; else the other groups of `group`, else other folds."""
    learn_label: str | None = None
    """Its column of labels; by default that of the data set."""
    learn_mapping: dict[str, str] = {}
    groups: dict[str, list[Line]] = {}
    """Groups of this data set; by default those of the plan."""
    constants: list[Line] = []
    """Groups that a baseline always answers, besides the most frequent one."""
    answers: dict[str, str] = {}
    """Answers of others for every cell, as classes of the model: name → `FILE.h5:data set`; the
    file lies beside that of `--reference`. A cell without an answer (-1) counts as wrong."""


@dataclass(frozen=True)
class GroupedSubject:
    """A model that answers by groups of its classes.

    Attributes
    ----------
    member
        float32 [classes, groups]: 1 where a class is of a group.

    """

    model: ModelSubject
    labels: tuple[str, ...]
    member: npt.NDArray[np.float32]

    @classmethod
    def of(cls, model: ModelSubject, groups: Mapping[str, Sequence[str]]) -> GroupedSubject:
        """Groups by names of classes or patterns (`CD4 *`); the first that fits counts."""
        names = [*groups, OTHER]
        of_class = [_group_of(label, groups) for label in model.labels]
        if OTHER not in of_class:
            names = names[:-1]
        member = np.zeros((len(of_class), len(names)), dtype=np.float32)
        member[np.arange(len(of_class)), [names.index(name) for name in of_class]] = 1
        return cls(model, tuple(names), member)

    @property
    def vocabulary(self) -> GeneVocabulary:
        """The genes that it reads."""
        return self.model.vocabulary

    @property
    def output_names(self) -> tuple[str, ...]:
        """Labels and, where they are shares of one, probabilities."""
        return ("label", "prob") if self._adds_up else ("label",)

    @property
    def thresholds(self) -> Thresholds:
        """Limits from which verdicts follow."""
        return self.model.thresholds

    @property
    def graph_recipe(self) -> None:
        """No slides."""
        return

    @property
    def _adds_up(self) -> bool:
        return self.model.parts.card.prob_kind == "softmax"

    def ask(self, placed: Placed, outputs: tuple[str, ...] | None = None) -> Outputs:
        """`label` [cells] and `prob` [cells, groups]."""
        names = self.output_names if outputs is None else outputs
        found = dict(self.model.ask(placed, names))
        found["label"] = self.member.argmax(axis=1)[found["label"]]
        if "prob" in found:
            found["prob"] = found["prob"] @ self.member
        return found


def _group_of(label: str, groups: Mapping[str, Sequence[str]]) -> str:
    for name, patterns in groups.items():
        if any(label == pattern or fnmatchcase(label, pattern) for pattern in patterns):
            return name
    return OTHER


def measure_grouped(
    subject: GroupedSubject,
    data: GroupedData,
    folder: Path,
    into: Measurements,
    answers: Path | None = None,
) -> EvaluatedData:
    """Measure the model and the baselines on the cells whose label is one of the groups.

    Parameters
    ----------
    answers
        Folder of the files with answers of others; None leaves those out.

    Raises
    ------
    UsageError, DataError, IntegrityError
        As `read_cells`.

    """
    (part,) = _read(subject, data, folder)
    known = part.label >= 0 if part.label is not None else np.zeros(len(part), dtype=bool)
    cells = part.where(known)
    told, plan = _lessons(subject, data, folder, cells)
    setting = setting_of(data, None, cells).part("", told)
    with warnings.catch_warnings():
        # The AUROC of a data set with one kind of cell does not exist, and is left out.
        warnings.simplefilter("ignore", RuntimeWarning)
        measure(subject, cells, setting, into)
        for answer in _baselines(subject, data, plan, cells):
            _measure(answer, cells, setting, into)
        for name, place in data.answers.items() if answers is not None else []:
            assert answers is not None, "asked for where there is a folder"
            codes = read_answers(answers, place)[known]
            group = np.append(subject.member.argmax(axis=1), -1)[codes]
            _measure(_Answer(name, group), cells, setting, into)
    path = data.path(folder)
    first = next(batches(cells.placed, None, cells=BATCH))
    return EvaluatedData(data, sha256_of_file(path), len(cells), first.inputs)


def _read(subject: GroupedSubject, data: GroupedData, folder: Path) -> list[LabelledCells]:
    kinds = subject.model.value_kinds
    vocabulary, labels = subject.vocabulary, subject.labels
    found = read_cells(data, folder, vocabulary=vocabulary, labels=labels, value_kinds=kinds)
    return [cells for _, cells in found]


def read_answers(folder: Path, place: str) -> npt.NDArray[np.int64]:
    """int64 [cells]: classes of the model in `FILE.h5:data set`, -1 where there is no answer.

    Raises
    ------
    UnfitReference, DataError

    """
    file, _, name = place.partition(":")
    with confined.opened(str(folder / file)) as root:
        found = root.get(name)
        if not isinstance(found, confined.ConfinedArray) or found.dtype.kind != "i":
            raise UnfitReference(str(folder / file), f"it has no classes under {name!r}")
        return found.read(0, found.shape[0]).astype(np.int64)


# -- baselines -----------------------------------------------------------------------------------


_Plan = list[tuple[LabelledCells, Flags]]


@dataclass(frozen=True)
class _Answer:
    """What a baseline says: labels [cells], and a score of the second of two groups."""

    method: str
    label: npt.NDArray[np.int64]
    margin: npt.NDArray[np.float64] | None = None


def _baselines(
    subject: GroupedSubject, data: GroupedData, plan: _Plan, cells: LabelledCells
) -> Iterator[_Answer]:
    assert cells.label is not None, "grouped data have labels"
    yield _Answer("majority", np.full(len(cells), int(np.bincount(cells.label).argmax())))
    for name in data.constants:
        yield _Answer(f"always {name}", np.full(len(cells), subject.labels.index(name)))
    for method in METHODS if plan else ():
        yield _learned(method, plan, cells)


def _lessons(
    subject: GroupedSubject, data: GroupedData, folder: Path, cells: LabelledCells
) -> tuple[str, _Plan]:
    """What the baselines learn from, in words, and training cells with the cells to answer for.

    Of another file; of the other groups where there are two; else of the other folds. There is
    nothing to learn where all cells are of one kind.
    """
    assert cells.label is not None, "grouped data have labels"
    if len(np.unique(cells.label)) < 2:
        return "", []
    if data.learn_from is not None:
        changes = {
            "file": data.learn_from, "sha256": None, "mapping": data.learn_mapping or data.mapping,
            "label": data.learn_label or data.label, "group": None,
        }  # fmt: skip
        (taught,) = _read(subject, data.model_copy(update=changes), folder)
        assert taught.label is not None, "grouped data have labels"
        plan = [(taught.where(taught.label >= 0), np.ones(len(cells), dtype=bool))]
        return f"baselines learned from {Path(data.learn_from).stem}", plan
    if cells.group is not None and len(np.unique(cells.group)) > 1:
        part, told = cells.group, "baselines learned from the other groups of the same study"
    else:
        part = np.random.default_rng(0).permutation(len(cells)) % _FOLDS
        told = f"baselines learned from other cells of the same file, in {_FOLDS} folds"
    return told, [(cells.where(part != k), part == k) for k in np.unique(part).tolist()]


def _learned(method: Method, plan: _Plan, cells: LabelledCells) -> _Answer:
    label = np.full(len(cells), -1, dtype=np.int64)
    margin = np.full(len(cells), np.nan)
    for taught, asked in plan:
        assert taught.label is not None, "grouped data have labels"
        model = make(method).fit(taught.placed.counts, taught.label)
        counts = cells.placed.counts[asked]
        scores, classes = model.scores_of_values(log_normalized(counts))
        label[asked] = classes[scores.argmax(axis=1)]
        if len(classes) == 2:
            margin[asked] = scores[:, 1] - scores[:, 0]
    return _Answer(method, label, margin if np.isfinite(margin).all() else None)


def _measure(answer: _Answer, cells: LabelledCells, setting: Setting, into: Measurements) -> None:
    truth = cells.label
    assert truth is not None, "grouped data have labels"
    sampling = Sampling.of(len(cells), cells.group)
    setting = setting.by(answer.method)
    if sampling.groups:
        setting = setting.part("", f"intervals over {len(sampling.groups)} groups")
    into.add(setting, "accuracy", sampling.share(truth == answer.label, into.seed))

    def of(metric: Any, *arrays: npt.NDArray[Any]) -> Any:
        return lambda rows: metric(*(array[rows] for array in arrays))

    f1 = of(metrics.macro_f1, truth, answer.label)
    into.add(setting, "macro_f1", sampling.measure(f1, into.seed))
    if answer.margin is not None and len(cells.labels) == 2:
        auroc = of(metrics.auroc, truth == 1, answer.margin)
        into.add(setting, "auroc", sampling.measure(auroc, into.seed))
