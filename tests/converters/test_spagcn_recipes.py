"""SpaGCN's recipes from a file to a model folder, and what the runner makes of it."""

import anndata as ad
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("cellxgene_ontology_guide")

from layered_slides import LAYERS, cells_of, layered, write_layered  # noqa: E402

from converters.building.build import build  # noqa: E402
from converters.fit_run import FitRun  # noqa: E402
from converters.spagcn.recipe import (  # noqa: E402
    HeadSettings,
    SelfTrainingSettings,
    Spagcn,
    SpagcnHead,
)
from zoo.card_file import ModelCard  # noqa: E402
from zoo.errors import MissingColumn, NoCoordinates, SingleSpot, TooFewCells  # noqa: E402
from zoo.recipes import TrainRequest, TrainWatch, find_recipe  # noqa: E402

SMALL = {
    "epochs": 15, "learning_rate": 0.05, "hidden": 6, "components": 5, "genes": 30, "alpha": 0.3,
}  # fmt: skip
SLIDES = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_layered(tmp_path_factory.mktemp("data") / "slides.h5ad", SLIDES)


def head_request(data, folder, **options):
    plan = folder.with_suffix(".toml")
    plan.write_text('[data]\nmapping = { outer = "outer", middle = "middle", inner = "inner" }\n')
    return TrainRequest(
        **{
            "data": str(data), "output": folder, "label": "layer", "batch": "patient",
            "split": "patient", "slide_key": "patient", "leave_one_out": True,
            "settings": SMALL, "config": plan, **options,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def head(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "layers"
    return build(SpagcnHead(), head_request(data, folder), TrainWatch()).folder


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_layered(tmp_path_factory.mktemp("one") / "slide.h5ad", 1)


@pytest.fixture(scope="module")
def domains(slide, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "slide-domains"
    settings = {"clusters": 3, "components": 5, "epochs": 60}
    request = TrainRequest(data=str(slide), output=folder, label="layer", settings=settings)
    return build(Spagcn(), request, TrainWatch()).folder


# -- the supervised head -------------------------------------------------------------------------


def test_layers_are_found_on_slides_that_were_left_out(head):
    rows = {row.id: row for row in ModelCard.read(head / "README.md").block.evaluation}
    pooled = rows["training-test.model.accuracy"]
    assert pooled.value > 0.7
    assert pooled.n == sum(name in LAYERS for name in layered(SLIDES).obs["layer"])
    assert rows["training-test.model.coverage"].value > 0.7
    shift = rows["training-test+dense-kernel.model.prob_shift"]
    assert 0 < shift.value < 0.2
    assert shift.role == "ablation"


def test_the_runner_answers_as_torch_did(head, data, run_zoo, tmp_path):
    assert run_zoo("test", head).code == 0
    words = ("--slide-key", "patient", "-o", tmp_path / "out.h5ad")
    done = run_zoo("run", head, data, *words)
    assert done.code == 0, done.err
    result = ad.read_h5ad(tmp_path / "out.h5ad")
    assert result.obsm["X_embedding"].shape == (result.n_obs, SMALL["hidden"])
    assert set(result.obs["label"]) == set(LAYERS)
    truth = layered(SLIDES).obs["layer"].to_numpy()
    clear = np.isin(truth, LAYERS)
    assert (result.obs["label"].to_numpy()[clear] == truth[clear]).mean() > 0.8


def test_unclear_spots_are_heard_but_teach_nothing(data):
    cells = cells_of(layered())
    settings = HeadSettings(**SMALL)
    fitted = SpagcnHead().fit(cells, settings, FitRun(0))
    assert fitted.labels == LAYERS
    assert fitted.calibration.cells == int((cells.label >= 0).sum())
    graph = cells.slides.graph(0, SpagcnHead.graph_recipe)
    first = cells.where(cells.slides.codes == 0)
    feed = [
        torch.from_numpy(first.dense()),
        torch.ones(first.counts.shape[1]),
        torch.from_numpy(graph.edge_index),
        torch.from_numpy(graph.edge_weight),
    ]
    unclear = int(np.flatnonzero(first.label < 0)[0])
    neighbour = unclear + 1
    with torch.no_grad():
        before = fitted.module(*feed)[-1]
        feed[0] = feed[0].clone()
        feed[0][unclear] = torch.flip(feed[0][unclear], [0]) * 3
        after = fitted.module(*feed)[-1]
    assert (before[neighbour] - after[neighbour]).abs().max() > 1e-3


def test_a_fit_is_the_same_with_the_same_seed_and_another_with_another():
    cells = cells_of(layered(2))
    settings = HeadSettings(**SMALL)
    one, same, other = (
        SpagcnHead().fit(cells, settings, FitRun(seed)).module.state_dict() for seed in (0, 0, 1)
    )
    weight = "network.convolution.weight"
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one[weight], other[weight])


def test_one_labelled_slide_is_calibrated_on_its_own_tiles():
    cells = cells_of(layered(1))
    fitted = SpagcnHead().fit(cells, HeadSettings(**SMALL), FitRun(0))
    assert "tiles of the one training slide" in fitted.calibration.data
    assert "coverage is not promised for new slides" in fitted.calibration.method


def test_gene_weights_are_shares_and_find_the_dead_genes():
    adata = layered(2)
    counts = adata.X.tolil()
    counts[:, 4] = 0
    adata.X = counts.tocsr()
    fitted = SpagcnHead().fit(cells_of(adata), HeadSettings(**SMALL), FitRun(0))
    assert float(fitted.gene_weight.sum()) == pytest.approx(1)
    assert fitted.gene_weight[4] < 1e-6


def test_neighbouring_settings_differ_in_one_thing():
    settings = HeadSettings()
    near = SpagcnHead().neighbours(settings)
    assert {"without-graph", "not-centred"} < set(near)
    for changed in near.values():
        differing = [k for k, v in changed.as_json().items() if settings.as_json()[k] != v]
        assert len(differing) == 1


def test_recipes_are_installed():
    assert find_recipe("spagcn").summary == Spagcn.summary
    assert find_recipe("spagcn-head").summary == SpagcnHead.summary


# -- the published method ------------------------------------------------------------------------


def test_a_run_gives_the_slide_as_the_training_had_it(domains, slide, run_zoo, tmp_path):
    assert run_zoo("test", domains).code == 0
    done = run_zoo("run", domains, slide, "-o", tmp_path / "out.h5ad")
    assert done.code == 0, done.err
    result = ad.read_h5ad(tmp_path / "out.h5ad")
    cells = cells_of(layered(1))
    settings = SelfTrainingSettings(clusters=3, components=5, epochs=60)
    columns = Spagcn().genes(cells, settings)
    fitted = Spagcn().fit(cells.with_genes(columns), settings, FitRun(0))
    graph = cells.slides.graph(0, Spagcn.graph_recipe)
    with torch.no_grad():
        cluster, distance, embedding = fitted.module(
            torch.from_numpy(cells.with_genes(columns).dense()),
            torch.from_numpy(graph.edge_index),
            torch.from_numpy(graph.edge_weight),
        )
    np.testing.assert_array_equal(result.obs["cluster"].astype(int), cluster.numpy())
    np.testing.assert_allclose(result.obs["cluster_distance"], distance, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(result.obsm["X_embedding"], embedding, rtol=1e-3, atol=1e-3)


def test_domains_follow_the_layers(domains):
    rows = {row.id: row for row in ModelCard.read(domains / "README.md").block.evaluation}
    row = rows["training-fitted.model.ari_cluster"]
    assert row.value > 0.3
    assert "the cells that it was fitted to" in row.condition


def test_a_third_coordinate_reaches_the_graph(tmp_path, run_zoo):
    adata = layered(1)
    adata.obsm["spatial"] = np.column_stack([adata.obsm["spatial"], np.arange(adata.n_obs) % 2])
    adata.write_h5ad(tmp_path / "slide.h5ad")
    folder = tmp_path / "with-depth"
    request = TrainRequest(
        data=str(tmp_path / "slide.h5ad"), output=folder,
        settings={"clusters": 3, "components": 5, "epochs": 10},
    )  # fmt: skip
    build(Spagcn(), request, TrainWatch())
    done = run_zoo("run", folder, tmp_path / "slide.h5ad", "-o", tmp_path / "out.h5ad")
    assert done.code == 0, done.err
    assert ad.read_h5ad(tmp_path / "out.h5ad").obsm["spatial"].shape[1] == 3


# -- refusals ------------------------------------------------------------------------------------


def changed(data, tmp_path, change):
    adata = ad.read_h5ad(data)
    adata = change(adata) or adata
    adata.write_h5ad(tmp_path / "my.h5ad")
    return tmp_path / "my.h5ad"


def without_places(adata):
    del adata.obsm["spatial"]


def one_spot_apart(adata):
    adata.obs["patient"] = ["P9", *adata.obs["patient"].astype(str)[1:]]


def of_another_species(adata):
    return layered(SLIDES, mouse=True)


@pytest.mark.parametrize(
    ("change", "code", "error", "told"),
    [
        (without_places, 3, "NoCoordinates", "has no obsm['spatial']"),
        (one_spot_apart, 3, "SingleSpot", "only one spot in slide 'P9'"),
        (of_another_species, 7, "WrongOrganism", "Mus musculus"),
    ],
)
def test_a_file_that_does_not_suit_is_refused(
    head, data, tmp_path, run_zoo, change, code, error, told
):
    file = changed(data, tmp_path, change)
    words = ("--slide-key", "patient", "--json", "-o", tmp_path / "out.h5ad")
    done = run_zoo("run", head, file, *words)
    assert (done.code, done.json["error"]) == (code, error)
    assert told in done.json["message"]
    assert not (tmp_path / "out.h5ad").exists()


@pytest.mark.parametrize(
    ("change", "error"), [(without_places, NoCoordinates), (one_spot_apart, SingleSpot)]
)
def test_training_refuses_what_the_runner_refuses(data, tmp_path, change, error):
    file = changed(data, tmp_path, change)
    with pytest.raises(error):
        build(SpagcnHead(), head_request(file, tmp_path / "layers"), TrainWatch())


def test_training_needs_labels_and_more_spots_than_domains(data, slide, tmp_path):
    request = TrainRequest(data=str(data), output=tmp_path / "a", slide_key="patient")
    with pytest.raises(MissingColumn):
        build(SpagcnHead(), request, TrainWatch())
    request = TrainRequest(data=str(slide), output=tmp_path / "b", settings={"clusters": 144})
    with pytest.raises(TooFewCells):
        build(Spagcn(), request, TrainWatch())
