"""The parts of SpaGCN against what a pencil finds."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from layered_slides import SIDE, cells_of, layered  # noqa: E402
from tiny_spatial_model import dense_length, dense_weights  # noqa: E402

from converters.spagcn.components import Components  # noqa: E402
from converters.spagcn.confidence import (  # noqa: E402
    TABLE,
    Confidence,
    Geometry,
    OutOfFold,
    balance,
    class_table,
    unit_for,
)
from converters.spagcn.graph_layer import GraphConvolution, heard  # noqa: E402
from converters.spagcn.network import HeadNetwork, centred  # noqa: E402
from converters.spagcn.recipe import GRAPH  # noqa: E402
from converters.spagcn.self_training import ALPHA, assignment, divergence, target  # noqa: E402
from converters.spagcn.slide_graph import joined_graph  # noqa: E402
from converters.spagcn.spots import TILES, Spots, folds, tiles  # noqa: E402


@pytest.fixture(scope="module")
def slides():
    return layered(2)


# -- the graph layer -----------------------------------------------------------------------------


def test_the_layer_is_the_dense_product_slide_by_slide(slides):
    cells = cells_of(slides)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(len(cells), 5)).astype(np.float32))
    layer = GraphConvolution(5, 4)
    with torch.no_grad():
        found = layer(x, *joined_graph(cells.slides, GRAPH)).numpy()
        support = (x @ layer.weight).numpy()
    for slide in (0, 1):
        rows = cells.slides.codes == slide
        places = cells.slides.coordinates[rows]
        adjacency = dense_weights(places, dense_length(places))
        assert adjacency.diagonal().tolist() == [1.0] * SIDE * SIDE
        expected = adjacency @ support[rows] + layer.bias.detach().numpy()
        np.testing.assert_allclose(found[rows], expected, rtol=1e-4, atol=1e-5)


def test_receivers_hear_sources_and_rows_are_not_normalised():
    values = torch.tensor([[1.0], [10.0], [100.0]])
    edges = torch.tensor([[0, 0, 1], [0, 2, 1]])
    found = heard(values, edges, torch.tensor([1.0, 0.5, 1.0]))
    assert found.ravel().tolist() == [51.0, 10.0, 0.0]


def test_without_graph_a_spot_hears_itself_alone(slides):
    cells = cells_of(slides)
    edges = joined_graph(cells.slides, GRAPH)
    y = torch.randn(len(cells), 5)
    network = HeadNetwork(5, 3, hidden=4, dropout=0.0, graph=False).eval()
    alone = torch.arange(len(cells)).repeat(2, 1)
    _, h = network(y, *edges)
    torch.testing.assert_close(h, network.convolution(y, alone, torch.ones(len(cells))))
    network.graph = True
    assert not torch.allclose(network(y, *edges)[1], h)


def test_components_are_centred_on_their_slide():
    y = torch.tensor([[1.0], [3.0], [10.0], [30.0]])
    found = centred(y, torch.tensor([0, 0, 1, 1]))
    assert found.ravel().tolist() == [-1.0, 1.0, -10.0, 10.0]


# -- components ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counts(slides):
    return torch.from_numpy(slides.X.toarray())


def test_components_are_those_of_the_decomposition(counts):
    torch.manual_seed(0)
    components = Components(counts.shape[1], 3)
    components.fit(counts)
    totals = counts.sum(dim=1, keepdim=True)
    logs = torch.log1p(counts / totals * totals.median()).numpy()
    middle = logs - logs.mean(axis=0)
    left, spread, _ = np.linalg.svd(middle, full_matrices=False)
    found = components(counts, torch.ones(counts.shape[1])).numpy()
    # 2 of them tell three layers apart; the third is noise, whose axis may turn.
    for axis in range(2):
        expected = left[:, axis] * spread[axis]
        assert abs(np.corrcoef(found[:, axis], expected)[0, 1]) > 0.999
        assert found[:, axis].std() == pytest.approx(expected.std(), rel=1e-2)
    components.fit(counts, unit=True)
    scaled = components(counts, torch.ones(counts.shape[1]))
    assert float(scaled[:, 0].std()) == pytest.approx(1, rel=1e-3)


def test_a_missing_gene_enters_as_the_training_mean(counts):
    components = Components(counts.shape[1], 3)
    components.fit(counts)
    present = torch.ones(counts.shape[1])
    present[:18:3] = 0
    with_zeros = counts.clone()
    with_zeros[:, :18:3] = 0
    assert torch.equal(components(counts, present), components(with_zeros, present))
    whole = components(counts, torch.ones_like(present))
    told = (components(with_zeros, present) - whole).mean(dim=0).norm()
    untold = (components(with_zeros, torch.ones_like(present)) - whole).mean(dim=0).norm()
    assert told < untold / 2


def test_an_empty_spot_and_fewer_spots_than_components_are_finite(counts):
    few = counts[:4].clone()
    few[0] = 0
    components = Components(counts.shape[1], 6)
    components.fit(few)
    assert torch.isfinite(components(few, torch.ones(counts.shape[1]))).all()


# -- self-training -------------------------------------------------------------------------------


def test_the_assignment_is_that_of_the_published_code():
    squared = torch.tensor([[0.0, 1.0, 4.0], [2.0, 0.5, 0.5]])
    q = 1 / (1 + squared / ALPHA + 1e-8)
    q = q ** (ALPHA + 1.0) / 2.0
    torch.testing.assert_close(assignment(squared), q / q.sum(dim=1, keepdim=True))


def test_the_target_by_hand():
    q = torch.tensor([[0.8, 0.2], [0.4, 0.6]])
    # columns sum to 1.2 and 0.8: 0.64/1.2 and 0.04/0.8; 0.16/1.2 and 0.36/0.8
    first, second = np.array([8 / 15, 1 / 20]), np.array([2 / 15, 9 / 20])
    expected = np.stack([first / first.sum(), second / second.sum()])
    np.testing.assert_allclose(target(q).numpy(), expected, rtol=1e-6)
    by_hand = (expected * np.log(expected / (q.numpy() + 1e-6))).sum(axis=1).mean()
    assert float(divergence(target(q), q)) == pytest.approx(by_hand, rel=1e-5)


# -- folds ---------------------------------------------------------------------------------------


def test_patients_are_held_out_whole(slides):
    cells = cells_of(slides)
    spots = Spots.of(cells, GRAPH)
    for number, fold in enumerate(folds(spots, cells.slides)):
        assert fold.whole
        shown = spots.where(~fold.held_out)
        assert set(shown.group.tolist()) == {1 - number}
        assert int(shown.edge_index.max()) == len(shown) - 1
        assert shown.slide.unique().tolist() == [0]


def test_a_single_slide_is_cut_into_tiles_from_everywhere():
    cells = cells_of(layered(1))
    spots = Spots.of(cells, GRAPH)
    parts = list(folds(spots, cells.slides))
    assert len(parts) == TILES
    assert not any(fold.whole for fold in parts)
    fold_of = tiles(cells.slides)
    assert np.bincount(fold_of).tolist() == [SIDE * SIDE // TILES] * TILES
    for one in range(TILES):
        assert set(cells.label[fold_of == one].tolist()) >= {0, 1, 2}


def test_groups_and_classes_weigh_alike():
    label = torch.tensor([0, 0, 1, 1, 1, -1, 0])
    group = torch.tensor([0, 0, 0, 1, 1, 1, 2])
    weight = balance(label, group)
    np.testing.assert_allclose(weight, [0.25, 0.25, 0.5, 0.5, 0.5, 0, 1])


# -- p-values ------------------------------------------------------------------------------------


def p_value(scores, label, group, k, unit, asked):
    table, shares, own = class_table(scores, label, group, k, unit)
    return float(((table >= asked).float() * shares).sum() + own)


@pytest.fixture(scope="module")
def scored():
    """Three patients with 40, 20 and 20 spots of class 0, and scores 0 … 79 of these."""
    label = torch.zeros(80, dtype=torch.int64)
    group = torch.tensor([0] * 40 + [1] * 20 + [2] * 20)
    scores = torch.stack([torch.arange(80.0), torch.zeros(80)], dim=1)
    return scores, label, group


def test_with_patients_as_the_unit_each_weighs_the_same(scored):
    # above 59.5: nobody of the first two, all 20 of the third; and the new patient
    assert p_value(*scored, 0, "group", 59.5) == pytest.approx((1 + 1) / 4, abs=1e-5)
    assert p_value(*scored, 0, "group", 19.5) == pytest.approx((0.5 + 1 + 1 + 1) / 4, abs=1e-5)
    assert p_value(*scored, 0, "group", 1e9) == pytest.approx(1 / 4, abs=1e-5)


def test_with_spots_as_the_unit_each_weighs_the_same(scored):
    assert p_value(*scored, 0, "spot", 59.5) == pytest.approx(21 / 81, abs=1e-5)
    assert p_value(*scored, 0, "spot", 1e9) == pytest.approx(1 / 81, abs=1e-5)


def test_a_class_with_few_spots_takes_everyone_s_scores(scored):
    scores, label, group = scored
    label = label.clone()
    label[:3] = 1
    few = class_table(scores, label, group, 1, "spot")
    assert int(torch.isfinite(few[0]).sum()) == 80


def test_long_tables_keep_their_quantiles():
    size = 5 * TABLE
    scores = torch.randn(size, 2)
    label, group = torch.zeros(size, dtype=torch.int64), torch.arange(size) % 7
    for asked in (-1.0, 0.0, 1.5):
        exact = (1 + float((scores[:, 0] >= asked).sum())) / (size + 1)
        assert p_value(scores, label, group, 0, "spot", asked) == pytest.approx(exact, abs=3e-3)


def test_the_unit_follows_from_the_number_of_groups():
    label, group = torch.zeros(60, dtype=torch.int64), torch.arange(60) % 6
    assert unit_for(label, group, 0.2) == "group"
    assert unit_for(label, group, 0.1) == "spot"  # 1/7 is not below 0.1


def test_confidence_repairs_a_shifted_threshold():
    rng = torch.Generator().manual_seed(0)
    label = torch.arange(600) % 2
    margin = 4 * (label.float() - 0.5) + torch.randn(600, generator=rng) + 3  # shifted by 3
    logits = torch.stack([-margin / 2, margin / 2], dim=1)
    h = torch.randn(600, 4, generator=rng)
    geometry = Geometry(h, label, 2)
    held_out = OutOfFold(logits, geometry(h), label, torch.arange(600) % 6)
    confidence = Confidence(held_out, geometry, unit="group", alpha=0.2)
    prob, p, in_set, ood_z, ood_p = confidence(logits, h)
    assert (logits.argmax(dim=1) == label).float().mean() < 0.75
    assert (prob.argmax(dim=1) == label).float().mean() > 0.95
    assert in_set[torch.arange(600), label].float().mean() >= 0.8
    assert float(p.min()) >= 1 / 7 - 1e-6
    assert float(ood_z.mean()) == pytest.approx(0, abs=0.05)
    assert float(ood_p.median()) == pytest.approx(0.5, abs=0.05)
