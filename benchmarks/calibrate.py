"""What `zoo calibrate` brings to pbmc-celltype on data unlike its training data.

Cells are drawn at random and labelled, a calibration is fitted to them, and the remaining cells are
asked about: accuracy, coverage, set size, calibration error, beside the model as it was and plain
split-conformal recalibration. `--across-donors` labels cells of one donor and asks about the other.

    ZOO_DATA=FOLDER python benchmarks/calibrate.py [--draws 20] [--across-donors] [--neighbours]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from converters.datasets import KANG, SYMPHONY, Study, data_folder
from zoo.calibrating import calibrator, scaling, scores
from zoo.calibrating.evidence import Evidence
from zoo.calibrating.labelled import Columns, read_labelled
from zoo.calibrating.measuring import split_conformal
from zoo.evaluation import metrics
from zoo.parts import ModelParts
from zoo.pull import in_place

MODEL = Path(__file__).resolve().parents[1] / "cards" / "pbmc-celltype"
SIZES = (30, 50, 100, 200)
ALPHA = 0.1
FEW = 20

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Labelled cells of one condition or chemistry, with their donors."""

    name: str
    evidence: Evidence
    donor: npt.NDArray[np.int64] | None


def parts() -> Iterator[Part]:
    """The data sets by condition."""
    model = ModelParts.of(in_place(MODEL))
    for study, donor in ((KANG, "donor"), (SYMPHONY, None)):
        apart = _read(model, study, study.group_column)
        donors = _read(model, study, donor)[0].group if donor else None
        evidence, names = apart
        for code, name in enumerate(names):
            keep = evidence.group == code
            yield Part(
                f"{study.name}, {study.group_names[name]}",
                evidence.where(keep),
                donors[keep] if donors is not None else None,
            )


def _read(model: ModelParts, study: Study, group: str | None) -> tuple[Evidence, tuple[str, ...]]:
    mapping = {a: b for a, b in study.label_mapping.items() if a != b}
    columns = Columns(label="cell_type", mapping=mapping, group=group)
    cells = read_labelled(model, str(data_folder() / study.file), columns)
    return cells.evidence, cells.groups


Ask = Callable[[Evidence, Evidence, int], tuple[npt.NDArray, npt.NDArray, Flags]]


def as_it_was(_: Evidence, asked: Evidence, __: int) -> tuple[npt.NDArray, npt.NDArray, Flags]:
    return asked.outputs["label"], asked.outputs["prob"], asked.outputs["in_set"]


def split(by_class: bool) -> Ask:
    def ask(labelled: Evidence, asked: Evidence, _: int) -> tuple[npt.NDArray, npt.NDArray, Flags]:
        sets = split_conformal(labelled, asked, ALPHA)[int(by_class)]
        return asked.outputs["label"], asked.outputs["prob"], sets

    return ask


def calibrated(
    labelled: Evidence, asked: Evidence, seed: int
) -> tuple[npt.NDArray, npt.NDArray, Flags]:
    labelled = Evidence(labelled.labels, labelled.outputs, labelled.logits, labelled.truth)
    answers = calibrator.fit(labelled, alpha=ALPHA, seed=seed).answers(asked.logits)
    return answers.label, answers.prob, answers.in_set


METHODS: dict[str, Ask] = {
    "as it was": as_it_was,
    "split conformal, all classes": split(False),
    "split conformal, by class": split(True),
    "zoo calibrate": calibrated,
}


def draws(
    part: Part, size: int, number: int, across: bool
) -> Iterator[tuple[Evidence, Evidence, int]]:
    """Labelled cells, the cells asked about, and the seed."""
    everything = np.arange(len(part.evidence))
    for seed in range(number):
        rng = np.random.default_rng(seed)
        pool = everything
        if across:
            pool = np.flatnonzero(part.donor == seed % (part.donor.max() + 1))
        chosen = np.isin(everything, rng.permutation(pool)[:size])
        asked = ~np.isin(everything, pool) if across else ~chosen
        yield part.evidence.where(chosen), part.evidence.where(asked), seed


def measured(ask: Ask, part: Part, size: int, number: int, across: bool) -> npt.NDArray:
    """[draws, 5]: accuracy, error of calibration, coverage, set size, smallest coverage."""
    found = []
    for labelled, asked, seed in draws(part, size, number, across):
        label, prob, sets = ask(labelled, asked, seed)
        truth = asked.truth
        covered = sets[np.arange(len(truth)), truth]
        often = [k for k in np.unique(truth) if (truth == k).sum() >= FEW]
        found.append(
            (
                (label == truth).mean(),
                metrics.expected_calibration_error(truth, prob),
                covered.mean(),
                sets.sum(axis=1).mean(),
                min(covered[truth == k].mean() for k in often),
            )
        )
    return np.array(found)


def line(name: str, found: npt.NDArray) -> str:
    mean, low, high = found.mean(axis=0), found.min(axis=0), found.max(axis=0)
    spread = f"{mean[2]:.3f} ({low[2]:.2f}–{high[2]:.2f})"
    sizes = f"{mean[3]:.2f} ({low[3]:.2f}–{high[3]:.2f})"
    return f"| {name} | {mean[0]:.3f} | {mean[1]:.3f} | {spread} | {sizes} | {mean[4]:.2f} |"


def table(number: int, across: bool) -> None:
    print("| data, labelled cells, method | accuracy | ece | coverage | set size | smallest |")
    print("|---|---|---|---|---|---|")
    for part in parts():
        if across and part.donor is None:
            continue
        for size in SIZES:
            for name, ask in METHODS.items():
                if name == "as it was" and size != SIZES[0]:
                    continue
                what = part.name if name == "as it was" else f"{part.name}, {size}"
                print(line(f"{what}, {name}", measured(ask, part, size, number, across)))


def neighbours(number: int) -> None:
    """Neighbouring settings at 100 labelled cells."""
    identity = mock.patch.object(scaling.choose, "__defaults__", ((None,),))
    temperature = mock.patch.object(scaling.choose, "__defaults__", ((None, 1e6),))
    changes = {
        "as shipped": mock.patch.object(scores, "OWN_SCORES_FROM", scores.OWN_SCORES_FROM),
        "no scaling": identity,
        "temperature alone": temperature,
        "own scores from 10 cells": mock.patch.object(scores, "OWN_SCORES_FROM", 10),
        "own scores from 40 cells": mock.patch.object(scores, "OWN_SCORES_FROM", 40),
        "no relatives, all classes instead": mock.patch.object(
            scores,
            "_family",
            lambda labels, k, cells, enough: (np.arange(len(labels)) == k) | (cells[k] < enough),
        ),
        "p-values over all classes alone": mock.patch.object(
            scores.ScoreTables,
            "p",
            lambda tables, score: tables.pooled.p(score),
        ),
    }
    print("| data, setting | accuracy | ece | coverage | set size | smallest |")
    print("|---|---|---|---|---|---|")
    for part in parts():
        for name, change in changes.items():
            with change:
                print(line(f"{part.name}, {name}", measured(calibrated, part, 100, number, False)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--across-donors", action="store_true")
    parser.add_argument("--neighbours", action="store_true")
    words = parser.parse_args()
    if words.neighbours:
        neighbours(words.draws)
    else:
        table(words.draws, words.across_donors)
