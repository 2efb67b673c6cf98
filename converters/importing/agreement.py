"""Agreement with the source package on whole files, beyond the few cells of the sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.evaluating import setting_of
from zoo.evaluation.loading import read_cells
from zoo.evaluation.measurements import Measurements
from zoo.evaluation.metrics import Measure, share
from zoo.evaluation.model_subject import ModelSubject
from zoo.reading import confined


class AgreementData(EvaluationData):
    """A file, and what the source package said of its cells."""

    answers: str
    """HDF5 file beside that of `--reference`, with `label` and `prob` of every cell."""
    compare: str = "label"
    """Data set of that file to hold labels against: `label`, or what the package adds to it."""


def measure_agreement(
    subject: ModelSubject, data: AgreementData, folder: Path, answers: Path, into: Measurements
) -> None:
    """How often a graph agrees with the package, and how far it is off at most.

    Rows: `label_agreement`; and where the package's own labels are compared,
    `label_is_largest_prob` and `largest_prob_difference`.

    Cells for which the package gave no answer (-1) are left out.

    Raises
    ------
    DataError

    """
    ((_, cells),) = read_cells(
        data.model_copy(update={"label": None}), folder,
        vocabulary=subject.vocabulary, labels=subject.labels, value_kinds=subject.value_kinds,
    )  # fmt: skip
    with confined.opened(str(answers / data.answers)) as root:
        told = {
            name: found.read(0, found.shape[0])
            for name in {data.compare, "prob"}
            if isinstance(found := root.get(name), confined.ConfinedArray)
        }
        made_with = str(root.attribute("made_with") or "not stated")
    outputs = subject.ask(cells.placed, ("label", "prob"))
    setting = replace(setting_of(data, None, cells), method="model")
    setting = setting.part("", f"against the answers of {made_with}")
    answered = told[data.compare] >= 0
    same = outputs["label"][answered] == told[data.compare][answered]
    into.add(setting, "label_agreement", share(same))
    if data.compare != "label":
        return
    prob, label = outputs["prob"], outputs["label"]
    largest = prob[np.arange(len(prob)), label] == prob.max(axis=1)
    into.add(setting, "label_is_largest_prob", share(largest))
    if "prob" in told:
        gap = float(np.abs(outputs["prob"] - told["prob"]).max())
        into.add(setting, "largest_prob_difference", Measure(gap, len(cells), None, None))
