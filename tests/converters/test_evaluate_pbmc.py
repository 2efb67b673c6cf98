"""The evaluation of a model folder gives the numbers that its card holds, which were measured on
the torch module before its export.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.datasets import KANG, data_folder
from zoo.evaluation import measurements
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.evaluating import evaluate
from zoo.evaluation.measurements import Measurements
from zoo.evaluation.model_subject import ModelSubject
from zoo.parts import ModelParts
from zoo.pull import in_place

MODEL = Path(__file__).parents[2] / "cards" / "pbmc-celltype"
SAME = ("accuracy", "macro_f1", "coverage", "set_size", "ece", "call_accuracy", "out_share")


@pytest.mark.skipif(
    not (data_folder() / KANG.file).exists(),
    reason=f"{KANG.file} may not be redistributed: name its folder with ZOO_DATA",
)
def test_the_rows_of_the_card_are_found_again():
    data = EvaluationData(
        key=KANG.name, file=KANG.file, dataset=KANG.name, sha256=KANG.sha256,
        label="cell_type", mapping=dict(KANG.label_mapping), by="condition",
    )  # fmt: skip
    into = Measurements(0)
    evaluate(ModelSubject(ModelParts.of(in_place(MODEL))), [data], data_folder(), into)
    found = {row.id: row for row in into.rows}
    card = {row.id: row for row in measurements.read(MODEL / "measurements.json")[0]}
    for group in ("ctrl", "stim"):
        for metric in SAME:
            name = f"{KANG.name}-{group}.model.{metric}"
            assert found[name].value == pytest.approx(card[name].value, abs=2e-3), name
            assert found[name].n == card[name].n
