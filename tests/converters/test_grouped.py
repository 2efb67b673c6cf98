"""Finer classes are measured by groups that a data set knows, beside baselines."""

from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn")

from converters.importing.agreement import AgreementData, measure_agreement
from converters.importing.grouped import (
    OTHER,
    GroupedData,
    GroupedSubject,
    measure_grouped,
    read_answers,
)
from zoo.card import Thresholds
from zoo.errors import UnfitReference
from zoo.evaluation.measurements import Measurements
from zoo.vocabulary import GeneVocabulary

LABELS = ("CD4 Tn", "CD4 Tcm", "CD8 Tn", "MAIT")
GENES = ("A", "B", "C", "D")


class Model:
    """Names the class whose gene has most counts."""

    labels = LABELS
    vocabulary = GeneVocabulary({"symbol": np.array(GENES)}, np.full(4, 0.25, np.float32))
    value_kinds = ("counts",)
    thresholds = Thresholds()
    parts = SimpleNamespace(card=SimpleNamespace(prob_kind="softmax"))

    def ask(self, placed, outputs=None):
        total = np.maximum(placed.counts.sum(axis=1, keepdims=True), 1)
        prob = placed.counts / total
        found = {"label": prob.argmax(axis=1), "prob": prob}
        return found if outputs is None else {name: found[name] for name in outputs}


@pytest.fixture
def cells(tmp_path):
    """60 cells of 3 donors; the 30 CD8 cells express C, the CD4 cells A, or B in 10 of them."""
    gene = np.repeat([0, 1, 2], [20, 10, 30])
    counts = np.random.default_rng(0).poisson(1, (60, 4)).astype(np.float32)
    counts[np.arange(60), gene] += 20
    obs = pd.DataFrame(
        {
            "type": np.where(gene == 2, "eight", "four"),
            "donor": [f"d{i % 3}" for i in range(60)],
        },
        index=[f"c{i}" for i in range(60)],
    )
    anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES)).write_h5ad(
        tmp_path / "cells.h5ad"
    )
    with h5py.File(tmp_path / "others.h5", "w") as file:
        file.attrs["made_with"] = "other 1.0"
        file["label"] = np.where(np.arange(60) < 6, -1, gene)
        file["prob"] = counts / counts.sum(axis=1, keepdims=True)
    return tmp_path


GROUPS = {"CD4": ["CD4 *"], "CD8": ["CD8 *"]}


def data(**changes):
    told = {
        "key": "k", "file": "cells.h5ad", "dataset": "made up", "label": "type",
        "mapping": {"four": "CD4", "eight": "CD8"}, "constants": ["CD4"], **changes,
    }  # fmt: skip
    return GroupedData(**told)


def test_classes_fall_into_the_first_group_that_fits():
    subject = GroupedSubject.of(Model(), GROUPS)
    assert subject.labels == ("CD4", "CD8", OTHER)
    assert subject.member.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    whole = GroupedSubject.of(Model(), {**GROUPS, "rest": ["*"]})
    assert whole.labels == ("CD4", "CD8", "rest")


def test_model_baselines_and_others_are_measured_on_the_same_cells(cells):
    subject, into = GroupedSubject.of(Model(), GROUPS), Measurements(0)
    asked = data(group="donor", answers={"other": "others.h5:label"})
    done = measure_grouped(subject, asked, cells, into, cells)
    rows = {row.id: row for row in into.rows if row.metric == "accuracy"}
    assert done.cells == 60
    assert rows["k.model.accuracy"].value == 1
    assert rows["k.majority.accuracy"].value == 0.5
    assert rows["k.always-cd4.accuracy"].value == 0.5
    assert rows["k.other.accuracy"].value == 0.9  # six cells without an answer
    learned = rows["k.logistic_regression.accuracy"]
    assert learned.value > 0.9
    assert "the other groups" in learned.condition
    assert {row.n for name, row in rows.items() if ":" not in name} == {60}


def test_baselines_may_learn_from_folds_or_another_file(cells):
    subject, into = GroupedSubject.of(Model(), GROUPS), Measurements(0)
    measure_grouped(subject, data(), cells, into)
    measure_grouped(subject, data(key="l", learn_from="cells.h5ad"), cells, into)
    told = {row.id: row.condition for row in into.rows}
    assert "in 5 folds" in told["k.nearest_centroid.accuracy"]
    assert "learned from cells" in told["l.nearest_centroid.accuracy"]


def test_agreement_counts_the_cells_with_an_answer(cells):
    into = Measurements(0)
    asked = AgreementData(key="p", file="cells.h5ad", dataset="made up", answers="others.h5")
    measure_agreement(Model(), asked, cells, cells, into)
    rows = {row.metric: row for row in into.rows}
    assert rows["label_agreement"].value == 1
    assert rows["label_agreement"].n == 54
    assert rows["label_is_largest_prob"].value == 1
    assert rows["largest_prob_difference"].value < 1e-6
    assert "other 1.0" in rows["label_agreement"].condition


def test_answers_that_are_not_there_are_refused(cells):
    with pytest.raises(UnfitReference, match="no classes under 'votes'"):
        read_answers(cells, "others.h5:votes")
