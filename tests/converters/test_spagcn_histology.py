"""Colour as a third coordinate."""

import anndata as ad
import numpy as np
import pytest
from layered_slides import layered, write_layered

from converters.spagcn.histology import colour_coordinate, main, window_colours
from zoo.card import GraphRecipe
from zoo.spatial_graph import spatial_graph

GRAPH = GraphRecipe(kernel="gaussian", neighbourhood_share=0.5, minimum_weight=0.01)


def test_the_coordinate_by_hand():
    colours = np.array([[0.0, 5.0, 1.0], [4.0, 5.0, 3.0], [0.0, 5.0, 1.0], [4.0, 5.0, 3.0]])
    places = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 6.0], [2.0, 6.0]])
    # variances 4, 0, 1: z = (4 r + b) / 5, which is 0.2 or 3.8; standardised −1 or 1; sd y is 3
    np.testing.assert_allclose(colour_coordinate(colours, places, scale=2), [-6, 6, -6, 6])


def test_one_colour_everywhere_is_flat():
    assert colour_coordinate(np.ones((4, 3)), np.arange(8.0).reshape(4, 2)).tolist() == [0] * 4


def test_the_colour_of_a_spot_is_the_mean_of_its_window():
    image = np.zeros((20, 30, 4))
    image[10:, :, 0] = 1
    image[..., 3] = 9  # transparency does not count
    found = window_colours(image, np.array([[9, 5], [0, 0], [19, 29]]), window=4)
    # rows 7 to 11 around row 9: two of five are red; windows end at the edge
    np.testing.assert_allclose(found, [[0.4, 0, 0], [0, 0, 0], [1, 0, 0]])
    with pytest.raises(ValueError, match="spot 0 at pixel"):
        window_colours(image, np.array([[200, 5]]), window=4)


def test_the_command_writes_a_copy_with_three_coordinates_slide_by_slide(tmp_path):
    adata = layered(2)
    rng = np.random.default_rng(0)
    for name in ("r", "g", "b"):
        adata.obs[name] = rng.random(adata.n_obs)
    adata.write_h5ad(tmp_path / "slides.h5ad")
    out = tmp_path / "colour.h5ad"
    words = ["--colours", "r,g,b", "--slide-key", "patient", "--scale", "0.5"]
    main([str(tmp_path / "slides.h5ad"), "-o", str(out), *words])
    found = ad.read_h5ad(out)
    places = found.obsm["spatial"]
    np.testing.assert_array_equal(places[:, :2], adata.obsm["spatial"])
    for patient in ("P0", "P1"):
        rows = (adata.obs["patient"] == patient).to_numpy()
        colours = adata.obs.loc[rows, ["r", "g", "b"]].to_numpy()
        expected = colour_coordinate(colours, adata.obsm["spatial"][rows], scale=0.5)
        np.testing.assert_allclose(places[rows, 2], expected)
    assert found.uns["spagcn_histology"]["scale"] == 0.5


def test_the_command_reads_colours_from_a_picture(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    adata = layered(1)
    adata.obs["pixel_x"] = adata.obsm["spatial"][:, 0] * 10
    adata.obs["pixel_y"] = adata.obsm["spatial"][:, 1] * 10
    adata.write_h5ad(tmp_path / "slide.h5ad")
    picture = np.zeros((120, 120, 3))
    picture[60:, :, 0] = 1
    pyplot.imsave(tmp_path / "he.png", picture)
    out = tmp_path / "colour.h5ad"
    words = ["--image", str(tmp_path / "he.png"), "--window", "5"]
    main([str(tmp_path / "slide.h5ad"), "-o", str(out), *words])
    places = ad.read_h5ad(out).obsm["spatial"]
    assert places[places[:, 0] > 7, 2].min() > places[places[:, 0] < 4, 2].max()


def test_spots_of_another_colour_are_heard_less(tmp_path):
    adata = ad.read_h5ad(write_layered(tmp_path / "slide.h5ad", 1))
    places = adata.obsm["spatial"]
    dark = places[:, 0] < 6
    z = colour_coordinate(np.where(dark, 0.0, 1.0)[:, None] * np.ones(3), places)

    def across(xyz):
        graph = spatial_graph(xyz, GRAPH)
        apart = dark[graph.edge_index[0]] != dark[graph.edge_index[1]]
        return graph.edge_weight[apart].sum() / graph.edge_weight.sum()

    assert across(np.column_stack([places, z])) < across(places) / 5
