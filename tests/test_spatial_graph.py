"""The spatial graph against the published, dense one."""

import os
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_spatial_model import RECIPE, dense_length, dense_weights

from zoo import spatial_graph as module
from zoo.card import GraphRecipe
from zoo.errors import CoincidentSpots, CoordinatesNotFinite, NotCoordinates, SingleSpot
from zoo.spatial_graph import spatial_graph

PUBLISHED = GraphRecipe.model_validate(RECIPE)


def as_dense(graph, spots):
    matrix = np.zeros((spots, spots))
    matrix[tuple(graph.edge_index)] = graph.edge_weight
    return matrix


def places(dims):
    number = st.floats(-1e4, 1e4, width=32)
    spots = st.lists(st.tuples(*[number] * dims), min_size=2, max_size=40, unique=True)
    return spots.map(np.array)


@settings(max_examples=60, deadline=None)
@given(places(2) | places(3), st.sampled_from([0.1, 0.5, 0.9]))
def test_is_the_published_graph(xy, share):
    assume(np.ptp(xy, axis=0).max() > 1e-3)
    recipe = PUBLISHED.model_copy(update={"neighbourhood_share": share})
    graph = spatial_graph(xy, recipe)
    squared = np.square(xy[:, None] - xy[None]).sum(axis=2)
    p = np.exp(-squared / (2 * graph.length**2)).sum(axis=1).mean() - 1
    assert p == pytest.approx(share, abs=1e-3)
    uncut = dense_weights(xy, graph.length, minimum=0)
    ours = as_dense(graph, len(xy))
    clear = np.abs(uncut - recipe.minimum_weight) > 1e-9  # neither cut nor kept by rounding
    expected = np.where(uncut >= recipe.minimum_weight, uncut, 0)
    np.testing.assert_allclose(ours[clear], expected[clear], atol=1e-6)


def test_length_is_that_of_the_dense_search():
    xy = np.random.default_rng(0).normal(size=(300, 2))
    assert spatial_graph(xy, PUBLISHED).length == pytest.approx(dense_length(xy), rel=1e-6)


def test_own_edges_order_and_types():
    xy = np.random.default_rng(1).uniform(size=(50, 2))
    graph = spatial_graph(xy, PUBLISHED)
    assert graph.edge_index.dtype == np.int64
    assert graph.edge_weight.dtype == np.float32
    assert graph.edge_index.shape == (2, graph.edges)
    receiver, source = graph.edge_index
    own = receiver == source
    assert own.sum() == 50
    assert (graph.edge_weight[own] == 1).all()
    assert (graph.edge_weight >= 0.01).all()
    assert (np.diff(receiver * 50 + source) > 0).all()
    assert len(np.unique(graph.edge_index, axis=1).T) == graph.edges


def test_unit_place_and_blocks_change_nothing(monkeypatch):
    xy = np.random.default_rng(2).normal(size=(400, 2))
    one = spatial_graph(xy, PUBLISHED)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 37)
    other = spatial_graph(1000 * xy + 1e5, PUBLISHED)
    np.testing.assert_array_equal(one.edge_index, other.edge_index)
    np.testing.assert_allclose(one.edge_weight, other.edge_weight, atol=1e-5)
    assert other.length == pytest.approx(1000 * one.length)


def test_a_spot_far_away_hears_only_itself():
    xy = np.random.default_rng(3).uniform(size=(200, 2))
    graph = spatial_graph(np.concatenate([xy, [[1e12, -1e12]]]), PUBLISHED)
    assert graph.edge_index[1][graph.edge_index[0] == 200].tolist() == [200]
    assert graph.length == pytest.approx(spatial_graph(xy, PUBLISHED).length, rel=0.05)


def test_whole_numbers_and_a_line_are_fine():
    line = np.stack([np.arange(30), np.zeros(30, dtype=int)], axis=1)
    assert spatial_graph(line, PUBLISHED).length == pytest.approx(0.6, abs=0.02)


def test_a_large_slide_takes_little_memory_and_time():
    import tracemalloc

    xy = np.random.default_rng(4).uniform(size=(30_000, 2))
    tracemalloc.start()
    started = time.monotonic()
    graph = spatial_graph(xy, PUBLISHED)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert graph.edges > 30_000
    assert peak < 300e6  # a dense matrix would take 7.2 GB
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("xy", "error", "words"),
    [
        (np.zeros((5, 1)), NotCoordinates, "5 × 1"),
        (np.zeros(5), NotCoordinates, "5; coordinates"),
        ([[0, 1], [np.nan, 0]], CoordinatesNotFinite, "row 1"),
        ([[0, 1], [np.inf, 0]], CoordinatesNotFinite, "row 1"),
        ([[3, 4]], SingleSpot, "only one spot in slide 'A' of 'my.h5ad'"),
        (
            np.ones((5, 2)),
            CoincidentSpots,
            "The 5 spots of slide 'A' of 'my.h5ad' lie at one place",
        ),
        (np.eye(2).repeat(4, axis=0), CoincidentSpots, "only 2 places"),
    ],
)
def test_refuses_what_has_no_graph(xy, error, words):
    with pytest.raises(error, match=words):
        spatial_graph(np.asarray(xy, dtype=float), PUBLISHED, path="my.h5ad", slide="A")


@pytest.mark.parametrize(
    ("file", "slides"),
    [("her2st_6slides", 6), ("starmap_mpfc_2slides", 2), ("osmfish_mouse_cortex", 1)],
)
def test_on_real_slides(file, slides):
    folder = Path(os.environ.get("ZOO_DATA", Path(__file__).parents[1] / "../shared/data"))
    if not (folder / f"{file}.h5ad").is_file():
        pytest.skip(f"{file}.h5ad is not in {folder}: set ZOO_DATA to the folder of the data")
    adata = ad.read_h5ad(folder / f"{file}.h5ad")
    batch = adata.obs["batch"].astype(str).to_numpy()
    assert len(np.unique(batch)) == slides
    for name in np.unique(batch):
        xy = np.asarray(adata.obsm["spatial"])[batch == name]
        graph = spatial_graph(xy, PUBLISHED)
        receiver, source = graph.edge_index
        direct = np.exp(-np.square(xy[receiver] - xy[source]).sum(axis=1) / (2 * graph.length**2))
        np.testing.assert_allclose(graph.edge_weight, direct, atol=1e-6)
        assert (np.bincount(receiver, minlength=len(xy)) >= 1).all()
        # What is cut is little: the kept neighbours still contribute almost the share.
        kept = graph.edge_weight.sum(dtype=float) / len(xy) - 1
        assert 0.45 < kept <= 0.5 + 1e-6
