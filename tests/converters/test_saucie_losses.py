"""The losses of SAUCIE against values worked out by hand."""

import math

import pytest

torch = pytest.importorskip("torch")

from converters.saucie import losses  # noqa: E402


def test_squared_distances():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    expected = torch.tensor([[0.0, 25.0, 1.0], [25.0, 0.0, 18.0], [1.0, 18.0, 0.0]])
    torch.testing.assert_close(losses.squared_distances(x), expected)


def test_kernel_is_one_at_home_and_falls_scale_by_scale():
    kernel = losses.multiscale_kernel(torch.tensor([0.0, 2.0, 1e9]))
    assert kernel[0] == 1
    sigmas = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 5, 10, 15, 20, 25, 30, 35, 100]
    sigmas += [1e3, 1e4, 1e5, 1e6]
    by_hand = sum(math.exp(-2 / (2 * sigma)) for sigma in sigmas) / 19
    assert float(kernel[1]) == pytest.approx(by_hand, rel=1e-6)
    assert float(kernel[2]) < 1e-6


def test_information_dimension_is_the_entropy_of_the_units():
    even = torch.ones(5, 4)
    assert float(losses.information_dimension(even)) == pytest.approx(math.log(4), abs=1e-6)
    single = torch.zeros(5, 4)
    single[:, 2] = 0.7
    assert float(losses.information_dimension(single)) == pytest.approx(0, abs=1e-6)
    quarter = torch.tensor([[0.5, 0.0], [0.25, 0.25]])  # shares 3/4 and 1/4
    by_hand = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert float(losses.information_dimension(quarter)) == pytest.approx(by_hand, abs=1e-6)


def test_activations_are_divided_by_their_largest():
    h = torch.tensor([[0.0, 4.0], [2.0, 1.0]])
    assert losses.normalized_activations(h).tolist() == [[0.0, 1.0], [0.5, 0.25]]
    assert torch.isfinite(losses.normalized_activations(torch.zeros(2, 2))).all()


def test_intracluster_distance_weighs_pairs_by_their_codes():
    # Cells 0 and 1 share a code, cell 2 has the code farthest away: weights 1 and 0.
    act = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    x = torch.tensor([[0.0], [2.0], [50.0]])
    here, apart = math.sqrt(1e-3), math.sqrt(4 + 1e-3)
    by_hand = (3 * here + 2 * apart) / 9
    assert float(losses.intracluster_distance(act, x)) == pytest.approx(by_hand, rel=1e-5)


def test_mmd_is_zero_for_equal_batches_and_grows_with_their_distance():
    z = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    batch = torch.tensor([0, 0, 1, 1])
    assert float(losses.maximal_mean_discrepancy(z, batch, 0)) == pytest.approx(0, abs=1e-6)
    # Two points each, d² = 1 after division by the largest distance: k(0) = 1, k(1) by hand.
    apart = torch.tensor([[0.0], [0.0], [3.0], [3.0]])
    far = float(losses.multiscale_kernel(torch.tensor([1.0])))
    found = float(losses.maximal_mean_discrepancy(apart, batch, 0))
    assert found == pytest.approx(2 - 2 * far, abs=1e-6)


def test_mmd_takes_the_mean_over_batches_and_leaves_out_single_cells():
    z = torch.tensor([[0.0], [0.0], [3.0], [3.0], [0.0], [0.0], [9.0]])
    batch = torch.tensor([0, 0, 1, 1, 2, 2, 3])
    two = losses.maximal_mean_discrepancy(z[:4], batch[:4], 0)
    assert float(two) > 0
    squared = losses.squared_distances(z)
    kernel = losses.multiscale_kernel(squared / squared.max())
    only_first = 2 - 2 * float(kernel[0, 2])
    found = float(losses.maximal_mean_discrepancy(z, batch, 0))
    assert found == pytest.approx((only_first + 0) / 2, abs=1e-6)
    assert float(losses.maximal_mean_discrepancy(z[:2], batch[:2], 0)) == 0
