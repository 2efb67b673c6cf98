"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from zoo.evaluation import metrics


def test_accuracy_with_its_interval():
    measure = metrics.accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    assert (measure.value, measure.n) == (0.75, 4)
    assert measure.interval == pytest.approx((0.3006, 0.9544), abs=1e-3)


def test_macro_f1_over_the_classes_of_the_truth():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 3])
    # class 0: 2·1/(2+1); class 1: 2·1/(2+2); class 3 is not in the truth
    assert metrics.macro_f1(truth, predicted) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_calibration_error_of_sure_and_wrong_cells():
    prob = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert metrics.expected_calibration_error(np.array([0, 1, 1, 1]), prob) == pytest.approx(0.25)


def test_coverage_of_sets():
    in_set = np.array([[True, False], [True, True], [False, False]])
    assert metrics.covered(np.array([0, 1, 0]), in_set).value == pytest.approx(2 / 3)


def test_auroc_counts_ties_half():
    inside, outside = np.array([0.0, 1.0, 2.0]), np.array([2.0, 3.0])
    assert metrics.detection_auroc(inside, outside) == pytest.approx((2.5 + 3) / 6)


def test_bootstrap_interval_holds_the_value():
    rng = np.random.default_rng(0)
    measure = metrics.bootstrapped(lambda x: float(x.mean()), rng.normal(5, 1, 400))
    assert measure.interval is not None
    low, high = measure.interval
    assert low < measure.value < high
    assert high - low == pytest.approx(4 * 1 / 20, rel=0.2)


def test_reliability_bins():
    prob = np.array([[0.95, 0.05], [0.05, 0.95], [0.55, 0.45]])
    curve = metrics.reliability(np.array([0, 0, 0]), prob)
    assert curve == pytest.approx(np.array([[0.55, 1, 1], [0.95, 0.5, 2]]))
