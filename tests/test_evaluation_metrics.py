"""Numbers of an evaluation against values worked out by hand or by scikit-learn."""

import numpy as np
import pytest

from zoo.evaluation import metrics
from zoo.evaluation.by_embedding import _votes
from zoo.evaluation.neighbours import nearest
from zoo.evaluation.principal_axes import PrincipalAxes
from zoo.evaluation.sampling import Sampling
from zoo.evaluation.scale import Scale


def test_balanced_accuracy_is_the_mean_recall():
    truth, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    assert metrics.balanced_accuracy(truth, predicted) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_average_precision_by_hand():
    score = np.array([0.9, 0.8, 0.7, 0.6])
    positive = np.array([True, False, True, False])
    # recall 1/2 at precision 1, then 1 at 2/3
    assert metrics.average_precision(positive, score) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_average_precision_of_equal_scores_is_the_share_of_positives():
    positive = np.array([True, False, False, True, False])
    assert metrics.average_precision(positive, np.zeros(5)) == pytest.approx(2 / 5)


def test_two_class_metrics_agree_with_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    positive = rng.random(300) < 0.3
    score = np.round(rng.normal(size=300) + positive, 1)  # with ties
    expected = sklearn.average_precision_score(positive, score)
    assert metrics.average_precision(positive, score) == pytest.approx(expected)
    expected = sklearn.roc_auc_score(positive, score)
    assert metrics.auroc(positive, score) == pytest.approx(expected)


def test_no_auroc_without_both_kinds():
    assert np.isnan(metrics.auroc(np.ones(3, bool), np.arange(3)))
    assert np.isnan(metrics.average_precision(np.zeros(3, bool), np.arange(3)))


def test_adjusted_rand_index_by_hand():
    a, b = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    # pairs together in both: 2; in a: 6; in b: 3; of 15 pairs; by chance 6·3/15 = 1.2
    assert metrics.adjusted_rand_index(a, b) == pytest.approx((2 - 1.2) / ((6 + 3) / 2 - 1.2))
    assert metrics.adjusted_rand_index(a, 5 - a) == 1
    assert metrics.adjusted_rand_index(np.zeros(4, int), np.zeros(4, int)) == 1


def test_groups_are_drawn_whole():
    group = np.repeat([0, 1, 2, 3], 25)
    values = group.astype(float)  # all variance lies between the groups
    by_group = Sampling.of(100, group).mean(values)
    by_cell = Sampling.of(100).mean(values)
    assert by_group.value == by_cell.value == 1.5
    assert by_group.n == 100
    wide, narrow = (np.ptp(m.interval) for m in (by_group, by_cell))
    assert wide > 3 * narrow


def test_two_groups_are_too_few_to_draw():
    assert Sampling.of(4, np.array([0, 0, 1, 1])).groups == ()
    assert Sampling.of(4, np.array([0, 1, 2, -1])).groups != ()
    assert Sampling.of(4).share(np.ones(4, bool)).interval_method == "wilson"


def test_nearest_points_leave_the_point_itself_out():
    points = np.array([[0.0], [1.0], [3.0], [3.5]])
    assert nearest(points, 2).tolist() == [[1, 2], [0, 2], [3, 1], [2, 1]]


def test_nearest_points_of_other_groups():
    points = np.array([[0.0], [1.0], [3.0], [3.5]])
    assert nearest(points, 2, np.array([0, 0, 1, 1])).tolist() == [[2, 3], [2, 3], [1, 0], [1, 0]]


def test_the_nearer_neighbours_decide_a_tie():
    neighbours, label = np.array([[3, 0, 2, 1]]), np.array([0, 0, 1, 1])
    assert _votes(neighbours, label).tolist() == [1]


def test_principal_axes_are_those_of_the_full_decomposition():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(200, 5)) * [9, 7, 5, 3, 1] @ rng.normal(size=(5, 60))).astype("f4")
    axes = PrincipalAxes.of(values, components=3)
    right = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)[2][:3]
    assert np.abs(np.diag(right @ axes.axes)) == pytest.approx(np.ones(3), abs=1e-4)
    assert axes.project(values).shape == (200, 3)


def test_principal_axes_of_one_cell():
    assert PrincipalAxes.of(np.ones((1, 4), np.float32)).project(np.ones((2, 4))).shape == (2, 1)


def test_row_ids_of_odd_names():
    from zoo.evaluation.measurements import row_id

    assert row_id("set:Donor 1", "model", "recall:B cell") == "set:donor-1.model.recall-b-cell"
    greek = {row_id("set", "model", f"recall:{name} T") for name in ("αβ", "γδ", "long" * 50)}
    assert len(greek) == 3
    assert all(len(name) < 100 for name in greek)


def test_scales():
    counts = np.array([[1.0, 3.0], [0.0, 0.0]], np.float32)
    scale = Scale.of_values(counts)
    assert scale.kind == "counts"
    assert scale.values(counts)[0] == pytest.approx(np.log1p([2500, 7500]))
    assert scale.linear(counts, np.array([[8.0], [8.0]]))[0] == pytest.approx([1250, 3750])
    cytof = Scale.of_values(np.array([[0.3, 12.7], [-0.4, 5.0]], np.float32))
    assert cytof.kind == "intensity"
    assert cytof.values(np.array([[5.0]]))[0, 0] == pytest.approx(np.arcsinh(1))
    assert Scale.of_kinds(["intensity"]).kind == "intensity"
    assert Scale.of_kinds(["counts", "log_normalized"]).kind == "counts"
