"""What is measured of predicted responses, and of a model of counts by its likelihood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from counts_file import GENES as NAMES
from counts_file import make_adata
from tiny_model import genes_table

from zoo.card import Thresholds
from zoo.errors import MissingKey, UnknownPerturbation
from zoo.evaluation.by_likelihood import log_likelihood
from zoo.evaluation.cells import LabelledCells, Placed
from zoo.evaluation.data_set import EvaluationData, Perturbation
from zoo.evaluation.loading import read_cells
from zoo.evaluation.measure import measure
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.responses import mean_change, responses
from zoo.evaluation.scale import Scale
from zoo.evaluation.trained_baselines import TrainedBaselines
from zoo.vocabulary import GeneVocabulary

GENES = 30
SETTING = Setting("set", "made up", "external", "all cells", None, None, 1.0)
VOCABULARY = GeneVocabulary.parse(genes_table(NAMES).encode(), model="tiny")
PERTURBATION = Perturbation(column="condition", control="ctrl", stimulated="stim")


class Answering:
    """A model whose answers a function makes of the counts."""

    labels: tuple[str, ...] = ()
    thresholds = Thresholds()
    graph_recipe = None
    vocabulary = VOCABULARY

    def __init__(self, **answers):
        self.answers = answers
        self.output_names = tuple(answers)

    def ask(self, placed, outputs=None):
        return {name: self.answers[name](placed.counts) for name in outputs or self.output_names}


def cells_of(*, response=(8.0, 8.0), cells=400, donors=2, seed=0):
    """Two types; stimulated cells of a type have the first five genes so many times."""
    rng = np.random.default_rng(seed)
    kind, stimulated = np.arange(cells) % 2, np.arange(cells) // 2 % 2
    rate = np.full((cells, GENES), 4.0)
    rate[np.arange(cells), 10 + kind] = 20.0
    factor = np.where(stimulated == 1, np.array(response)[kind], 1.0)
    rate[:, :5] *= factor[:, None]
    counts = rng.poisson(rate).astype(np.float32)
    placed = Placed(counts, np.ones(GENES, np.float32), 1.0, counts.sum(axis=1, keepdims=True))
    group = np.arange(cells) // 4 % donors
    return LabelledCells(
        placed, ("A", "B"), kind, tuple("xyz"[:donors]), group, stimulated=stimulated
    )


def shifted(change):
    """A model that adds a change on the logarithmic scale."""
    scale = Scale("counts")

    def predicted(counts):
        totals = counts.sum(axis=1, keepdims=True)
        values = np.maximum(scale.values(counts) + change, 0)
        return (scale.inverse(values) * totals / 1e4).astype(np.float32)

    return Answering(predicted=predicted)


def measured(subject, cells, baselines=None):
    into = Measurements(0)
    measure(subject, cells, SETTING, into, baselines)
    return {row.id: row for row in into.rows}


# -- responses -------------------------------------------------------------------------------------


def test_a_response_is_the_difference_of_the_means_of_a_label_in_a_group():
    cells = cells_of()
    values = Scale("counts").values(cells.placed.counts)
    found = list(responses(cells, values))
    assert [(one.label, one.group) for one in found] == [
        ("A", "x"), ("A", "y"), ("B", "x"), ("B", "y"),
    ]  # fmt: skip
    here = (cells.label == 0) & (cells.group == 0)
    expected = values[here & (cells.stimulated == 1)].mean(axis=0) - values[
        here & (cells.stimulated == 0)
    ].mean(axis=0)
    np.testing.assert_allclose(found[0].change, expected, atol=1e-5)
    assert found[0].rows.sum() == 50
    np.testing.assert_allclose(
        mean_change(found), np.mean([one.change for one in found], axis=0), atol=1e-6
    )


def test_labels_without_cells_of_both_conditions_have_no_response():
    cells = cells_of()
    lonely = (cells.label == 1) & (cells.stimulated == 1)
    values = Scale("counts").values(cells.placed.counts)
    found = list(responses(cells.where(~lonely), values[~lonely]))
    assert {one.label for one in found} == {"A"}
    assert mean_change([]) is None


def test_who_knows_the_change_wins_and_no_change_explains_nothing():
    cells = cells_of()
    values = Scale("counts").values(cells.placed.counts)
    rows = measured(shifted(mean_change(list(responses(cells, values)))), cells)
    assert rows["set.model.r2_of_change"].value > 0.95
    assert rows["set.model.correlation_of_change"].value > 0.95
    assert rows["set.no_change.r2_of_change"].value <= 0
    assert "set.no_change.correlation_of_change" not in rows  # it has no spread
    assert rows["set.no_change.r2_of_means"].value > 0.05 + rows["set.no_change.r2_of_change"].value
    row = rows["set.model.r2_of_change"]
    assert row.n == 200  # control cells
    assert row.condition == "all cells; mean over 4 labels of groups, interval over these"
    assert row.interval is not None


def test_a_model_without_a_change_measures_as_no_change():
    rows = measured(shifted(0.0), cells_of())
    model, none = rows["set.model.r2_of_change"], rows["set.no_change.r2_of_change"]
    assert model.value == pytest.approx(none.value, abs=1e-4)


def test_the_mean_shift_is_that_of_the_training_cells():
    training = cells_of(response=(8.0, 8.0), seed=1)
    same, other = cells_of(seed=2), cells_of(response=(1.0, 1.0), seed=2)
    baselines = TrainedBaselines.of(training, ("counts",))
    assert measured(shifted(0.0), same, baselines)["set.mean_shift.r2_of_change"].value > 0.9
    assert measured(shifted(0.0), other, baselines)["set.mean_shift.r2_of_change"].value < 0


def test_without_training_cells_the_shift_is_of_the_other_labels():
    rows = measured(shifted(0.0), cells_of())
    assert rows["set.mean_shift_refit.r2_of_change"].value > 0.8
    unlike = measured(shifted(0.0), cells_of(response=(8.0, 0.1)))
    assert unlike["set.mean_shift_refit.r2_of_change"].value < 0
    assert unlike["set.same_label_elsewhere_refit.r2_of_change"].value > 0.8


def test_each_label_has_a_row_that_stays_off_the_card():
    rows = measured(shifted(0.0), cells_of())
    own = rows["set.model.r2_of_change-a"]
    assert own.metric == "r2_of_change:A"
    assert own.n == 100


def test_genes_that_the_file_lacks_are_left_out():
    cells = cells_of()
    present = cells.placed.present.copy()
    present[20:] = 0
    placed = replace(cells.placed, counts=cells.placed.counts * present, present=present)

    def predicted(counts):  # nonsense where the file has no gene
        answer = shifted(0.0).answers["predicted"](counts)
        answer[:, 20:] = 1e6
        return answer

    rows = measured(Answering(predicted=predicted), replace(cells, placed=placed))
    none = rows["set.no_change.r2_of_change"].value
    assert rows["set.model.r2_of_change"].value == pytest.approx(none, abs=1e-4)


def test_cells_to_which_nothing_was_done_have_no_rows():
    rows = measured(shifted(0.0), replace(cells_of(), stimulated=None))
    assert not [row for row in rows if "response" in row]


# -- likelihood ------------------------------------------------------------------------------------


def test_likelihoods_by_hand():
    # NB with θ = 1 is geometric: p(k) = (1 - q) q^k with q = μ / (1 + μ).
    counts = np.array([[0.0, 1.0, 3.0]], np.float32)
    mean, one = np.full((1, 3), 2.0, np.float32), np.ones((1, 3), np.float32)
    q = 2 / 3
    geometric = (1 - q) * q ** counts.astype(float)
    np.testing.assert_allclose(log_likelihood(counts, mean, one), np.log(geometric), rtol=1e-5)
    dropout = np.full((1, 3), 0.25, np.float32)
    expected = np.log(0.25 * (counts == 0) + 0.75 * geometric)
    np.testing.assert_allclose(log_likelihood(counts, mean, one, dropout), expected, rtol=1e-5)


def test_the_true_means_foretell_the_unseen_half_best():
    rng = np.random.default_rng(3)
    kind = np.arange(300) % 2
    rate = np.where(np.arange(GENES)[None, :] % 2 == kind[:, None], 8.0, 1.0)
    counts = rng.poisson(rate).astype(np.float32)
    placed = Placed(counts, np.ones(GENES, np.float32), 1.0)
    cells = LabelledCells(placed)

    def mean(seen):  # half of the molecules are seen
        return (rate / 2).astype(np.float32)

    def wide(seen):
        return np.full(seen.shape, 1e4, np.float32)

    rows = measured(Answering(mean=mean, dispersion=wide), cells)
    value = {row.method: row.value for row in rows.values() if row.metric == "log_likelihood"}
    assert value["model"] > value["knn_smoothing"] > value["gene_mean_refit"]
    expected = float((rate / 2 * np.log(rate / 2) - rate / 2).mean())
    assert value["model"] < expected  # without the factorials, which only take away
    trained = TrainedBaselines.of(cells, ("counts",))
    again = measured(Answering(mean=mean, dispersion=wide), cells, trained)
    assert "set.gene_mean.log_likelihood" in again


# -- reading ---------------------------------------------------------------------------------------


def written(tmp_path, **fields):
    adata = make_adata(30)
    adata.obs["condition"] = [("ctrl", "stim", "other")[i % 3] for i in range(30)]
    adata.write_h5ad(tmp_path / "data.h5ad")
    data = EvaluationData(key="data", file="data.h5ad", dataset="made up", **fields)
    ((_, cells),) = read_cells(
        data, tmp_path, vocabulary=VOCABULARY, labels=(), value_kinds=("counts",)
    )
    return cells


def test_conditions_are_read_as_control_and_stimulated(tmp_path):
    cells = written(tmp_path, perturbation=PERTURBATION)
    assert cells.stimulated.tolist() == [0, 1, -1] * 10
    assert cells.where(cells.stimulated == 1).stimulated.tolist() == [1] * 10
    assert written(tmp_path).stimulated is None


def test_an_unknown_condition_or_column_is_refused(tmp_path):
    with pytest.raises(UnknownPerturbation, match="'untreated'"):
        written(tmp_path, perturbation=PERTURBATION.model_copy(update={"control": "untreated"}))
    with pytest.raises(MissingKey):
        written(tmp_path, perturbation=PERTURBATION.model_copy(update={"column": "dose"}))
